"""Passes over a fixed number of samples, in a new seeded order each: which ones are in which step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_STREAM = 7  # of the random numbers that set the order


@dataclass(frozen=True)
class Epochs:
    """`epochs` passes over `count` samples, `batch` a step; the last ones of an odd number wait for another pass."""

    count: int
    batch: int
    epochs: int
    seed: int

    @property
    def length(self) -> int:
        """Steps of one pass."""
        return max(1, self.count // self.batch)

    @property
    def steps(self) -> int:
        """Steps of all passes."""
        return self.epochs * self.length

    def members(self, step: int) -> list[int]:
        """Numbers of the samples in a step's batch, over all processes."""
        epoch, place = divmod(step, self.length)
        order = np.random.default_rng((self.seed, _STREAM, epoch)).permutation(self.count)
        return order[place * self.batch : (place + 1) * self.batch].tolist()
