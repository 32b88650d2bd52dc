"""What one way of encoding found for the sentences of some videos: recalls with intervals, paired with another way's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from patchlens.evaluation.intervals import LEVEL, Interval, percentiles, resampled_means
from patchlens.evaluation.moments import OVERLAPS, RANKS


@dataclass(frozen=True)
class Grounded:
    """What one way of encoding found for n queries of some videos.

    found and ceiling: bool (n, RANKS, OVERLAPS), by the encoder and by a perfect 0/1 similarity; video int (n,): which
    video a query is of; facts: seed, fps, seconds of video, ...
    """

    found: np.ndarray
    ceiling: np.ndarray
    video: np.ndarray
    facts: dict[str, Any]

    def recall(self, rank: int, overlap: float, what: str = "found") -> Interval:
        """R@rank at IoU > overlap with its interval: the bootstrap draws videos, whose queries hang together."""
        return self._rate(self._column(what, rank, overlap))

    def difference(self, other: Grounded, rank: int, overlap: float, level: float = LEVEL) -> Interval:
        """Recall of self minus other's over the same queries, paired; at level 0.9 each end is a one-sided 95 % bound.

        Raises ValueError when they are not the same number.
        """
        if len(self.video) != len(other.video):
            raise ValueError(
                f"A paired comparison needs the same queries; there are {len(self.video)} and {len(other.video)}."
            )
        mine, theirs = (g._column("found", rank, overlap).astype(float) for g in (self, other))
        return self._rate(mine - theirs, level)

    def _column(self, what: str, rank: int, overlap: float) -> np.ndarray:
        return getattr(self, what)[:, RANKS.index(rank), OVERLAPS.index(overlap)]

    def _rate(self, values: np.ndarray, level: float = LEVEL) -> Interval:
        _, of = np.unique(self.video, return_inverse=True)
        sums = np.stack([np.bincount(of, values.astype(float)), np.bincount(of)], 1)
        draws = resampled_means(sums)
        return percentiles(float(values.mean()), draws[:, 0] / draws[:, 1], level)

    def as_dict(self) -> dict[str, Any]:
        """Plain data: the facts and one row per rank and overlap."""
        rows = []
        for rank in RANKS:
            for overlap in OVERLAPS:
                mine, top = self.recall(rank, overlap), self.recall(rank, overlap, "ceiling").mean
                rows.append({"rank": rank, "iou": overlap, "recall": mine.mean, "interval": mine.ends,
                             "ceiling": top, "of_ceiling": mine.mean / max(top, 1e-9)})  # fmt: skip
        return {
            **self.facts,
            "queries": len(self.video),
            "videos": len(set(self.video.tolist())),
            "rows": rows,
        }
