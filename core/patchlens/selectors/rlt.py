"""Run-length tokenization: a patch that looks like its past is dropped, and its run gets longer.

Source: RLT (arXiv 2411.05222) sec. 3 and the released mask: the LAST frame of tubelet i against the FIRST frame of
tubelet i-1, in ImageNet-normalised units whatever the encoder's own normalisation, mean over pixels and channels,
kept when strictly above tau; tubelet 0 is always kept. Departure: run lengths come out in token order.
"""

from __future__ import annotations

from dataclasses import dataclass

from patchlens.keep import Rule, Threshold, best
from patchlens.knobs import choice, knob
from patchlens.lazy import torch
from patchlens.registry import Context, register
from patchlens.types import Scores, Tokens

STD = (0.229, 0.224, 0.225)  # ImageNet's, the unit of tau
UNIT = "ImageNet-normalised mean |difference|"


def neighbour_difference(tokens: Tokens) -> Scores:
    """Mean |difference| of each token to the one before it in time, float32 (N,); +inf in tubelet 0.

    Sums are taken over integers, so the value does not depend on the order of summation.
    """
    g = tokens.grid
    pixels = tokens.patches.reshape(g.t, g.per_frame, 3, g.tubelet, -1)
    now, before = pixels[1:, :, :, -1].short(), pixels[:-1, :, :, 0].short()
    total = (now - before).abs_().sum(-1, dtype=torch.int32)  # (t-1, h*w, 3), grey levels
    unit = torch.tensor(STD, dtype=torch.float64) * 255 * g.patch**2
    values = torch.full((g.t, g.per_frame), torch.inf)
    values[1:] = (total / unit).mean(-1).float()
    return Scores(values.reshape(-1), UNIT, gmacs=now.numel() / 1e9)


@register("rlt")
@dataclass(frozen=True)
class RLT:
    """Drop what is within tau of the patch before it; the kept patch stands for the whole run."""

    tau: float = knob(0.1, 0.0, 2.0, step=0.005, unit=UNIT, help="0.1 is about 5.7 of 255 grey levels")
    monotone = True

    def score(self, tokens: Tokens, context: Context) -> Scores:
        """Difference to the tubelet before."""
        return neighbour_difference(tokens)

    def rule(self) -> Rule:
        """Strictly above tau, with run lengths."""
        return Threshold(self.tau, runs=True)


@register("rlt-topk")
@dataclass(frozen=True)
class RLTTopK:
    """The same differences with a fixed budget: the K tokens that changed most. Not RLT, but comparable at equal K."""

    keep: float = knob(0.5, 0.01, 1.0, step=0.01, unit="share of tokens", help="keep ratio K/N")
    per: str = choice("clip", ("clip", "frame"), help="choose over the whole clip, or the same share of every frame")
    monotone = True

    def score(self, tokens: Tokens, context: Context) -> Scores:
        """Difference to the tubelet before."""
        return neighbour_difference(tokens)

    def rule(self) -> Rule:
        """Top K; tubelet 0 ranks first, and falls to the seeded hash when K is smaller than it."""
        return best(self.keep, self.per)
