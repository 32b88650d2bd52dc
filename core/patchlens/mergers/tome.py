"""ToMe: in every block the most alike tokens become one, their mean weighted by how many each stands for.

Source: Bolya et al., Token Merging (ICLR 2023), sec. 3: tokens at even places look for the most similar one at odd places
by the cosine of their keys (mean over heads), and the r closest pairs merge between attention and MLP. Unmerged even
tokens come first, then the odd ones. Departure: protected tokens stay in front, whatever their parity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from patchlens.flops import Schedule, tome_schedule
from patchlens.knobs import choice, knob
from patchlens.lazy import torch
from patchlens.merge import Cut, Look, Merge
from patchlens.registry import register

if TYPE_CHECKING:
    from torch import Tensor


@register("tome", "merger")
@dataclass(frozen=True)
class ToMe:
    """Token Merging: in every block the r most alike tokens become one with their likes."""

    r: int = knob(8, 0, 2048, step=1, unit="tokens merged per block", help="at most half of them")
    schedule: str = choice("constant", ("constant", "decreasing"), help="r in every block, or falling from 2r to 0")
    proportional: str = choice("off", ("off", "on"), help="log size in attention; off suits MAE models not trained with it")
    pool: str = choice("size", ("size", "plain"), help="the mean behind the last block weighted by size, or plain")

    @property
    def attend_by_size(self) -> bool:
        """Proportional attention."""
        return self.proportional == "on"

    @property
    def pool_by_size(self) -> bool:
        """A merged token counts for all that it stands for."""
        return self.pool == "size"

    def lengths(self, length: int, depth: int, front: int) -> Schedule:
        """Shorter by r between attention and MLP of every block."""
        return tome_schedule(length, depth, self.r, -1.0 if self.schedule == "decreasing" else 0.0, front)

    def decide(self, look: Look) -> Merge:
        """The closest pairs by keys."""
        return match(look.keys.float().mean(2), look).merge(look.size)

    def macs(self, cut: Cut, width: int, heads: int) -> int:
        """The similarities of even with odd tokens."""
        return pair_macs(cut.length, width // heads)


@dataclass(frozen=True, eq=False)
class Match:
    """Who joins whom: the even and odd places, and for B sequences which even ones `join` which odd `mates`, (B, r) each.

    Numbers in `join` and `mates` count within the even and the odd places.
    """

    look: Look
    even: Tensor
    odd: Tensor
    join: Tensor
    mates: Tensor

    def merge(self, weight: Tensor) -> Merge:
        """The decision, with each token's weight (B, L)."""
        batch, length = weight.shape
        front = torch.arange(self.look.front, device=weight.device)
        stays = torch.ones(batch, length, dtype=torch.bool, device=weight.device)
        stays.scatter_(1, self.even[self.join], False)
        order = torch.cat([front, self.even[self.even >= len(front)], self.odd[self.odd >= len(front)]]).expand(batch, -1)
        stay = order[stays.gather(1, order)].unflatten(0, (batch, -1))
        place = torch.arange(stay.shape[1], device=weight.device).expand(batch, -1)
        into = torch.zeros(batch, length, dtype=torch.long, device=weight.device).scatter_(1, stay, place)
        return Merge(stay, into.scatter_(1, self.even[self.join], into.gather(1, self.odd[self.mates])), weight)


def match(features: Tensor, look: Look) -> Match:
    """Pair tokens at even places with their likes at odd places by cosine of `features` (B, L, F), closest first.

    Protected tokens take no part.
    """
    length, r = features.shape[1], features.shape[1] - look.length
    place = torch.arange(length, device=features.device)
    even, odd = place[::2], place[1::2]
    unit = torch.nn.functional.normalize(features.float(), dim=-1)
    alike = unit[:, ::2] @ unit[:, 1::2].transpose(1, 2)  # (B, even, odd)
    alike[:, even < look.front] = -torch.inf
    alike[:, :, odd < look.front] = -torch.inf
    best, mate = alike.max(-1)
    join = best.argsort(dim=-1, descending=True, stable=True)[:, :r]
    return Match(look, even, odd, join, mate.gather(1, join))


def pair_macs(length: int, features: int) -> int:
    """Multiply-accumulates of comparing even with odd places."""
    return (length + 1) // 2 * (length // 2) * features
