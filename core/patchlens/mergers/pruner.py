"""A learned pruner in DynamicViT's manner: before three blocks a small trained network says which tokens go on.

Source: Rao et al., DynamicViT (arXiv 2106.02034). Before the blocks at a quarter, half and three quarters of the depth the
top share rho of the patches still there goes on, by the network's score, in their order; the others are dropped for good.
It is the one merger here that was trained: against ToMe, STA or vid-TLDR it had labels and clips that they never saw.
Departures: the backbone stays as it is (the paper fine-tunes it with the network); one network serves every rho, whatever
share it was trained at; class and register tokens take no part.
"""

from __future__ import annotations

from dataclasses import dataclass

from patchlens.flops import Schedule, pruned_blocks, pruned_schedule
from patchlens.knobs import knob, text
from patchlens.lazy import torch
from patchlens.merge import Cut, Look, Merge
from patchlens.registry import register

BUNDLED = "a pruner trained for tiny-video"


@register("pruner", "merger")
@dataclass(frozen=True)
class Pruning:
    """DynamicViT's way: a trained network drops all but a share rho of the tokens, at three stages.

    weights  "auto": the pruner that ships for tiny-video; or a file that `patchlens train pruner` wrote
    """

    rho: float = knob(0.6, 0.05, 1.0, step=0.005, unit="share of tokens kept at each of three stages",
                      help="rho, rho^2 and rho^3 of all are left; the one that ships was trained at 0.6")  # fmt: skip
    weights: str = text("auto", help="auto (the pruner of tiny-video), or a file that `patchlens train pruner` wrote")
    requires = frozenset({BUNDLED})
    attend_by_size = False
    pool_by_size = False

    def __post_init__(self) -> None:
        if self.weights != "auto":  # a file of one's own serves any encoder of its width
            object.__setattr__(self, "requires", frozenset())

    def lengths(self, length: int, depth: int, front: int) -> Schedule:
        """Shorter by the factor rho before each of three blocks."""
        return pruned_schedule(length, depth, self.rho, front)

    def decide(self, look: Look) -> Merge:
        """The tokens of the highest score, in their old order; equal scores go by place."""
        from patchlens.pruner import pruner_for, score_tokens

        stage = pruned_blocks(look.depth).index(look.block + 1)
        scores = score_tokens(pruner_for(self.weights)[0], stage, look.x[:, look.front :])
        best = scores.argsort(dim=1, descending=True, stable=True)[:, : look.length - look.front].sort(1).values
        front = torch.arange(look.front, device=best.device).expand(len(best), -1)
        return Merge.drop(torch.cat([front, best + look.front], 1), look.size)

    def macs(self, cut: Cut, width: int, heads: int) -> int:
        """The network, on every patch that is still there."""
        from patchlens.pruner import scorer_macs

        return scorer_macs(width, cut.length - cut.front)
