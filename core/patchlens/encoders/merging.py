"""The seam for mergers in the one transformer: between a block's attention and its MLP, or behind the block.

Every run of equally long segments shrinks together, as the merger's schedule says; where each token went is followed
through all blocks. Knows no merging algorithm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from patchlens.encoders.packing import Segments, attend, patch_places
from patchlens.merge import Look, Merger

if TYPE_CHECKING:
    from patchlens.encoders.block import Block
    from patchlens.encoders.vit import Check, Output, ViT


@dataclass(eq=False)
class Stream:
    """A packed sequence on its way through the blocks, and what became of the tokens that entered.

    size  float32 (S,): tokens that each one stands for
    who   int64 (S,): the packed place at which each one entered
    into  int64 (S at the start,): the packed place of each token now, or of the one it joined; -1 dropped
    """

    x: Tensor
    segments: Segments
    size: Tensor
    who: Tensor
    into: Tensor

    @classmethod
    def start(cls, x: Tensor, segments: Segments) -> Stream:
        """Nothing merged yet; every token has size 1."""
        place = torch.arange(len(x), device=x.device)
        return cls(x, segments, torch.ones(len(x), device=x.device), place, place)

    def shrink(self, merger: Merger, lengths: dict[int, int], queries: Tensor, keys: Tensor, **at: int) -> None:
        """Shorten each run of segments from its length to `lengths[length]`; `at` says front, block and depth."""
        if all(length == left for length, left in lengths.items()):
            return
        parts, base = [], 0
        moved = torch.empty(len(self.x), dtype=torch.long, device=self.x.device)
        for start, count, length in self.segments.runs:
            here, left = slice(start, start + count * length), lengths[length]
            x, size, q, k = (v[here].unflatten(0, (count, length)) for v in (self.x, self.size, queries, keys))
            offset = base + left * torch.arange(count, device=x.device)[:, None]
            if left == length:
                parts.append((self.x[here], self.size[here], self.who[here]))
                moved[here] = torch.arange(base, base + count * left, device=x.device)
            else:
                merge = merger.decide(Look(x, q, k, size, left, **at))
                shorter, sizes = merge.apply(x)
                who = self.who[here].unflatten(0, (count, length)).gather(1, merge.stay)
                parts.append((shorter.flatten(0, 1), sizes.flatten(), who.flatten()))
                moved[here] = torch.where(merge.into >= 0, merge.into + offset, -1).flatten()
            base += count * left
        self.x, self.size, self.who = (torch.cat(p) for p in zip(*parts, strict=True))
        self.into = torch.where(self.into >= 0, moved[self.into.clamp(min=0)], -1)
        self.segments = Segments(tuple(lengths[length] for length in self.segments.lengths))


def run_merged(
    vit: ViT,
    x: Tensor,
    segments: Segments,
    where: Tensor | None,
    counts: tuple[int, ...],
    merger: Merger,
    backend: str | None = None,
    check: Check | None = None,
    weights: Tensor | None = None,
) -> Output:
    """An assembled sequence (S, D) through all blocks, pooling and head, shortened as the merger's schedules say.

    Patches start with `weights` (K,) as sizes where there are some. Those that survive come out in the order in which they
    entered.
    """
    entered = torch.arange(len(x), device=x.device) if where is None else where
    stream, front = Stream.start(x, segments), segments.lengths[0] - counts[0]
    if weights is not None:
        stream.size[entered] = weights.float()
    _trunk(vit, stream, merger, front, backend, check)
    number = torch.full((len(x),), -1, dtype=torch.long, device=x.device)
    number[entered] = torch.arange(len(entered), device=x.device)  # of each packed place among the patches
    left = tuple(length - front for length in stream.segments.lengths)
    here = patch_places(left, front, x.device)
    here = here[number[stream.who[here]].argsort()]
    by_size = merger.pool_by_size or weights is not None
    output = vit.finish(stream.x, stream.segments, here, left, stream.size[here] if by_size else None)
    into = stream.into[entered]
    return output._replace(groups=torch.where(into >= 0, number[stream.who[into.clamp(min=0)]], -1))


def _trunk(vit: ViT, stream: Stream, merger: Merger, front: int, backend: str | None, check: Check | None) -> None:
    depth = len(vit.blocks)
    plans = [merger.lengths(length, depth, front) for length in set(stream.segments.lengths)]
    for number, block in enumerate(vit.blocks):
        if check:
            check()
        inside = dict(plan[number] for plan in plans)
        behind = {plan[number][1]: plan[number + 1][0] for plan in plans if number + 1 < depth}
        _block(block, stream, merger, (inside, behind), backend, front=front, block=number, depth=depth)


def _block(
    layer: Block, stream: Stream, merger: Merger, lengths: tuple[dict[int, int], dict[int, int]], backend: str | None,
    **at: int,
) -> None:  # fmt: skip
    inside, behind = lengths
    q, k, v = layer.attention.split(layer.norm1(stream.x))
    bias = stream.size.log() if merger.attend_by_size and bool((stream.size != 1).any()) else None
    stream.x = stream.x + layer.attention.join(attend(q, k, v, stream.segments, backend, bias))
    stream.shrink(merger, inside, q, k, **at)
    stream.x = stream.x + layer.mlp_output(stream.x)
    if len(q) == len(stream.x):  # nothing left inside, so the keys are still those of these tokens
        stream.shrink(merger, behind, q, k, **at)
