"""Packing: sequences of different lengths as one long one, with attention that never crosses a border.

A batch is `x` of shape (S, D) plus `Segments` (the lengths, summing to S); nothing is padded. Three backends compute
the same block-diagonal attention: "segments" (SDPA once per run of equal lengths), "varlen" (GPU flash attention over
the packed sequence) and "masked" (one SDPA with a block mask: quadratic, the reference that tests compare with).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class Segments:
    """Lengths of the sequences that are packed one after the other."""

    lengths: tuple[int, ...]

    @property
    def total(self) -> int:
        """S, the length of the packed sequence."""
        return sum(self.lengths)

    @cached_property
    def runs(self) -> tuple[tuple[int, int, int], ...]:
        """(start, count, length) of each run of neighbouring segments that are equally long."""
        out, start = [], 0
        for length, group in groupby(self.lengths):
            count = len(list(group))
            out.append((start, count, length))
            start += count * length
        return tuple(out)

    def owner(self, device: torch.device | str = "cpu") -> Tensor:
        """The segment of each packed position, int64 (S,)."""
        lengths = torch.tensor(self.lengths, device=device)
        return torch.repeat_interleave(torch.arange(len(self.lengths), device=device), lengths)

    def bounds(self, device: torch.device | str) -> Tensor:
        """Cumulative starts, int32 (segments + 1,), as variable-length flash attention wants them."""
        ends = torch.tensor((0, *self.lengths), device=device).cumsum(0)
        return ends.to(torch.int32)


def pick_backend(x: Tensor, segments: Segments) -> str:
    """The fastest backend that can run here."""
    half = x.dtype in (torch.bfloat16, torch.float16)
    if x.is_cuda and half and len(segments.runs) > 1:
        return "varlen"
    return "segments"


def attend(
    q: Tensor, k: Tensor, v: Tensor, segments: Segments, backend: str | None = None, bias: Tensor | None = None
) -> Tensor:
    """Softmax attention within each segment; q, k, v and the result are (S, heads, dh).

    bias (S,) is added to the logits of each key; flash attention has no place for one.
    Raises ValueError for an unknown backend, and for "varlen" with a bias.
    """
    backend = backend or ("segments" if bias is not None else pick_backend(q, segments))
    if backend == "segments":
        return _per_run(q, k, v, segments, bias)
    if backend == "varlen" and bias is None:
        return _varlen(q, k, v, segments)
    if backend == "masked":
        return _masked(q, k, v, segments, bias)
    if backend == "varlen":
        raise ValueError("attention backend varlen takes no bias on keys; choose segments or masked.")
    raise ValueError(f"attention backend is {backend!r}; choose segments, varlen or masked.")


def _sdpa(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """(B, L, heads, dh) in and out."""
    out = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), mask)
    return out.transpose(1, 2)


def _per_run(q: Tensor, k: Tensor, v: Tensor, segments: Segments, bias: Tensor | None = None) -> Tensor:
    parts = []
    for start, count, length in segments.runs:
        end = start + count * length
        block = [x[start:end].unflatten(0, (count, length)) for x in (q, k, v)]
        extra = None if bias is None else bias[start:end].to(q.dtype).reshape(count, 1, 1, length)
        parts.append(_sdpa(*block, extra).flatten(0, 1))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _varlen(q: Tensor, k: Tensor, v: Tensor, segments: Segments) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    bounds, longest = segments.bounds(q.device), max(segments.lengths)
    return varlen_attn(q, k, v, bounds, bounds, longest, longest)


def _masked(q: Tensor, k: Tensor, v: Tensor, segments: Segments, bias: Tensor | None = None) -> Tensor:
    owner = segments.owner(q.device)
    mask = owner[:, None] == owner[None, :]
    if bias is not None:
        mask = torch.where(mask, bias.to(q.dtype), -torch.inf)
    return _sdpa(q[None], k[None], v[None], mask)[0]


def segment_mean(x: Tensor, segments: Segments, weights: Tensor | None = None) -> Tensor:
    """Mean of each segment, (segments, D), in float32; weighted by `weights` (S,) where there are some.

    Runs of equal length are a plain mean, so that a packed batch gives the same bits as one clip alone.
    """
    parts = []
    for start, count, length in segments.runs:
        block = x[start : start + count * length].unflatten(0, (count, length))
        if weights is None:
            parts.append(block.float().mean(1))
            continue
        share = weights[start : start + count * length].float().unflatten(0, (count, length))
        parts.append((block.float() * (share / share.sum(1, keepdim=True))[..., None]).sum(1))
    return torch.cat(parts)


def patch_places(counts: tuple[int, ...], front: int, device: torch.device | str = "cpu") -> Tensor:
    """Packed positions of the patches when `front` extra tokens lead each segment, int64 (K,)."""
    owner = Segments(counts).owner(device)
    return torch.arange(len(owner), device=device) + front * (owner + 1)


def batches(sizes: Sequence[int], most: int) -> list[list[int]]:
    """Packed batches filled by tokens: item numbers in groups of at most `most` tokens, at least one item each.

    Like sizes come together, longest first.
    """
    out: list[list[int]] = []
    total = 0
    for i in sorted(range(len(sizes)), key=lambda i: (-sizes[i], i)):
        if not out or total + sizes[i] > most:
            out.append([])
            total = 0
        out[-1].append(i)
        total += sizes[i]
    return out


def filled(items: Iterable[T], size: Callable[[T], int], most: int) -> Iterator[list[T]]:
    """A stream in its own order, cut into batches of at most `most` tokens each, at least one item; for training.

    What is left at the stream's end is a last, smaller batch.
    """
    batch: list[T] = []
    total = 0
    for item in items:
        if batch and total + size(item) > most:
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size(item)
    if batch:
        yield batch
