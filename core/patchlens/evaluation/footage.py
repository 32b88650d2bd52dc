"""What RLT keeps of real footage: screens and surveillance against moving cameras, streamed however long it is.

A file is read once at `fps` pictures a second, and its differences are RLT's own; the stream is then judged in clips as
an encoder sees them (16 frames: 8 tubelets, of which the first is always kept). Of a whole hour a few numbers per tubelet
stay in memory. The camera is judged by the homography that fits most corners: how far it takes the middle of the frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from patchlens import video
from patchlens.encoders.vit import ViTConfig
from patchlens.flops import vit_cost
from patchlens.selectors.camera import warp_between
from patchlens.selectors.rlt import StaticStream

TAUS = (0.05, 0.1, 0.2, 0.3)
PATCH, TUBELET, TUBELETS, SIZE = 16, 2, 8, 224
VIT_B = ViTConfig(768, 12, 12, 3072, (TUBELETS, SIZE // PATCH, SIZE // PATCH), PATCH, TUBELET, outputs=400)
PIECE = 64  # frames held at a time
MOVES = 1.0  # pixels of 224 from tubelet to tubelet, above which the camera is said to move
Progress = Callable[[str, float], None]


def footage_study(
    files: Sequence[Path], taus: Sequence[float] = TAUS, *, tau: float = 0.1, fps: float = 8.0, device: str = "cpu",
    progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A row for every file, what keeps least first.

    kept: mean share of a clip's tokens at each of `taus`; quartiles: of the clips at `tau`; promised: GMACs of VideoMAE
    ViT-B on all tokens over those on the kept ones at `tau`, a mean over clips; camera: share of the steps from tubelet to
    tubelet in which the camera moved. A file shorter than a clip is one shorter clip.
    """
    taus = sorted({*taus, tau})
    rows = [_row(Path(f), taus, tau, fps, device, progress) for f in files]
    return {"tau": tau, "taus": taus, "fps": fps, "rows": sorted(rows, key=lambda r: r["kept"][f"{tau:g}"])}


def _row(path: Path, taus: list[float], tau: float, fps: float, device: str, progress: Progress | None) -> dict[str, Any]:
    counts, camera, seconds = streamed(path, taus, fps, device, progress)
    cells = (SIZE // PATCH) ** 2
    long = min(TUBELETS, len(counts))
    clips = counts[: len(counts) // long * long].reshape(-1, long, len(taus)).copy()
    clips[:, 0] = cells  # a clip's first tubelet has no past
    kept = clips.sum(1)  # (clips, taus)
    at = kept[:, taus.index(tau)]
    reduced = np.mean([vit_cost(VIT_B, [int(k)]).total for k in at])
    shares = at / (long * cells)
    return {
        "file": path.name, "seconds": seconds, "clips": len(clips), "camera": camera,
        "kept": {f"{t:g}": float(x) for t, x in zip(taus, kept.mean(0) / (long * cells), strict=True)},
        "quartiles": np.quantile(shares, [0.25, 0.75]).tolist(),
        "promised": float(vit_cost(VIT_B, [long * cells]).total / reduced),
    }  # fmt: skip


def streamed(
    path: Path, taus: Sequence[float], fps: float = 8.0, device: str = "cpu", progress: Progress | None = None
) -> tuple[np.ndarray, float | None, float]:
    """Patches above each tau in every tubelet, int64 (t, taus); the share of steps that the camera moves; seconds.

    The camera is None where no step's motion could be told. Raises VideoError as `video.windows` does.
    """
    stream, counts, moves = StaticStream(TUBELET, PATCH, device), [], []
    before, seconds, until = None, 0.0, 0.0
    for clip in video.windows(path, PIECE, fps=fps, carry=0, size=(SIZE, SIZE)):
        values = stream.feed(clip.frames)
        counts += [[int((row > t).sum()) for t in taus] for row in values]
        firsts = list(clip.frames[::TUBELET].numpy())  # PIECE is a whole number of tubelets
        for one, two in zip([before, *firsts] if before is not None else firsts, firsts[before is None :], strict=False):
            moves.append(_moved(one, two))
        before, until = firsts[-1], float(clip.times[-1])
        seconds = until + 1 / fps
        if progress:
            progress(path.name, min(1.0, until / max(clip.source.duration, 1e-9)))
    for row in stream.finish():
        counts.append([int((row > t).sum()) for t in taus])
    known = [m for m in moves if m is not None]
    return np.array(counts, np.int64), float(np.mean(known)) if known else None, seconds


def _moved(before: np.ndarray, now: np.ndarray) -> bool | None:
    """Whether the homography between two frames moves the middle of the picture; None where there is none."""
    matrix = warp_between(before, now)
    if matrix is None:
        return None
    middle = np.array([SIZE / 2, SIZE / 2, 1.0])
    x, y, w = matrix @ middle
    return bool(np.hypot(x / w - SIZE / 2, y / w - SIZE / 2) > MOVES)


def text(found: dict[str, Any]) -> str:
    """The files as Markdown, what keeps least first."""
    names = [f"{t:g}" for t in found["taus"]]
    tau = f"{found['tau']:g}"
    columns = [f"kept %, tau {n}" + (" (quartiles)" if n == tau else "") for n in names]
    head = ["file", "seconds", "camera moves %", *columns, f"ViT-B speed-up promised at {tau}"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for r in found["rows"]:
        kept = [f"{100 * r['kept'][n]:.0f}" for n in names]
        low, high = (100 * x for x in r["quartiles"])
        kept[names.index(tau)] += f" ({low:.0f} to {high:.0f})"
        camera = "?" if r["camera"] is None else f"{100 * r['camera']:.0f}"
        lines.append("| " + " | ".join([r["file"], f"{r['seconds']:.0f}", camera, *kept, f"{r['promised']:.2f}"]) + " |")
    lines.append(
        f"clips of {TUBELETS * TUBELET} frames at {found['fps']:g} a second, {SIZE} x {SIZE}; a clip's first tubelet "
        f"always stays, {100 / TUBELETS:g} % of it; promised: GMACs of all tokens over GMACs of the kept ones"
    )
    return "\n".join(lines)
