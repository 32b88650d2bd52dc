"""What a merger decides: which tokens go on inside the blocks, which join another, which are dropped.

Selectors choose before the first block (`keep.py`); mergers shorten the sequence between or inside blocks. How short is
known beforehand (`lengths`, from which costs follow in closed form); which tokens go is decided on what a block sees
(`Look`), for B sequences of equal length at once. Knows no model and no algorithm.
Letters: B sequences, L their length, M the length they get, P protected tokens in front (class, registers, residual).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from patchlens.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from patchlens.flops import Schedule


@dataclass(frozen=True, eq=False)
class Look:
    """What a merger may look at, of B sequences of equal length L.

    x             (B, L, D) the sequence as it is to be shortened
    queries, keys (B, L, heads, dh) of this block's attention
    size          float32 (B, L): how many of the tokens that entered each one stands for
    length        M, to which the sequence shrinks now
    front         P, the tokens in front that stay as and where they are
    block, depth  the block's number, and how many there are
    """

    x: Tensor
    queries: Tensor
    keys: Tensor
    size: Tensor
    length: int
    front: int
    block: int
    depth: int


@dataclass(frozen=True, eq=False)
class Merge:
    """A merger's decision for B sequences.

    stay    int64 (B, M): the tokens that go on, in their new order, the protected ones first
    into    int64 (B, L): the new place of each token (its own, or that of the one it joins), -1 where it is dropped
    weight  float32 (B, L): its share in the mean, and in the new size
    """

    stay: Tensor
    into: Tensor
    weight: Tensor

    @classmethod
    def drop(cls, stay: Tensor, size: Tensor) -> Merge:
        """Drop all but `stay` (B, M); sizes stay what they are."""
        into = torch.full(size.shape, -1, dtype=torch.long, device=size.device)
        place = torch.arange(stay.shape[1], device=size.device)
        return cls(stay, into.scatter_(1, stay, place.expand_as(stay)), size)

    def apply(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The shortened sequence (B, M, D), means weighted by `weight`, and the new sizes (B, M)."""
        batch, length = self.into.shape
        stay = self.stay[..., None].expand(-1, -1, x.shape[-1])
        joins = self.into >= 0
        joins.scatter_(1, self.stay, False)
        rows = joins.flatten().nonzero().squeeze(1)
        if not len(rows):
            return x.gather(1, stay), self.weight.gather(1, self.stay)
        place = (self.into + self.stay.shape[1] * torch.arange(batch, device=x.device)[:, None]).flatten()[rows]
        weighted = x.float() * self.weight[..., None]
        total = weighted.gather(1, stay).flatten(0, 1).index_add(0, place, weighted.flatten(0, 1)[rows])
        size = self.weight.gather(1, self.stay).flatten().index_add(0, place, self.weight.flatten()[rows])
        return (total / size[:, None]).to(x.dtype).unflatten(0, (batch, -1)), size.unflatten(0, (batch, -1))


@dataclass(frozen=True)
class Cut:
    """Where one sequence is shortened: from `length` to `left` tokens in `block` of `depth`; P = `front`."""

    block: int
    depth: int
    length: int
    left: int
    front: int


def cuts(schedule: Schedule, front: int) -> list[Cut]:
    """Where a schedule shortens the sequence, inside blocks (between attention and MLP) and behind them."""
    depth, out = len(schedule), []
    for block, (attention, mlp) in enumerate(schedule):
        after = schedule[block + 1][0] if block + 1 < depth else mlp
        steps = [(attention, mlp), (mlp, after)]
        out += [Cut(block, depth, length, left, front) for length, left in steps if left < length]
    return out


class Merger(Protocol):
    """A frozen dataclass whose fields are its knobs, registered with `@register(name, "merger")`; see `mergers/tome.py`.

    What happens in a block follows from its number and the length of the sequence alone, so that costs are known before.
    attend_by_size  attention adds log size to its logits (ToMe's proportional attention)
    pool_by_size    the mean behind the last block is weighted by size
    """

    name: str
    requires: frozenset[str]
    attend_by_size: bool
    pool_by_size: bool

    def lengths(self, length: int, depth: int, front: int) -> Schedule:
        """(attention, MLP) lengths of every block for a sequence of `length`; a fall behind a block's MLP acts there."""
        ...

    def decide(self, look: Look) -> Merge:
        """Which tokens make up the shortened sequence."""
        ...

    def macs(self, cut: Cut, width: int, heads: int) -> int:
        """Multiply-accumulates of deciding one cut of one sequence: its own cost."""
        ...


def mean_share(schedule: Schedule, front: int) -> float:
    """Patches in a block's layers over those that entered, averaged over attention and MLP of every block."""
    entered: Sequence[int] = [schedule[0][0] - front] * 2
    return sum(a + m - 2 * front for a, m in schedule) / (sum(entered) * len(schedule))
