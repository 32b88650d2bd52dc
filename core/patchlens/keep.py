"""How scores become a Keep: a few declarative rules and the Python interpreter that runs them.

`viewer/keep.js` is the same interpreter in the browser; a test holds the two equal on random scores, so everything
here is exact: float32 comparisons, integer counts, and ties broken by a seeded integer hash, never by token order.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from patchlens.adaptive import Adaptive
from patchlens.interleave import Interleave, blocks, coarser, schedule, survivors
from patchlens.lazy import torch
from patchlens.types import Grid, Keep, Scores

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class All:
    """Keep every token."""


@dataclass(frozen=True)
class TopK:
    """Keep the best floor(keep*N) tokens of the clip, at least one."""

    keep: float


@dataclass(frozen=True)
class TopKPerFrame:
    """Keep the best floor(keep*h*w) tokens of every tubelet (or frame), at least one of each."""

    keep: float


@dataclass(frozen=True)
class Strided:
    """Keep evenly spaced token numbers: floor(i*(N-1)/(K-1)) for i < K, over the clip or in every tubelet."""

    keep: float
    per_frame: bool = False


@dataclass(frozen=True)
class Threshold:
    """Keep what is strictly above `tau` in float32; with `runs`, dropped tokens lengthen the run of the last kept one.

    weighted: the mean over tokens behind the last block counts each by its run length.
    """

    tau: float
    runs: bool = False
    weighted: bool = False


Rule = All | Adaptive | TopK | TopKPerFrame | Strided | Threshold | Interleave
_KINDS = {
    All: "all",
    Adaptive: "adaptive",
    TopK: "topk",
    TopKPerFrame: "topk_per_frame",
    Strided: "strided",
    Threshold: "threshold",
    Interleave: "interleave",
}


def best(keep: float, per: str) -> Rule:
    """The ranking rule over the whole clip (`per` = "clip") or in every tubelet ("frame")."""
    return TopKPerFrame(keep) if per == "frame" else TopK(keep)


def rule_json(rule: Rule) -> dict[str, Any]:
    """A rule as the plain data that `viewer/keep.js` reads."""
    return {"kind": _KINDS[type(rule)], **asdict(rule)}


def budget(keep: float, count: int) -> int:
    """K for a keep ratio: floor(keep*count), at least 1; the 1e-9 undoes binary round-off (0.29*100 is 28.999...)."""
    return max(1, int(np.floor(keep * count + 1e-9)))


def tie_hash(n: int, seed: int) -> np.ndarray:
    """A permutation-like uint32 per token number, from the 32-bit finaliser of MurmurHash3 (public domain).

    It is a bijection of the token number for a given seed, so no two tokens ever tie.
    """
    h = np.arange(n, dtype=np.uint32) * np.uint32(0x9E3779B1) + np.uint32(seed & 0xFFFFFFFF)
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= np.uint32(0xC2B2AE35)
    return h ^ (h >> np.uint32(16))


def ranking(scores: Scores, seed: int) -> np.ndarray:
    """Token numbers from best to worst, int64 (N,): by value, then `fine`, then the seeded hash."""
    values = scores.values.numpy()
    fine = np.zeros_like(values) if scores.fine is None else scores.fine.numpy()
    return np.lexsort((tie_hash(len(values), seed), -fine, -values))


def ranks(scores: Scores, seed: int) -> np.ndarray:
    """Rank 1..N of every token, 1 the best, int64 (N,): the inverse of `ranking`."""
    order = ranking(scores, seed)
    out = np.empty(len(order), np.int64)
    out[order] = np.arange(1, len(order) + 1)
    return out


def _best(order: np.ndarray, allowed: np.ndarray, k: int) -> np.ndarray:
    """The first k token numbers of `order` that are allowed."""
    return order[allowed[order]][:k]


def _per_frame(order: np.ndarray, allowed: np.ndarray, grid: Grid, keep: float) -> np.ndarray:
    mask = np.zeros(grid.n, dtype=bool)
    for t in range(grid.t):
        inside = np.zeros(grid.n, dtype=bool)
        inside[t * grid.per_frame : (t + 1) * grid.per_frame] = True
        here = allowed & inside
        if here.any():
            mask[_best(order, here, budget(keep, int(here.sum())))] = True
    return mask


def spaced(members: np.ndarray, k: int) -> np.ndarray:
    """k evenly spaced ones of the members, first and last among them, in integer arithmetic."""
    return members[np.arange(k) * (len(members) - 1) // max(1, k - 1)]


def _strided(allowed: np.ndarray, keep: float) -> np.ndarray:
    members = np.flatnonzero(allowed)
    mask = np.zeros(len(allowed), dtype=bool)
    mask[spaced(members, budget(keep, len(members)))] = True
    return mask


def _strided_per_frame(allowed: np.ndarray, grid: Grid, keep: float) -> np.ndarray:
    frames = allowed.reshape(grid.t, -1)
    return np.concatenate([_strided(f, keep) if f.any() else f for f in frames])


def _interleaved(scores: Scores, rule: Interleave, allowed: np.ndarray, grid: Grid, seed: int) -> np.ndarray:
    change = None if scores.change is None else scores.change.numpy()
    anchors, mask = schedule(rule, grid.t, change), allowed.copy()
    order = ranking(scores, seed)
    by_frame = order[np.argsort(order // grid.per_frame, kind="stable")].reshape(grid.t, -1)  # best first in each
    coarse = coarser(rule, grid.h, grid.w)
    first = None if coarse is None else blocks(grid.h, grid.w, coarse)
    for t in np.flatnonzero(anchors < np.arange(grid.t)):
        ranked = by_frame[t][allowed[by_frame[t]]]
        mask[ranked] = False
        if first is not None:
            whole = t * grid.per_frame + first[ranked % grid.per_frame]
            ranked = whole[np.sort(np.unique(whole, return_index=True)[1])]
        k = survivors(rule.p, len(ranked))
        mask[spaced(np.sort(ranked), k) if rule.even else ranked[:k]] = True
    return mask


def decide(scores: Scores, rule: Rule, grid: Grid, seed: int = 0, within: np.ndarray | None = None) -> np.ndarray:
    """Which tokens one rule keeps, bool (N,), among those in `within` (all tokens without it); never none."""
    allowed = np.ones(grid.n, dtype=bool) if within is None else within
    if isinstance(rule, Adaptive):
        rule = TopK(rule.ratio(scores.confidence))
    match rule:
        case All():
            mask = allowed.copy()
        case TopK(keep):
            mask = np.zeros(grid.n, dtype=bool)
            mask[_best(ranking(scores, seed), allowed, budget(keep, int(allowed.sum())))] = True
        case TopKPerFrame(keep):
            mask = _per_frame(ranking(scores, seed), allowed, grid, keep)
        case Strided(keep, per_frame):
            mask = _strided_per_frame(allowed, grid, keep) if per_frame else _strided(allowed, keep)
        case Threshold(tau):
            mask = allowed & (scores.values.numpy() > np.float32(tau))
        case Interleave():
            mask = _interleaved(scores, rule, allowed, grid, seed)
    if not mask.any():
        mask[_best(ranking(scores, seed), allowed, 1)] = True
    return mask


def fill_first_frame(mask: np.ndarray, scores: Scores, grid: Grid, seed: int, within: np.ndarray) -> np.ndarray:
    """Give frame 0 its best token where it has none, in exchange for the worst kept one (K stays).

    A frame encoder repeats the previous feature for an empty frame; the first frame has no previous one.
    """
    first = np.arange(grid.n) < grid.per_frame
    if mask[first].any():
        return mask
    order = ranking(scores, seed)
    candidates = first & within if (first & within).any() else first
    mask = mask.copy()
    mask[_best(order, mask, int(mask.sum()))[-1]] = False
    mask[_best(order, candidates, 1)] = True
    return mask


def run_lengths(mask: np.ndarray, grid: Grid) -> np.ndarray:
    """Tubelets each kept token stands for, int64 (N,) in (t, y, x) order: up to the next kept one at its place.

    Source: RLT sec. 3; the released code returns them in (y, x, t) order, which pairs lengths with wrong tokens.
    """
    kept = mask.reshape(grid.t, -1)
    lengths = np.zeros(kept.shape, dtype=np.int64)
    until = np.full(kept.shape[1], grid.t)
    for t in range(grid.t - 1, -1, -1):
        lengths[t] = np.where(kept[t], until - t, 0)
        until = np.where(kept[t], t, until)
    return lengths.reshape(-1)


def keep_of(stages: list[tuple[Scores, Rule]], grid: Grid, seed: int = 0, per_frame: bool = False) -> Keep:
    """The decision of a whole plan: each stage chooses among what the one before left.

    `per_frame` says that the encoder reads frame by frame, so that the first frame may not be empty.
    """
    mask = np.ones(grid.n, dtype=bool)
    for scores, rule in stages:
        before, mask = mask, decide(scores, rule, grid, seed, mask)
        if per_frame:
            mask = fill_first_frame(mask, scores, grid, seed, before)
    kept = torch.from_numpy(mask)
    match stages:
        case [(scores, Interleave() as rule)]:
            change = None if scores.change is None else scores.change.numpy()
            anchor, coarse = torch.from_numpy(schedule(rule, grid.t, change)), coarser(rule, grid.h, grid.w)
            return Keep(kept, grid, None, anchor, rule.residual, coarse=coarse)
        case [(_, Threshold(runs=True) as rule)] if mask[: grid.per_frame].all():
            return Keep(kept, grid, torch.from_numpy(run_lengths(mask, grid)), weighted=rule.weighted)
    return Keep(kept, grid, embeds_all=any(scores.embeds_all for scores, _ in stages))


def covered(keep: Keep) -> Tensor:
    """Which patches of the picture a kept token stands for, bool (N,): the mask, but for P-frames of lower resolution."""
    if keep.coarse is None:
        return keep.mask
    first, mask = torch.from_numpy(blocks(keep.grid.h, keep.grid.w, keep.coarse)), keep.mask.reshape(keep.grid.t, -1)
    return torch.where(keep.intra[:, None], mask, mask[:, first]).reshape(-1)
