"""What a run comes to: the Encoding, its Cost, the Report that compares, and the Trace that holds all of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from pandas import DataFrame
    from plotly.graph_objects import Figure
    from torch import Tensor

    from patchlens.clip import Clip
    from patchlens.keep import Rule
    from patchlens.specs import Request
    from patchlens.types import Grid, Keep, Scores
    from patchlens.widget import Player


def _notebook() -> ModuleType:
    """The one door from the data to its views."""
    from patchlens import notebook

    return notebook


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
    timing is seconds per stage; notes are sentences a person should see; others are what the first stage would be under
    other values of the one knob that its selector `swaps`.
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
    others: dict[str, tuple[Scores, Rule]] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        """The still card that Jupyter shows: plain HTML without script."""
        return _notebook().card(self)

    def to_frame(self) -> DataFrame:
        """One row per token (pandas): place, time, score, rank, kept, run length."""
        return _notebook().frame(self)

    def plot(self, kind: str = "overview") -> Figure:
        """A plotly figure: all that the run has side by side, or one of them ("scores", "tokens", "runs", "lorenz")."""
        return _notebook().figure(self, kind)

    def widget(self, *others: Trace, encoder: Any = None) -> Player:
        """The dashboard's player, alive in the notebook, with other plans' traces of this clip beside it.

        Frame, patch, plans and threshold come back as traits; `encoder` is needed only for one of your own, which has no
        name to load it by.
        """
        return _notebook().player([self, *others], encoder)

    def save_html(self, path: str | Path) -> Path:
        """Write the one-file offline report."""
        return _notebook().write(self, "html", path)

    def save_mp4(self, path: str | Path) -> Path:
        """Write the overlay as an H.264 video."""
        return _notebook().write(self, "mp4", path)
