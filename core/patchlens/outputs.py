"""Writing a Trace to files: everything is made first and written last, so that nothing is left half-written."""

from __future__ import annotations

import csv
import io
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from patchlens.cache import write_whole
from patchlens.types import Trace


def check_targets(outputs: dict[str, Any], video: Path, runs: int = 1) -> None:
    """Raises ValueError before any work when an output has no folder, is the video itself, or is named twice.

    So it does for several runs and an output that can hold only one: all but html.
    """
    taken = {video.resolve(): "the video itself"}
    for kind, target in outputs.items():
        if target is not None and runs > 1 and kind != "html":
            raise ValueError(f"--{kind} holds one run; give one --selector, or only --html for several.")
        if target in (None, "-"):
            continue
        path = Path(target).resolve()
        if not path.parent.is_dir():
            raise ValueError(f"--{kind} {target}: the folder {path.parent} is not there; make it or choose another.")
        if path.is_dir():
            raise ValueError(f"--{kind} {target} is a folder; give a file name in it.")
        if path in taken:
            raise ValueError(f"--{kind} {target} is {taken[path]}; give each output a file of its own.")
        taken[path] = f"also the target of --{kind}"


def save(trace: Trace, outputs: dict[str, Any], others: Sequence[Trace] = ()) -> None:
    """Write the asked-for files (json, npz, csv, html, mp4, png); json "-" prints.

    `others` are further plans' traces of the clip, for the report to show beside the first.
    """
    asked = [kind for kind, target in outputs.items() if target is not None]
    made = {kind: made_as(trace, kind, others) for kind in asked}
    for kind, data in made.items():
        if outputs[kind] == "-":
            sys.stdout.write(data.decode() + "\n")
        else:
            write_whole(Path(outputs[kind]), data)


def made_as(trace: Trace, kind: str, others: Sequence[Trace] = (), check: Callable[[], None] = lambda: None) -> bytes:
    """A file of one kind as bytes; only a report (html) shows `others` too.

    `check` is called between the frames of a video, and may raise to stop it.
    """
    if kind == "mp4":
        return _mp4(trace, check)
    return _MAKERS[kind](trace, *(others if kind == "html" else ()))


def npz_bytes(trace: Trace) -> bytes:
    """mask bool, scores float32 and (where there is one) run_length int64, each (t, h, w)."""
    volume = trace.grid.volume
    arrays = {"mask": volume(trace.keep.mask), "scores": volume(trace.scores.values)}
    if trace.keep.run_length is not None:
        arrays["run_length"] = volume(trace.keep.run_length)
    data = io.BytesIO()
    np.savez(data, **{k: v.numpy() for k, v in arrays.items()})
    return data.getvalue()


def _json(trace: Trace) -> bytes:
    from patchlens.views.report import dumps

    return dumps(trace).encode()


def csv_bytes(trace: Trace) -> bytes:
    """One row per token: token, t, y, x, value and rank of each stage, kept (1 or 0), run (empty without runs)."""
    from patchlens.keep import ranks

    n, keep = trace.grid.n, trace.keep
    ranked = [ranks(scores, trace.request.seed) for scores, _ in trace.stages]
    numbers = [""] if len(ranked) == 1 else range(1, len(ranked) + 1)
    names = [f"{name}{i}" for i in numbers for name in ("value", "rank")]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["token", "t", "y", "x", *names, "kept", "run"])
    values = [scores.values.tolist() for scores, _ in trace.stages]
    runs = [""] * n if keep.run_length is None else keep.run_length.tolist()
    for token, (kept, run) in enumerate(zip(keep.mask.tolist(), runs, strict=True)):
        judged = [x for v, r in zip(values, ranked, strict=True) for x in (f"{v[token]:.9g}", r[token])]
        rows.writerow([token, *trace.grid.cell(token), *judged, int(kept), run])
    return text.getvalue().encode()


def _html(*traces: Trace) -> bytes:
    from patchlens.views.report import html_report

    return html_report(*traces).encode()


def _through_file(write: Any, suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"out{suffix}"
        write(path)
        return path.read_bytes()


def _mp4(trace: Trace, check: Callable[[], None]) -> bytes:
    from patchlens.views.overlay import save_mp4

    return _through_file(lambda path: save_mp4(trace, path, check), ".mp4")


def _png(trace: Trace) -> bytes:
    from patchlens.views.overlay import save_png

    return _through_file(lambda path: save_png(trace, path), ".png")


_MAKERS = {"json": _json, "npz": npz_bytes, "csv": csv_bytes, "html": _html, "png": _png}


def summary(trace: Trace) -> str:
    """A few lines for a terminal."""
    r, e, g = trace.report, trace.encoder, trace.grid
    where = f"{e['name']} ({e['weights']}, {e['device']}, {e['dtype']})"
    kept = f"{r.tokens_kept} of {r.tokens_total} tokens ({100 * r.keep_ratio:.1f} %)"
    costs = f"{r.full.total:.3f} full, {r.reduced.total:.3f} reduced, {r.selector_gmacs:.4f} for the selector"
    plain = f"{r.full.linear:.3f} and {r.reduced.linear:.3f} without attention products"
    return "\n".join(
        [
            f"{trace.clip.source.name}: {g.t}x{g.h}x{g.w} tokens, {where}",
            f"{trace.request.plan}: keeps {kept}",
            *([f"{trace.request.merger}: {r.tokens_left} of them leave the last block"] if trace.request.merger else []),
            f"GMACs: {costs}: {100 * r.saved:.1f} % saved ({plain})",
            *_fidelity(trace),
            *(f"note: {n}" for n in trace.notes),
        ]
    )


def _fidelity(trace: Trace) -> list[str]:
    from patchlens.metrics import top

    r = trace.report
    line = f"fidelity: cosine {r.cosine:.4f}"
    if trace.encoding.logits is None or not trace.classes:
        return [line]
    best = top(trace.encoding.logits, trace.classes, 3)
    return [
        f"{line}, same answer: {'yes' if r.top1_same else 'no'}, KL {r.kl:.4f} nats",
        "answer: " + ", ".join(f"{p['label']} {100 * p['probability']:.0f} %" for p in best),
    ]
