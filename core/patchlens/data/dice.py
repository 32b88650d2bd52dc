"""Uniform draws from one generator, fetched in bulk, for code that draws many small things one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["Dice"]


class Dice:
    """Uniform numbers from one generator: single draws from numpy would cost more than drawing a frame."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._left: Iterator[float] = iter(())

    def roll(self) -> float:
        """A number 0..1."""
        for number in self._left:
            return number
        self._left = iter(self._rng.random(64).tolist())
        return next(self._left)

    def pick(self, choices: Sequence[Any]) -> Any:
        """One of `choices`, each equally likely."""
        return choices[int(self.roll() * len(choices))]

    def between(self, low: float, high: float) -> float:
        """A number low..high."""
        return low + self.roll() * (high - low)
