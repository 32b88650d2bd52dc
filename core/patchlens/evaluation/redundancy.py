"""How near RLT comes to the limit of reduction, on generated clips of rising redundancy.

The bound, exactly: with N = t * h * w tokens, B = h*w + |{(i, y, x), i >= 1 : the noise-free pixels of tubelet i at (y, x)
differ from those of tubelet i-1}|. A run-length code that loses nothing spends one token per run of equal content, so it
keeps no fewer than B; a method is at the bound where kept = B and nothing that changed is dropped. Even where nothing
changes 1/t stays. Noise is not content: B is counted before it is added. Also exact: the mean |difference| of two draws of
normal noise is 2 sigma / sqrt(pi) grey levels, and a patch averages so many of them that noise above sqrt(pi)/2 * tau
leaves no redundancy at all. Knows no encoder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from patchlens.data.redundant import WORLDS, noisy, redundant_clip
from patchlens.evaluation.intervals import paired
from patchlens.selectors.rlt import STD, StaticStream

PATCH, TUBELET = 16, 2
LEVELS = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
SIGMAS = (0.0, 4.0, 5.0, 6.0)  # grey levels


def truly_changed(frames: np.ndarray) -> np.ndarray:
    """Whether a patch's pixels differ from those of the tubelet before, bool (t, h*w); all of tubelet 0 counts.

    frames uint8 (T, H, W, 3) without noise. The sum of this is the bound B.
    """
    t, height, width = len(frames) // TUBELET, frames.shape[1] // PATCH, frames.shape[2] // PATCH
    cells = frames.reshape(t, TUBELET, height, PATCH, width, PATCH, 3)
    moved = np.ones((t, height, width), bool)
    moved[1:] = (cells[1:] != cells[:-1]).any((1, 3, 5, 6))
    return moved.reshape(t, -1)


def noise_limit(tau: float) -> float:
    """The noise in grey levels (sigma) at which the expected difference of a still patch is tau."""
    return 255 * tau / float(np.mean([1 / s for s in STD])) * math.sqrt(math.pi) / 2


def redundancy_study(
    tau: float = 0.1,
    levels: Sequence[float] = LEVELS,
    sigmas: Sequence[float] = SIGMAS,
    *,
    clips: int = 8,
    frames: int = 16,
    worlds: Sequence[str] = WORLDS,
    size: int = 224,
) -> dict[str, Any]:
    """Shares of tokens at every redundancy, world and noise: bound, kept by RLT, and both errors.

    A row has bound and kept (mean share of all tokens over clips), excess (kept - bound, with its 95 % interval), missed
    (share of the truly changed that RLT drops) and spurious (share of the unchanged that it keeps).
    """
    rows = []
    for world in worlds:
        for level in levels:
            made = [redundant_clip(level, world, size=size, frames=frames, seed=i) for i in range(clips)]
            truths = [truly_changed(x) for x in made]
            for sigma in sigmas:
                kept = [_kept(noisy(x, sigma, i), tau) for i, x in enumerate(made)]
                rows.append({"world": world, "redundancy": level, "sigma": sigma, **_row(truths, kept)})
    return {"tau": tau, "clips": clips, "frames": frames, "noise_limit": noise_limit(tau), "rows": rows}


def _kept(frames: np.ndarray, tau: float) -> np.ndarray:
    return (StaticStream(TUBELET, PATCH).feed(torch.from_numpy(frames)) > tau).numpy()


def _row(truths: list[np.ndarray], kept: list[np.ndarray]) -> dict[str, Any]:
    bound, share = (np.array([x.mean() for x in them]) for them in (truths, kept))
    later = [(a[1:], b[1:]) for a, b in zip(truths, kept, strict=True)]  # tubelet 0 is kept by definition
    changed, still = sum(a.sum() for a, _ in later), sum((~a).sum() for a, _ in later)
    missed, spurious = sum((a & ~b).sum() for a, b in later), sum((~a & b).sum() for a, b in later)
    return {
        "bound": float(bound.mean()), "kept": float(share.mean()),
        "excess": float((share - bound).mean()), "interval": paired(share, bound).ends,
        "missed": float(missed / changed) if changed else None,
        "spurious": float(spurious / still) if still else None,
    }  # fmt: skip


def text(found: dict[str, Any]) -> str:
    """The study as Markdown: a line per world and redundancy, the share kept at every noise."""
    rows = found["rows"]
    sigmas = sorted({r["sigma"] for r in rows})
    names = ["clips", "redundancy", "bound %", *(f"kept %, noise {s:g}" for s in sigmas), "changed but dropped %, no noise"]
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    for world, level in dict.fromkeys((r["world"], r["redundancy"]) for r in rows):
        mine = {r["sigma"]: r for r in rows if (r["world"], r["redundancy"]) == (world, level)}
        first = mine[sigmas[0]]
        missed = "" if first["missed"] is None else f"{100 * first['missed']:.1f}"
        kept = [f"{100 * mine[s]['kept']:.1f}" for s in sigmas]
        lines.append("| " + " | ".join([world, f"{level:g}", f"{100 * first['bound']:.1f}", *kept, missed]) + " |")
    lines.append(
        f"{found['clips']} clips of {found['frames']} frames each; tau {found['tau']:g}; noise in grey levels (sigma); a "
        f"still patch is expected to reach tau at noise {found['noise_limit']:.2f}"
    )
    return "\n".join(lines)
