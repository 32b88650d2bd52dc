"""ResidualViT's schedule as a rule: which frames are I-frames, and how many patches a P-frame keeps.

Part of the interpreter in `keep.py`, and like it the same, number for number, in `viewer/keep.js`.
Source: ResidualViT (arXiv 2509.13255) sec. 3. Departures: I-frames forced by shot cuts and by accumulated motion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WINDOW = 11  # pictures of the video's own rate around each sampled one, over which motion is added up

@dataclass(frozen=True)
class Interleave:
    """ResidualViT's schedule: an I-frame with all patches, then at most `n` P-frames with round(h*w*(1-p)) each.

    cuts: also an I-frame where a shot begins (`Scores.change` is +inf); reach > 0: also where the change added up since the
    last I-frame exceeds it; even: P-frames keep evenly spaced patches, not their best ones; residual: what P-frames are
    given of their I-frame ("auto", "on", "off" or "zero"), which changes the cost and not the choice; scale < 1: P-frames
    are seen at this share of the resolution, in fewer patches, each of which ranks like the best of those it stands for.
    """

    n: int
    p: float
    cuts: bool = True
    reach: float = 0.0
    even: bool = False
    residual: str = "auto"
    scale: float = 1.0


def survivors(p: float, count: int) -> int:
    """Patches that a P-frame keeps of `count`: round(count*(1-p)), halves to even, at least 1.

    Source: ResidualViT's released evaluation; its training rounds down.
    """
    return max(1, round(count * (1 - p)))


def coarser(rule: Interleave, h: int, w: int) -> tuple[int, int] | None:
    """Rows and columns of a P-frame's patches where there are fewer than the h and w of an I-frame."""
    return None if rule.scale == 1 else (max(1, int(h * rule.scale)), max(1, int(w * rule.scale)))


def blocks(h: int, w: int, coarse: tuple[int, int]) -> np.ndarray:
    """For each of h*w patches of a frame the first one (in rows) of the coarse patch that its middle lies in, int64."""
    row, column = (_first(side, cells) for side, cells in zip((h, w), coarse, strict=True))
    return (row[:, None] * w + column[None]).reshape(-1)


def _first(side: int, cells: int) -> np.ndarray:
    cell = (2 * np.arange(side) + 1) * cells // (2 * side)
    return np.searchsorted(cell, cell)


def schedule(rule: Interleave, frames: int, change: np.ndarray | None = None) -> np.ndarray:
    """The I-frame that every frame leans on (an I-frame on itself), int64 (t,); `change` is `Scores.change`."""
    anchors = np.zeros(frames, dtype=np.int64)
    last, moved = 0, 0.0
    for t in range(1, frames):
        step = 0.0 if change is None else float(change[t])
        moved += step if step < np.inf else 0.0
        cut = rule.cuts and step == np.inf
        if cut or t - last > rule.n or (rule.reach > 0 and moved > rule.reach):
            last, moved = t, 0.0
        anchors[t] = last
    return anchors
