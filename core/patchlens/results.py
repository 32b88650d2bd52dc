"""What a run comes to: the Encoding, its Cost, the Report that compares, and the Trace that holds all of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anywidget import AnyWidget
    from plotly.graph_objects import Figure
    from torch import Tensor

    from patchlens.clip import Clip
    from patchlens.keep import Rule
    from patchlens.specs import Request
    from patchlens.types import Grid, Keep, Scores


@dataclass(frozen=True, eq=False)
class Encoding:
    """What the encoder made of the kept tokens, float32 on the CPU.

    tokens (K, D) last-block outputs of the kept patches; pooled (D,); frames (t, D) or None for space-time encoders;
    logits (C,) or None; groups int64 (N,) or None: behind a merger the number of the token that each one was merged into
    (its own where it survived; -1 where it was dropped, before the blocks or inside them). Then `tokens` has one row per
    surviving token, in the order of their numbers.
    """

    tokens: Tensor
    pooled: Tensor
    frames: Tensor | None = None
    logits: Tensor | None = None
    groups: Tensor | None = None


@dataclass(frozen=True)
class Cost:
    """Multiply-accumulates of one run, in 1e9: `linear` counts matrix layers, `attention` the QK^T and AV products."""

    linear: float = 0.0
    attention: float = 0.0

    @property
    def total(self) -> float:
        """Linear and attention products together."""
        return self.linear + self.attention

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.linear + other.linear, self.attention + other.attention)


@dataclass(frozen=True)
class Report:
    """What was saved and what it cost; deterministic (wall times live apart, in `Trace.timing`).

    `tokens_kept` is K, what enters the first block; `tokens_left` what leaves the last one (fewer behind a merger).
    `selector_gmacs` is what deciding cost: the selectors' scores, and the merger's own work.
    `label` is the one given with the clip, else the class that the full run names (`label_given` says which).
    cosine compares pooled features with the full run; kl = KL(full || reduced) in nats; frame_cosine per frame for
    frame encoders; label_probability pairs are (full, reduced).
    """

    tokens_total: int
    tokens_kept: int
    full: Cost
    reduced: Cost
    selector_gmacs: float
    cosine: float
    top1_same: bool | None = None
    kl: float | None = None
    label: str | None = None
    label_given: bool = False
    label_probability: tuple[float, float] | None = None
    frame_cosine: tuple[float, ...] | None = None
    tokens_left: int | None = None

    @property
    def keep_ratio(self) -> float:
        """K/N."""
        return self.tokens_kept / self.tokens_total

    @property
    def saved(self) -> float:
        """Share of the full run's GMACs that is saved once the selector's own cost is paid (negative: it costs more)."""
        return 1 - (self.reduced.total + self.selector_gmacs) / self.full.total


@dataclass(frozen=True, eq=False)
class Trace:
    """All that a view may need of one run, as plain data.

    stages are the plan's (scores, rule) pairs in order; scores are those of the first.
    classes are the encoder's label names or None; encoder holds plain facts (name, weights, device, dtype, ...);
    timing is seconds per stage; notes are sentences a person should see.
    """

    request: Request
    clip: Clip
    grid: Grid
    frame_index: Tensor
    scores: Scores
    keep: Keep
    encoding: Encoding
    reference: Encoding
    report: Report
    encoder: dict[str, Any]
    stages: tuple[tuple[Scores, Rule], ...] = ()
    classes: tuple[str, ...] | None = None
    timing: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """The still card that Jupyter shows: plain HTML without script."""
        from patchlens.views.card import card  # the one door from the data to its picture

        return card(self)

    def widget(self, *others: Trace) -> AnyWidget:
        """The interactive viewer for a notebook cell, with other plans' traces of this clip beside it."""
        from patchlens.views.notebook import widget

        return widget(self, *others)

    def plot(self) -> Figure:
        """Scores and the cut through them, tokens over time, run lengths and Lorenz curve where the plan has them."""
        from patchlens.views.figures import overview

        return overview(self)
