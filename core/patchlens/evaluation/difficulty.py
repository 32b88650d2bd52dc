"""The slope of what a class loses on how hard it is, without mistaking luck for difficulty. Knows numbers only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from patchlens.evaluation.intervals import Interval, percentiles


def difficulty_slope(
    full: np.ndarray, drop: np.ndarray, masks: Sequence[np.ndarray], seed: int = 0, draws: int = 1000
) -> Interval:
    """Slope of a class's accuracy drop on its difficulty (1 - accuracy with all tokens), by least squares.

    Difficulty and drop come from different halves of a class's clips, drawn anew each time: measured on the same clips,
    luck in the full run would lower the difficulty and raise the drop at once. Halves are resampled for the interval. The
    noise that is left in the difficulty draws the slope towards 0, never past it.
    Raises ValueError for fewer than three classes of four clips.
    """
    rng = np.random.default_rng(seed)
    members = [found for m in masks if len(found := np.flatnonzero(m)) >= 4]
    if len(members) < 3:
        raise ValueError(f"A slope over classes needs three of at least 4 clips each; there are {len(members)}.")
    slopes = np.empty((2, draws))  # as split, and resampled
    for d in range(draws):
        halves = [np.array_split(rng.permutation(m), 2) for m in members]
        again = [[rng.choice(h, len(h)) for h in pair] for pair in halves]
        for row, pairs in enumerate((halves, again)):
            x = np.array([[1 - full[h].mean() for h in pair] for pair in pairs])
            y = np.array([[drop[h].mean() for h in pair] for pair in pairs])
            slopes[row, d] = np.mean([_slope(x[:, i], y[:, 1 - i]) for i in (0, 1)])
    return percentiles(float(slopes[0].mean()), slopes[1])


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    spread = float(((x - x.mean()) ** 2).sum())
    return float(((x - x.mean()) * (y - y.mean())).sum() / spread) if spread > 0 else 0.0
