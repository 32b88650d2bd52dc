"""Measuring a chunk of samples: views made once, scores once per selector, full runs once, then every budget, packed.

The unit of the result is the sample: one row of `MEASURED` per sample and variant, averaged over its views. Knows nothing
of intervals, files or printing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from patchlens.data.samples import Sample
from patchlens.encoders.costs import cost_of
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.packing import batches
from patchlens.evaluation.budgets import Contender
from patchlens.evaluation.multiview import View, Views, views_of, wanted
from patchlens.keep import Rule, keep_of
from patchlens.merge import Merger, mean_share
from patchlens.metrics import cosine
from patchlens.pipeline import RunContext
from patchlens.types import Encoding, Keep, Scores

BATCH_TOKENS = 8192  # in one packed batch; more is no faster on a CPU, and a GPU is asked with more
# Per sample: label right (nan: none), answer as in full, fidelity, K/N (behind a merger the mean share of tokens over the
# blocks), 1e9 MACs reduced and of selector and merger, P(label)
FIELDS = ("right", "same", "cosine", "kl", "ratio", "gmacs", "own", "probability")
MEASURED = np.dtype([(name, "f8") for name in FIELDS])


@dataclass(frozen=True, eq=False)
class Context(RunContext):
    """What a selector may ask for beside the tokens; `actor` is the true foreground (N,), where the set knows it."""

    actor: Tensor | None = None


@dataclass(frozen=True)
class Variant:
    """One contender at one budget with one seed: `asked` is the budget (None: as written), `value` its knob's value."""

    contender: Contender
    asked: float | None
    value: float | None
    seed: int

    @property
    def key(self) -> str:
        """Its name in stored results."""
        return f"{self.contender.name}|{self.asked}|{self.seed}"


@dataclass(eq=False)
class Prepared:
    """One sample ready to be measured: its views, what was computed so far, its label and class number (None: unknown).

    told: what an encoder of texts is asked to explain, the sample's caption, else its label.
    """

    name: str
    label: str | None
    number: int | None
    facts: dict[str, Any]
    views: list[View]
    told: str | None = None
    full: list[Encoding] = field(default_factory=list)
    scores: dict[tuple[str, int], list[tuple[Scores, ...]]] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Roughly what it holds in memory."""
        return sum(2 * v.tokens.patches.numel() + v.clip.display.numel() for v in self.views)


class Bench:
    """Encoder, views and seed of a sweep; everything it makes follows from them and the sample."""

    def __init__(
        self, encoder: Encoder, views: Views, motion: bool, frames: int, batch_tokens: int = BATCH_TOKENS
    ) -> None:
        self.encoder, self.views, self.batch_tokens = encoder, views, batch_tokens
        self.wanted = wanted(encoder, views, motion, frames)
        self.numbers = {c.lower(): i for i, c in enumerate(encoder.classes or ())}

    def prepare(self, sample: Sample) -> Prepared:
        """Read or draw one sample. Raises what `sample.make` raises."""
        footage = sample.make(self.wanted)
        number = None if sample.label is None else self.numbers.get(sample.label.lower())
        views, told = views_of(footage, self.encoder, self.views), footage.caption or sample.label
        return Prepared(sample.name, sample.label, number, footage.facts, views, told)

    def score(self, item: Prepared, who: Contender, seed: int) -> list[tuple[Scores, ...]]:
        """Scores of every stage of a plan, per view; kept on the item, because all budgets reuse them."""
        key = (who.name, seed)
        if key not in item.scores:
            label = item.number if self.encoder.classes else item.told
            asked = [Context(self.encoder, v.clip, label, seed, actor=v.actor) for v in item.views]
            pairs = list(zip(item.views, asked, strict=True))
            item.scores[key] = [tuple(s.score(v.tokens, c) for s in who.plan.selectors) for v, c in pairs]
        return item.scores[key]

    def keeps(self, item: Prepared, variant: Variant) -> list[Keep]:
        """The decision of a variant, per view."""
        rules: list[Rule] = [s.rule() for s in variant.contender.at(variant.value).selectors]
        frames = self.encoder.segments == "frame"
        return [
            keep_of(list(zip(scores, rules, strict=True)), view.tokens.grid, variant.seed, frames)
            for view, scores in zip(item.views, self.score(item, variant.contender, variant.seed), strict=True)
        ]

    def encode(
        self, views: Sequence[View], keeps: Sequence[Keep] | None = None, merger: Merger | None = None
    ) -> list[Encoding]:
        """Encode views in packed batches of like lengths; the results come in the order given."""
        sizes = [k.count for k in keeps] if keeps is not None else [v.tokens.grid.n for v in views]
        out: list[Encoding | None] = [None] * len(views)
        for batch in batches(sizes, self.batch_tokens):
            part = [keeps[i] for i in batch] if keeps is not None else None
            run = self.encoder.encode_many([views[i].tokens for i in batch], part, merger=merger)
            for i, made in zip(batch, run, strict=True):
                out[i] = Encoding(made.tokens[:0], made.pooled, made.frames, made.logits)  # tokens are not asked for
        return out

    def run_full(self, items: Sequence[Prepared]) -> None:
        """The full run of every item that has none yet."""
        todo = [item for item in items if not item.full]
        made = iter(self.encode([v for item in todo for v in item.views]))
        for item in todo:
            item.full = [next(made) for _ in item.views]

    def full(self, items: Sequence[Prepared]) -> np.ndarray:
        """The full run measured as a variant of its own, MEASURED (n,)."""
        whole = [[Keep(torch.ones(v.tokens.grid.n, dtype=torch.bool), v.tokens.grid) for v in i.views] for i in items]
        return np.array([self._measured(i, k, i.full, 0.0) for i, k in zip(items, whole, strict=True)], MEASURED)

    def measure(self, items: Sequence[Prepared], variant: Variant) -> np.ndarray:
        """One variant on items whose full run is done, MEASURED (n,)."""
        keeps, merger = [self.keeps(item, variant) for item in items], variant.contender.merger_at(variant.value)
        views, flat = [v for item in items for v in item.views], [k for part in keeps for k in part]
        made = iter(self.encode(views, flat, merger))
        rows = []
        for item, part in zip(items, keeps, strict=True):
            own = [sum(s.gmacs for s in stages) for stages in self.score(item, variant.contender, variant.seed)]
            rows.append(self._measured(item, part, [next(made) for _ in part], float(np.mean(own)), merger))
        return np.array(rows, MEASURED)

    def _measured(
        self, item: Prepared, keeps: list[Keep], runs: list[Encoding], own: float, merger: Merger | None = None
    ) -> tuple[float, ...]:
        nan = float("nan")
        right = same = kl = probability = nan
        if runs[0].logits is not None:
            before, after = mean_probability(item.full), mean_probability(runs)
            same = float(before.argmax() == after.argmax())
            kl = max(0.0, float((before * (before.clamp_min(1e-30).log() - after.clamp_min(1e-30).log())).sum()))
            if item.number is not None:
                right, probability = float(after.argmax() == item.number), float(after[item.number])
        near = np.mean([float(cosine(f.pooled, r.pooled)) for f, r in zip(item.full, runs, strict=True)])
        gmacs, more, ratio = np.mean([self._spent(k, merger) for k in keeps], 0).tolist()
        return right, same, float(near), kl, ratio, gmacs, own + more, probability

    def _spent(self, keep: Keep, merger: Merger | None) -> tuple[float, float, float]:
        """GMACs of a run and of the merger itself, and the share of tokens (behind a merger: averaged over the blocks)."""
        cost, own = cost_of(self.encoder, keep, merger)
        if merger is None:
            return cost.total, 0.0, keep.ratio
        depth, front = self.encoder.config.depth, self.encoder.config.prefix
        shares = ((k, mean_share(merger.lengths(k + front, depth, front), front)) for k in self.encoder.counts(keep))
        return cost.total, own, sum(k * share for k, share in shares) / keep.grid.n


def mean_probability(runs: Sequence[Encoding]) -> Tensor:
    """Class probabilities (C,) averaged over views, float64."""
    return torch.stack([r.logits.double().softmax(-1) for r in runs]).mean(0)
