"""A labelled set of random clips, for trainings of toys."""

from __future__ import annotations

from dataclasses import replace

import torch
import toys
from patchlens.data.samples import Footage, Sample, SampleSet
from patchlens.limits import VideoError


def toy_set(count: int, labels: bool = True, broken: tuple[int, ...] = ()) -> SampleSet:
    """Random clips; the class shows in their brightness."""

    def sample(i: int) -> Sample:
        def make(wanted):
            if i in broken:
                raise VideoError(f"clip {i} is damaged.")
            clip = toys.clip(wanted.frames, 100 + i, wanted.size_hw)
            return Footage(replace(clip, frames=(clip.frames // 6 + 35 * (i % 6)).to(torch.uint8)))

        return Sample(f"clip {i}", toys.CLASSES[i % 6] if labels else None, make)

    return SampleSet("toys", tuple(sample(i) for i in range(count)))
