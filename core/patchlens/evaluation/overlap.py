"""How far a cue agrees with the oracle on which tokens count: rank correlation and recall of the oracle's best tokens.

Used as a `watch` of a measurement: it sees every chunk's samples while their scores are at hand, and keeps the oracle's
values. Knows no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from patchlens.evaluation.budgets import Contender
from patchlens.evaluation.measure import Bench, Prepared, Variant
from patchlens.evaluation.parts import Arrays
from patchlens.keep import ranking
from patchlens.types import Scores

SHARES = (0.3, 0.5)  # of the tokens, for recall


class Overlap:
    """Callable on a chunk: agreement of each cue with the oracle, and the oracle's values. Cues take a keep ratio.

    Arrays: "overlap" float64 (n, cues, 3), Spearman and recall at each of SHARES; "values" float32, the positive part of
    the oracle's map of every sample end to end, and their "lengths" int64 (n,). Only a sample's first view is looked at.
    """

    def __init__(self, oracle: Contender, cues: Sequence[Contender], seed: int) -> None:
        self.oracle, self.cues, self.seed = oracle, cues, seed

    @property
    def key(self) -> str:
        """What stored results depend on."""
        return f"overlap of {', '.join(c.name for c in self.cues)} with {self.oracle.name}"

    def __call__(self, bench: Bench, items: list[Prepared]) -> Arrays:
        maps = [bench.score(item, self.oracle, self.seed)[0][0] for item in items]
        found = [[self._agreement(bench, i, m, c) for c in self.cues] for i, m in zip(items, maps, strict=True)]
        values = [signed(m).clip(min=0) for m in maps]
        return {
            "overlap": np.array(found),
            "values": np.concatenate(values).astype(np.float32),
            "lengths": np.array([len(v) for v in values]),
        }

    def _agreement(self, bench: Bench, item: Prepared, oracle: Scores, cue: Contender) -> tuple[float, ...]:
        rho = spearman(bench.score(item, cue, self.seed)[0][0].values.numpy(), signed(oracle))
        order = ranking(oracle, self.seed)
        masks = [bench.keeps(item, Variant(cue, s, s, self.seed))[0].mask.numpy() for s in SHARES]
        return (rho, *(recall(mask, order) for mask in masks))


def signed(scores: Scores) -> np.ndarray:
    """The oracle's map before its ReLU, or the values where there is no finer one."""
    return (scores.values if scores.fine is None else scores.fine).numpy()


def spearman(cue: np.ndarray, truth: np.ndarray) -> float:
    """Rank correlation; 0 where one side does not rank at all."""
    if cue.min() == cue.max() or truth.min() == truth.max():
        return 0.0
    return float(stats.spearmanr(np.clip(cue, None, np.finfo(np.float32).max), truth)[0])


def recall(mask: np.ndarray, order: np.ndarray) -> float:
    """Share of the best K tokens (`order`: best first) that a choice of K tokens contains; by chance it is K/N."""
    k = int(mask.sum())
    return float(mask[order[:k]].mean())
