"""What P-frames get out of the I-frame they lean on: their features with and without the residual token, and what a frame
costs, said in four ways.

Only P-frames are run again; the full run and the plan's own are those of the trace. Knows no page.
Source: ResidualViT (arXiv 2509.13255) sec. 3 and eq. (1).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from patchlens.encoders.batches import predicted
from patchlens.encoders.costs import cost_of
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.vit import Check
from patchlens.evaluation.counted import flop_counter
from patchlens.flops import interleave_ratio
from patchlens.interleave import Interleave, coarser, survivors
from patchlens.merge import Merger
from patchlens.metrics import cosine
from patchlens.specs import parse_merger
from patchlens.types import Grid, Keep, Trace

DIGITS = 6


def leaning(trace: Trace, encoder: Encoder, check: Check | None = None) -> dict[str, Any]:
    """Frame by frame, how near an interleaved plan stays to the full run with the token and without it, as plain data.

    token       what "with" gives P-frames: the plan's own "on" or "zero"; "on" where the plan gives none and the encoder
                has a tokenizer; None where it has not
    with, without   cosine of each frame to the full run, (t,); "with" is None where there is no token
    adds        the difference, (t,); 0 for I-frames; None likewise
    held        cosine where P-frames are not looked at and take their I-frame's feature, as by the selector skip, (t,)
    intra       which frames are I-frames, (t,)
    cuts        numbers of the frames that begin a shot
    gmacs       per frame (see `per_frame`), and what torch counted while the plan ran once more: "counted"
    Raises ValueError for a plan without I-frames.
    """
    if trace.keep.anchor is None:
        raise ValueError(f"The plan {trace.request.plan} has no I- and P-frames; take residualvit.")
    keep, own = trace.keep, encoder.residual(trace.keep)
    token = own if own != "off" else "on" if encoder.tokenizer is not None else None
    near = {way: _near(trace, encoder, way, own, check) for way in ("off", token) if way}
    given = near[token] if token else None
    adds = None if given is None else [round(a - b, DIGITS) for a, b in zip(given, near["off"], strict=True)]
    change = trace.scores.change
    gmacs = {**per_frame(trace, encoder), "counted": _counted(trace, encoder, check)}
    return {
        "plan": trace.request.way,
        "token": token,
        "with": given,
        "without": near["off"],
        "adds": adds,
        "held": _rounded(cosine(trace.reference.frames, trace.reference.frames[keep.anchor])),
        "intra": keep.intra.tolist(),
        "cuts": [] if change is None else change.isinf().nonzero().squeeze(1).tolist(),
        "gmacs": {name: round(value, 9) for name, value in gmacs.items()},
    }


def _near(trace: Trace, encoder: Encoder, way: str, own: str, check: Check | None) -> list[float]:
    features = trace.encoding.frames if way == own else _features(trace, encoder, way, check)
    return _rounded(cosine(trace.reference.frames, features))


def _rounded(values: Tensor) -> list[float]:
    return [round(x, DIGITS) for x in values.tolist()]


def _features(trace: Trace, encoder: Encoder, way: str, check: Check | None) -> Tensor:
    """Features (t, D) under another way of giving P-frames their token, and else by the same decision."""
    tokens, merger = encoder.tokens(trace.clip), parse_merger(trace.request.merger)
    return predicted(encoder, tokens, replace(trace.keep, residual=way), trace.reference.frames, check, merger)


def per_frame(trace: Trace, encoder: Encoder) -> dict[str, float]:
    """Average GMACs per frame of an interleaved plan, in closed form; what selecting costs is left out.

    full    every frame in full, C
    short   eq. (1) as the paper shortens it: C (1 + q N) / (1 + N), q is the share of patches that a P-frame is given:
            1 - p, and of a lower resolution so much less
    group   eq. (1) with what a P-frame truly takes: an I-frame and its N P-frames, divided by 1 + N
    clip    the same over the clip's own frames: the first group and those that a cut ends early have more I-frames
    """
    keep, rule, grid = trace.keep, trace.stages[0][1], trace.grid
    merger = parse_merger(trace.request.merger)
    full = cost_of(encoder, Keep(torch.ones(grid.per_frame, dtype=torch.bool), _of(grid, 1)))[0].total
    small = coarser(rule, grid.h, grid.w)
    cells = math.prod(small) if small else grid.per_frame
    share = (1 - rule.p) * cells / grid.per_frame
    return {
        "full": full,
        "short": full * interleave_ratio(rule.n, 1 - share),
        "group": _spent(encoder, _group(rule, keep, grid, cells), merger) / (1 + rule.n),
        "clip": _spent(encoder, keep, merger) / grid.t,
    }


def _spent(encoder: Encoder, keep: Keep, merger: Merger | None) -> float:
    """Of the encoder and the merger."""
    cost, own = cost_of(encoder, keep, merger)
    return cost.total + own


def _of(grid: Grid, frames: int) -> Grid:
    return replace(grid, t=frames)


def _group(rule: Interleave, keep: Keep, grid: Grid, cells: int) -> Keep:
    """One complete group: an I-frame, and N P-frames that keep what the rule leaves them."""
    frames = 1 + rule.n
    mask = torch.zeros(frames, grid.per_frame, dtype=torch.bool)
    mask[0] = True
    mask[1:, : survivors(rule.p, cells)] = True
    anchor = torch.zeros(frames, dtype=torch.int64)
    return Keep(mask.reshape(-1), _of(grid, frames), None, anchor, keep.residual, coarse=keep.coarse)


def _counted(trace: Trace, encoder: Encoder, check: Check | None) -> float:
    """GMACs per frame that torch's flop counter sees while the plan runs."""
    tokens, merger = encoder.tokens(trace.clip), parse_merger(trace.request.merger)
    with flop_counter() as counter:  # one attention call per length: the counter knows no packed kernel
        encoder.encode_many([tokens], [trace.keep], "segments", check, merger)
    return counter.get_total_flops() / 2e9 / trace.grid.t
