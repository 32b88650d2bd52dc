"""ResidualViT's schedule: a full I-frame now and then, and between them P-frames that lean on it and see few patches.

Which patches a P-frame keeps is the inner selector's business (`drop`); what it is told of its I-frame is the encoder's.
Source: ResidualViT (arXiv 2509.13255) sec. 3, default N = 2, p = 0.85, most motion first.
Departures: I-frames forced by shot cuts (`cuts=off` is the paper) and, if asked, by accumulated change (`reach`). And
where optical flow stands in for codec vectors, less than a pixel is no motion, as a codec would skip such a block: flow is
nowhere quite zero, and its errors would choose patches that lie together. Those that do not move tie, and fall by lot.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from patchlens.clip import FLOW
from patchlens.interleave import Interleave
from patchlens.keep import Rule, Strided
from patchlens.knobs import choice, knob, text
from patchlens.lazy import torch
from patchlens.registry import Context, Selector, find, register
from patchlens.selectors.cues import Motion
from patchlens.types import Scores, Tokens

if TYPE_CHECKING:
    from torch import Tensor

RESIDUAL = ("auto", "on", "off", "zero")
TOKEN = frozenset({"residual_token"})
LEAST = 1.0  # source pixels that optical flow has to tell
# Strategies that cost nothing beside a clip that was read with motion.
READY = ("motion", "motion:steps=4", "random", "uniform", "center")


@register("residualvit")
@dataclass(frozen=True)
class ResidualViT:
    """Interleaved I- and P-frames: every (n+1)-th frame in full, the others from 1-p of their patches and a residual token.

    drop      the selector that ranks a P-frame's patches, as in motion, motion:steps=4, uniform or attention:block=2
    residual  auto: on where the encoder has a residual tokenizer; zero: a token of zeros (ablation)
    scale     0.5: P-frames at half the resolution, in a quarter of the patches, of which p are dropped (ablation)
    """

    n: int = knob(2, 1, 10, step=1, unit="P-frames", help="P-frames behind each I-frame (interleave factor)")
    p: float = knob(0.85, 0.0, 0.95, step=0.01, unit="share of patches", help="what each P-frame drops")
    drop: str = text(
        "motion", help="selector that ranks the patches of a P-frame: motion, motion:steps=4 (coarser, spread), random, ..."
    )
    residual: str = choice("auto", RESIDUAL, help="residual token of the I-frame in each P-frame")
    cuts: str = choice("on", ("on", "off"), help="an I-frame wherever a new shot begins")
    reach: float = knob(
        0.0, 0.0, 100.0, step=1.0, unit="grey levels", help="and after so much change since the last one; 0: never"
    )
    scale: str = choice("1", ("1", "0.5"), help="resolution of P-frames, as a share of an I-frame's")
    requires = frozenset({"frames"})
    monotone = False
    alone = True  # it schedules the whole clip
    swaps = "drop"  # the knob whose other values come along with a run (`others`)

    def __post_init__(self) -> None:
        token = TOKEN if self.residual == "on" else frozenset()
        object.__setattr__(self, "requires", type(self).requires | token | self.inner.requires)

    @property
    def inner(self) -> Selector:
        """The selector that ranks the patches.

        Raises KeyError or ValueError where `drop` is no single selector, or one that is a schedule itself.
        """
        from patchlens.specs import parse_plugin

        if getattr(find(str(self.drop).partition(":")[0].strip()), "alone", False):
            raise ValueError(f"drop is {self.drop!r}; a schedule cannot stand inside another, take motion or random.")
        return parse_plugin(str(self.drop))

    @property
    def clip_needs(self) -> frozenset[str]:
        """What the inner selector needs of the clip; motion, where it is read, over a window of the video's own rate."""
        return getattr(self.inner, "clip_needs", frozenset()) | {"motion window"}

    @property
    def seeded(self) -> bool:
        """Whether the scores depend on the seed."""
        return bool(getattr(self.inner, "seeded", False))

    def score(self, tokens: Tokens, context: Context) -> Scores:
        """The inner selector's scores, and how much each frame changes."""
        from patchlens import cuts

        change = torch.from_numpy(cuts.changes(tokens.frames[:: tokens.grid.tubelet].numpy()))
        return self._scores(tokens, context, change)

    def _scores(self, tokens: Tokens, context: Context, change: Tensor) -> Scores:
        from patchlens import cuts

        inner = self.inner
        made = inner.score(tokens, context)
        if isinstance(inner, Motion) and not inner.steps and made.facts["motion"] == FLOW:
            made = still(made)
        facts: dict[str, Any] = {**made.facts, "drop": str(self.drop)}
        return replace(made, gmacs=made.gmacs + cuts.gmacs(len(change)), facts=facts, change=change)

    def others(self, tokens: Tokens, context: Context, made: Scores) -> dict[str, tuple[Scores, Rule]]:
        """Scores and rule under every other `drop` that is ready here, so that a page can change it without asking."""
        found = {}
        for one in (replace(self, drop=drop) for drop in READY if drop != str(self.drop)):
            if "motion" not in one.clip_needs or context.clip.motion is not None:
                found[one.drop] = (one._scores(tokens, context, made.change), one.rule())
        return found

    def rule(self) -> Rule:
        """The schedule; evenly spaced patches where the inner selector spaces them."""
        even = isinstance(self.inner.rule(), Strided)
        return Interleave(self.n, self.p, self.cuts == "on", self.reach, even, self.residual, float(self.scale))


def still(made: Scores) -> Scores:
    """Motion by optical flow, in source pixels, without what is below LEAST."""
    values = torch.where(made.values < LEAST, torch.zeros_like(made.values), made.values)
    return replace(made, values=values, unit=f"{made.unit}; below {LEAST:g} none")
