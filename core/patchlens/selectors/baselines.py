"""The baselines that any claim about token value is judged against: everything, random, uniform, center, skip."""

from __future__ import annotations

from dataclasses import dataclass

from patchlens.keep import All, Rule, Strided, Threshold, best
from patchlens.knobs import choice, knob
from patchlens.lazy import torch
from patchlens.registry import Context, register
from patchlens.types import Scores, Tokens

KEEP = dict(step=0.01, unit="share of tokens", help="keep ratio K/N")
PER = dict(options=("clip", "frame"), help="choose over the whole clip, or the same share of every frame")


@register("everything")
@dataclass(frozen=True)
class Everything:
    """Keep every token: the full run, to compare with."""

    monotone = True

    def score(self, tokens: Tokens, context: Context) -> Scores:
        """All equal."""
        return Scores(torch.zeros(tokens.grid.n), "none: every token is kept")

    def rule(self) -> Rule:
        """All."""
        return All()


@register("random")
@dataclass(frozen=True)
class Random:
    """A uniformly random subset of exactly K tokens, drawn anew for every seed and every clip."""

    keep: float = knob(0.5, 0.01, 1.0, **KEEP)
    per: str = choice("clip", **PER)
    seeded = True  # its scores depend on the seed
    monotone = True

    def score(self, tokens: Tokens, context: Context) -> Scores:
        """Uniform noise from the seed and the clip's content."""
        seed = (context.seed * 1_000_003 + int(context.clip.source.sha256[:12], 16)) % 2**63
        return Scores(torch.rand(tokens.grid.n, generator=torch.Generator().manual_seed(seed)), "random number in 0..1")

    def rule(self) -> Rule:
        """Top K."""
        return best(self.keep, self.per)


@register("uniform")
@dataclass(frozen=True)
class Uniform:
    """Evenly spaced token numbers, in (t, y, x) order.

    On an even-sided grid an even stride meets the same columns in every row; that is the baseline's own weakness.
    """

    keep: float = knob(0.5, 0.01, 1.0, **KEEP)
    per: str = choice("clip", **PER)
    monotone = False

    def score(self, tokens: Tokens, context: Context) -> Scores:
        """All equal: the rule alone decides."""
        return Scores(torch.zeros(tokens.grid.n), "none: evenly spaced token numbers")

    def rule(self) -> Rule:
        """Strided."""
        return Strided(self.keep, self.per == "frame")


@register("center")
@dataclass(frozen=True)
class Center:
    """The patches nearest to the middle of the picture, in every frame."""

    keep: float = knob(0.5, 0.01, 1.0, **KEEP)
    per: str = choice("frame", **PER)
    monotone = True

    def score(self, tokens: Tokens, context: Context) -> Scores:
        """Minus the squared distance from the grid's centre, in patches; equal distances fall to the seeded hash."""
        g = tokens.grid
        y = torch.arange(g.h) - (g.h - 1) / 2
        x = torch.arange(g.w) - (g.w - 1) / 2
        near = -(y[:, None] ** 2 + x[None, :] ** 2)
        return Scores(near.float().reshape(-1).repeat(g.t), "minus squared distance to the centre, in patches")

    def rule(self) -> Rule:
        """Top K."""
        return best(self.keep, self.per)


@register("skip")
@dataclass(frozen=True)
class Skip:
    """A frame in full, then n that are not looked at: the video at a lower rate, on ResidualViT's schedule.

    An encoder of single frames gives a skipped frame the feature of the one before, for nothing: what the P-frames of
    ResidualViT have to beat. One of whole clips sees gaps; there a token may span several frames, and n counts tubelets.
    """

    n: int = knob(2, 1, 10, step=1, stage="score", unit="frames", help="frames left out behind each one that is seen")
    cuts: str = choice("on", ("on", "off"), stage="score", help="a frame in full wherever a new shot begins")
    monotone = False

    def score(self, tokens: Tokens, context: Context) -> Scores:
        """1 for patches of frames that are seen, 0 for the others'."""
        from patchlens import cuts
        from patchlens.interleave import Interleave, schedule

        t = tokens.grid.t
        look = self.cuts == "on"
        change = cuts.changes(tokens.frames[:: tokens.grid.tubelet].numpy()) if look else None
        anchors = torch.from_numpy(schedule(Interleave(self.n, 1.0, look), t, change))
        seen = (anchors == torch.arange(t)).float()
        gmacs = cuts.gmacs(t) if look else 0.0
        return Scores(seen.repeat_interleave(tokens.grid.per_frame), "1: seen, 0: left out", gmacs=gmacs)

    def rule(self) -> Rule:
        """What lies above a half."""
        return Threshold(0.5)
