"""Features of a video frame by frame, however long it is: pieces come in, features go out, and little is held.

In an interleaved plan (ResidualViT) a piece is encoded up to its last I-frame, from which the next one starts, so that
the result does not depend on where the pieces end (but for random scores and ties of equal ones). Knows no file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from patchlens.encoders.batches import predicted
from patchlens.encoders.costs import cost_of
from patchlens.keep import keep_of
from patchlens.merge import Merger
from patchlens.pipeline import RunContext
from patchlens.registry import Selector, misfit
from patchlens.types import Clip, Keep, MotionMap

if TYPE_CHECKING:
    from patchlens.encoders.encoder import Encoder


@dataclass(frozen=True, eq=False)
class Part:
    """Consecutive frames: times float64 (T,) in seconds, features float32 (T, D), which are I-frames bool (T,), and cost.

    gmacs: what encoding them took, selector included; full: what every frame in full would have.
    """

    times: Tensor
    features: Tensor
    intra: Tensor
    gmacs: float
    full: float


def stream(
    pieces: Iterable[Clip],
    encoder: Encoder,
    selector: Selector | None = None,
    seed: int = 0,
    check: Callable[[], None] | None = None,
    known: Tensor | None = None,
    merger: Merger | None = None,
) -> Iterator[Part]:
    """Features of clips that follow one another, in full or by a plan such as `residualvit:n=2,p=0.85`.

    merger: shortens the sequence inside the blocks, of an interleaved plan in its P-frames.

    known: features (all frames, D) in full, from which an interleaved plan then takes its I-frames; their cost counts all
    the same.
    Raises ValueError for an encoder of whole clips, or a plan that it cannot run.
    """
    if encoder.segments != "frame":
        raise ValueError(f"{encoder.name} sees whole clips; give an encoder of single frames, such as tiny-clip.")
    for part in filter(None, (selector, merger)):
        if problem := misfit(part, encoder.offers, encoder.name):
            raise ValueError(problem)
    held: Clip | None = None
    at = 0
    for clip, last in _flagged(pieces):
        clip = encoder.fit(clip)
        clip = clip if held is None else joined(held, clip)
        tokens = encoder.tokens(clip)
        keep, own = Keep(torch.ones(tokens.grid.n, dtype=torch.bool), tokens.grid), 0.0
        if selector is not None:
            scores = selector.score(tokens, RunContext(encoder, clip, None, seed, check))
            keep, own = keep_of([(scores, selector.rule())], tokens.grid, seed, True), scores.gmacs
        end = len(clip.frames) if last or keep.anchor is None else int(keep.anchor[-1])
        if end:
            here = None if known is None else known[at : at + end]
            yield _part(encoder, first_frames(clip, end), keep, own * end / len(clip.frames), here, merger, check)
            at += end
        held = None if end == len(clip.frames) else later_frames(clip, end)


def _flagged(pieces: Iterable[Clip]) -> Iterator[tuple[Clip, bool]]:
    """Each piece, and whether it is the last one."""
    before: Clip | None = None
    for piece in pieces:
        if before is not None:
            yield before, False
        before = piece
    if before is not None:
        yield before, True


def _part(
    encoder: Encoder, clip: Clip, keep: Keep, own: float, known: Tensor | None, merger: Merger | None,
    check: Callable[[], None] | None,
) -> Part:  # fmt: skip
    tokens, count = encoder.tokens(clip), len(clip.frames)
    anchor = None if keep.anchor is None else keep.anchor[:count]
    mine = Keep(keep.mask[: tokens.grid.n], tokens.grid, None, anchor, keep.residual, coarse=keep.coarse)
    whole = Keep(torch.ones_like(mine.mask), tokens.grid)
    if known is None or anchor is None:
        frames = encoder.encode(tokens, mine, check, merger).frames
    else:
        frames = predicted(encoder, tokens, mine, known, check, merger)
    cost, merging = cost_of(encoder, mine, merger)
    return Part(clip.times, frames, mine.intra, cost.total + merging + own, cost_of(encoder, whole)[0].total)


def first_frames(clip: Clip, count: int) -> Clip:
    """The first `count` frames of a clip."""
    return _cut(clip, slice(0, count))


def later_frames(clip: Clip, start: int) -> Clip:
    """A clip without its first `start` frames."""
    return _cut(clip, slice(start, None))


def _cut(clip: Clip, part: slice) -> Clip:
    moved = clip.motion
    ways = None if moved is None or moved.flow is None else moved.flow[part]
    motion = moved and replace(moved, values=moved.values[part], flow=ways)
    frames, display, times = clip.frames[part], clip.display[part], clip.times[part]
    return replace(clip, frames=frames, display=display, times=times, motion=motion, proxy=None)


def joined(first: Clip, second: Clip) -> Clip:
    """Two clips of one source, one behind the other."""
    motion = None
    if first.motion and second.motion:
        a, b = first.motion, second.motion
        ways = None if a.flow is None or b.flow is None else torch.cat([a.flow, b.flow])
        motion = MotionMap(torch.cat([a.values, b.values]), b.kind, a.seconds + b.seconds, ways)
    parts = {name: torch.cat([getattr(first, name), getattr(second, name)]) for name in ("frames", "display", "times")}
    return replace(second, **parts, motion=motion, proxy=None)
