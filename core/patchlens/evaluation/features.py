"""Per-frame features of videos to files, for whatever works on them later: streamed, resumable, bounded in memory.

One folder per video while it is under way (`VIDEO.parts`, one .npz per piece), one file when it is done. Knows no encoder's
inside. Rows: time in seconds, whether the frame was an I-frame, the feature.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from patchlens.cache import write_whole
from patchlens.data.asked import file_pieces
from patchlens.data.datasets import ENDINGS
from patchlens.encoders.encoder import Encoder
from patchlens.evaluation.grounding import filming_for
from patchlens.evaluation.parts import Parts, forget
from patchlens.registry import Selector
from patchlens.specs import spec_of
from patchlens.streaming import stream

KINDS = (".npz", ".parquet")
Told = Callable[[str, float, float], None]  # video, share done, seconds left


def videos_of(where: Path) -> list[Path]:
    """The video itself, or all videos in a folder and below it.

    Raises ValueError where there is none.
    """
    found = [where] if where.is_file() else sorted(p for p in where.rglob("*") if p.suffix.lower() in ENDINGS)
    if not found:
        raise ValueError(f"{where} is no video, and no folder that holds one.")
    return found


def check_kind(kind: str) -> None:
    """Raises ValueError for an unknown ending, and for parquet where pyarrow is not installed."""
    if kind not in KINDS:
        raise ValueError(f"The ending is {kind!r}; choose one of {', '.join(KINDS)}.")
    if kind == ".parquet":
        from importlib.util import find_spec

        if find_spec("pyarrow") is None:
            raise ValueError("Parquet files need pyarrow (pip install pyarrow); or take .npz.")


def extract(
    path: Path, target: Path, encoder: Encoder, way: Selector | None, fps: float, seed: int = 0, told: Told | None = None
) -> dict[str, Any]:
    """Features of one video into `target` (.npz or .parquet); a killed run goes on behind its last part, with an I-frame.

    Returns frames, GMACs spent, and what every frame in full would have taken.
    """
    from patchlens.video import probe

    about = {"encoder": encoder.facts, **{k: str(v) for k, v in encoder.loaded.facts.items()}, "fps": fps, "seed": seed,
             "plan": spec_of(way) if way else "every frame in full", "size": path.stat().st_size}  # fmt: skip
    folder = target.with_name(target.name + ".parts")
    parts = Parts(folder, repr(sorted(about.items(), key=str)))
    stored = list(_stored(parts))
    found = probe(path)
    meter = Meter(path.name, found.start, found.duration, _last(stored), told)
    for part in stream(file_pieces(path, _last(stored))(filming_for(encoder, way, fps)), encoder, way, seed):
        arrays = {name: getattr(part, name).numpy() for name in ("times", "features", "intra")}
        stored.append(parts.save("part", len(stored), {**arrays, "gmacs": np.array([part.gmacs, part.full])}))
        meter.at(_last(stored))
    write_whole(target, _file(stored, target.suffix, about))
    forget(folder)
    spent = np.sum([s["gmacs"] for s in stored], 0)
    return {"frames": sum(len(s["times"]) for s in stored), "gmacs": float(spent[0]), "full": float(spent[1])}


def _stored(parts: Parts) -> Iterator[dict[str, np.ndarray]]:
    number = 0
    while (found := parts.load("part", number)) is not None:
        yield found
        number += 1


def _last(stored: list[dict[str, np.ndarray]]) -> float | None:
    """Seconds of the last frame done."""
    return float(stored[-1]["times"][-1]) if stored else None


class Meter:
    """Turns the time in a video that is reached into the share done and the seconds left."""

    def __init__(self, name: str, start: float, length: float, first: float | None, told: Told | None) -> None:
        self.name, self.start, self.length, self.told = name, start, max(length, 1e-9), told
        self.first, self.begun = start if first is None else first, time.monotonic()

    def at(self, now: float) -> None:
        """Tell how far it is."""
        if self.told is None:
            return
        left = self.start + self.length - now
        rate = max(now - self.first, 1e-9) / max(time.monotonic() - self.begun, 1e-9)
        self.told(self.name, min(1.0, 1 - left / self.length), max(0.0, left / rate))


def _file(stored: list[dict[str, np.ndarray]], kind: str, about: dict[str, Any]) -> bytes:
    columns = {name: np.concatenate([s[name] for s in stored]) for name in ("times", "intra", "features")}
    data = io.BytesIO()
    if kind == ".npz":
        np.savez(data, **columns, about=np.array(repr(about)))
        return data.getvalue()
    import pyarrow
    import pyarrow.parquet

    features = pyarrow.FixedSizeListArray.from_arrays(columns["features"].ravel(), columns["features"].shape[1])
    table = pyarrow.table({"time": columns["times"], "intra": columns["intra"], "feature": features})
    pyarrow.parquet.write_table(table.replace_schema_metadata({"patchlens": repr(about)}), data)
    return data.getvalue()
