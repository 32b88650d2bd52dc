"""Tau against compression: which tokens RLT keeps of a clip behind x264, x265 and VP9, against the pristine clip.

Frames go through the codec at their own size and rate, come back, and only then are thinned out and scaled as an encoder
wants them, the pristine ones alike. Where a codec smooths noise away tokens vanish that the pristine clip has; where it
repairs a picture at a key frame, tokens appear that it has not. Knows no encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from patchlens.clip import Clip
from patchlens.data.recoded import recoded
from patchlens.encoders.patches import fit_frames
from patchlens.selectors.rlt import StaticStream

TAUS = (0.05, 0.1, 0.2)
RATES = (50.0, 150.0, 500.0, 1500.0)  # kbit/s
PATCH, TUBELET = 16, 2
BUNDLED = ("static camera", "noise")  # procedural samples, drawn here
Progress = Callable[[str], None]


def bundled(frames: int = 96, fps: float = 24.0) -> list[Clip]:
    """The package's own pristine clips: a still camera without and with sensor noise, drawn, never compressed."""
    from patchlens.data.motions import DRAWN_BY, sample_clip

    made = [(name, sample_clip(name, frames=frames, fps=fps).frames) for name in BUNDLED]
    return [Clip.from_frames(x, fps, name, DRAWN_BY) for name, x in made]


def compression_study(
    clips: Sequence[Clip],
    codecs: Sequence[str],
    rates: Sequence[float] = RATES,
    taus: Sequence[float] = TAUS,
    *,
    tau: float = 0.1,
    fps: float = 8.0,
    size: int = 224,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Rows of each clip, pristine (codec None) and behind each codec at each rate; shares are of tokens after tubelet 0.

    kept: share above each of `taus`; at `tau` also missed (share of the pristine clip's tokens that are dropped) and
    spurious (share of the kept that the pristine clip drops); tau_same: the tau at which as many tokens are kept as of the
    pristine clip at `tau`; kbits and psnr (dB) as they came out. Frames are sampled at about `fps`.
    """
    taus, rows = sorted({*taus, tau}), []
    for clip in clips:
        frames, rate = _even(clip.display.numpy()), clip.source.fps or 25.0
        step = max(1, round(rate / fps))
        if len(frames) < 2 * TUBELET * step:
            raise ValueError(f"{clip.source.name} has {len(frames)} frames, too few to compare at {fps:g} a second.")
        pristine = _differences(frames[::step], size)
        name, was = clip.source.name, pristine > tau
        rows.append({"clip": name, "codec": None, "asked": None, "kbits": None, "psnr": None, "missed": 0.0,
                     "spurious": 0.0, "tau_same": tau, "kept": _shares(pristine, taus)})  # fmt: skip
        for codec in codecs:
            for asked in rates:
                if progress:
                    progress(f"{name}: {codec} at {asked:g} kbit/s")
                back = recoded(frames, codec, asked, rate)
                moved = _differences(back.frames[::step], size)
                rows.append({
                    "clip": name, "codec": codec, "asked": asked, "kbits": back.kbits, "psnr": back.psnr,
                    **_errors(was, moved > tau), "tau_same": _same(moved, int(was.sum())), "kept": _shares(moved, taus),
                })  # fmt: skip
    return {"tau": tau, "taus": taus, "fps": fps, "clips": [c.source.name for c in clips], "rows": rows}


def _even(frames: np.ndarray) -> np.ndarray:
    """Even sides, as 4:2:0 wants them."""
    return frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]


def _differences(frames: np.ndarray, size: int) -> np.ndarray:
    """RLT's differences after tubelet 0, float32 (t - 1, h*w)."""
    fitted, _ = fit_frames(torch.from_numpy(np.ascontiguousarray(frames)), (size, size), "squash")
    return StaticStream(TUBELET, PATCH).feed(fitted)[1:].numpy()


def _shares(values: np.ndarray, taus: Sequence[float]) -> dict[str, float]:
    return {f"{t:g}": float((values > t).mean()) for t in taus}


def _errors(was: np.ndarray, now: np.ndarray) -> dict[str, float]:
    return {
        "missed": float((was & ~now).sum() / max(was.sum(), 1)),
        "spurious": float((~was & now).sum() / max(now.sum(), 1)),
    }


def _same(values: np.ndarray, count: int) -> float:
    """The tau above which just `count` values lie: the next one below it."""
    ordered = np.sort(values.ravel())[::-1]
    return float(ordered[count]) if count < len(ordered) else 0.0


def text(found: dict[str, Any]) -> str:
    """A Markdown table for every clip, a line per codec and rate."""
    names = [f"{t:g}" for t in found["taus"]]
    head = ["codec", "kbit/s asked (got)", "PSNR dB", *(f"kept %, tau {n}" for n in names), "missed %", "spurious %",
            "tau for as many tokens"]  # fmt: skip
    lines = []
    for clip in found["clips"]:
        lines += [f"{clip}:", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        lines += [_line(r, names) for r in found["rows"] if r["clip"] == clip]
    lines.append(
        f"shares of the tokens after the first tubelet; missed and spurious at tau {found['tau']:g} against the pristine "
        f"clip; about {found['fps']:g} frames a second"
    )
    return "\n".join(lines)


def _line(r: dict[str, Any], names: list[str]) -> str:
    kept = [f"{100 * r['kept'][n]:.1f}" for n in names]
    if r["codec"] is None:
        return "| " + " | ".join(["pristine", "", "", *kept, "", "", f"{r['tau_same']:g}"]) + " |"
    errors = [f"{100 * r[name]:.0f}" for name in ("missed", "spurious")]
    went = [r["codec"], f"{r['asked']:g} ({r['kbits']:.0f})", f"{r['psnr']:.1f}"]
    return "| " + " | ".join([*went, *kept, *errors, f"{r['tau_same']:.3f}"]) + " |"
