"""One video of a data set, not yet read: `Sample`, what a model may ask of it, and the footage that comes back.

Knows nothing of files or of what is drawn; `datasets.py` and `annotations.py` make samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from patchlens.types import Clip


@dataclass(frozen=True)
class Wanted:
    """What a model wants of a video.

    size_hw  pixels of a frame
    frames   how many, spread evenly over the whole video
    fit      "squash" or "crop", as in `video.read`
    whole    the whole picture in its own shape instead, for whoever crops it himself
    motion   also measure motion (codec vectors or flow)
    """

    size_hw: tuple[int, int]
    frames: int
    fit: str = "squash"
    whole: bool = False
    motion: bool = False


@dataclass(frozen=True, eq=False)
class Footage:
    """A video as read or drawn.

    clip   its frames
    actor  bool (T, H, W) over the clip's frames: what acts, where the truth is known
    facts  plain data: difficulty 0..1, camera, ... where known
    caption  a sentence that is true of it, for encoders that know no classes but texts
    """

    clip: Clip
    actor: np.ndarray | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    caption: str | None = None


@dataclass(frozen=True, eq=False)
class Sample:
    """One video: its name, its label (None: unlabelled), the source group it must not be split from, how to make it.

    `make` raises ValueError (a VideoError) or OSError for a file that cannot be read.
    """

    name: str
    label: str | None
    make: Callable[[Wanted], Footage]
    group: str | None = None


@dataclass(frozen=True, eq=False)
class SampleSet(Sequence[Sample]):
    """What a sweep runs over: samples in a fixed order, so that the first n of them are a fair part of the whole.

    name     what it is, in words
    samples  all of them
    offers   what selectors may ask of the set beyond the encoder ("true actor masks")
    notes    sentences on what was left out
    """

    name: str
    samples: tuple[Sample, ...]
    offers: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> Any:
        return self.samples[index]

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels that occur, sorted."""
        return tuple(sorted({s.label for s in self.samples if s.label is not None}))

    def first(self, limit: int | None) -> SampleSet:
        """The same set with at most `limit` samples.

        Raises ValueError for a limit below 1.
        """
        if limit is None or limit >= len(self):
            return self
        if limit < 1:
            raise ValueError(f"limit is {limit}; give at least 1.")
        return replace(self, samples=self.samples[:limit])


def fair_order(samples: list[Sample], seed: int) -> tuple[Sample, ...]:
    """A seeded order in which classes take turns, so that any first n hold them about equally."""
    rng = np.random.default_rng(seed)
    mixed = [samples[i] for i in rng.permutation(len(samples))]
    turn: dict[str | None, int] = {}
    keys = []
    for sample in mixed:
        keys.append(turn.get(sample.label, 0))
        turn[sample.label] = keys[-1] + 1
    return tuple(mixed[i] for i in np.argsort(keys, kind="stable"))
