"""Small sample sets around the toy encoders: random clips with labels, difficulty and an actor, no model worth the name."""

from __future__ import annotations

import numpy as np
import toys
from patchlens.data.samples import Footage, Sample, SampleSet, Wanted
from patchlens.limits import VideoError

ACTORS = frozenset({"true actor masks"})


def toy_set(count: int, labels: bool = True, broken: tuple[int, ...] = (), made: list[int] | None = None) -> SampleSet:
    """`count` clips, clip i of class i modulo 6 with difficulty i; those in `broken` cannot be read.

    `made` collects the numbers of the clips that were drawn.
    """

    def sample(i: int) -> Sample:
        def make(wanted: Wanted) -> Footage:
            if i in broken:
                raise VideoError(f"clip {i} is damaged.")
            if made is not None:
                made.append(i)
            height, width = wanted.size_hw
            clip = toys.clip(wanted.frames, 100 + i, (height, 2 * width if wanted.whole else width))
            actor = np.zeros(clip.frames.shape[:3], bool)
            actor[:, : height // 3, : width // 5] = True
            return Footage(clip, actor, {"difficulty": float(i), "camera": "static" if i % 2 else "pan"})

        return Sample(f"clip {i}", toys.CLASSES[i % 6].upper() if labels else None, make)

    return SampleSet("toys", tuple(sample(i) for i in range(count)), ACTORS)
