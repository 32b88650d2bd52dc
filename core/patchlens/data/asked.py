"""Untrimmed videos and the sentences asked of them, with true spans: procedural scenes and the lists of data sets.

Known lists: Charades-STA (.txt), ActivityNet-Captions and MAD (.json), and a CSV with file, start, end, sentence; a folder
holds that CSV as annotations.csv. Videos are read when they are asked for, in pieces. Knows no model.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from patchlens.data.datasets import ENDINGS
from patchlens.data.scenes import Scene, scene, scene_frames
from patchlens.types import Clip

PIECE = 96  # frames read at a time
Query = tuple[str, tuple[float, float]]


@dataclass(frozen=True)
class Filming:
    """How a video is wanted: frames per second, pixels, "squash" or "crop", and whether with motion, over which window."""

    fps: float
    size_hw: tuple[int, int]
    fit: str = "squash"
    motion: bool = False
    window: int | None = None


@dataclass(frozen=True, eq=False)
class Asked:
    """A video: its name, its seconds (None: as read), (sentence, (start, end)) of every query, and its frames in pieces."""

    name: str
    duration: float | None
    queries: tuple[Query, ...]
    pieces: Callable[[Filming], Iterator[Clip]]


def scene_asked(seed: int, split: str = "test") -> Iterator[Asked]:
    """Procedural videos without end; every caption of an event is a query."""
    index = 0
    while True:
        video = scene(index, seed, split)
        yield Asked(f"scene {seed}/{index}", video.duration, video.queries, _scene_pieces(video))
        index += 1


def _scene_pieces(video: Scene) -> Callable[[Filming], Iterator[Clip]]:
    def pieces(filming: Filming) -> Iterator[Clip]:
        times = video.times(filming.fps)
        for start in range(0, len(times), PIECE):
            frames = scene_frames(video, times[start : start + PIECE], filming.size_hw[0])
            yield Clip.from_frames(frames, filming.fps, f"scene {video.seed}/{video.index}", start=float(times[start]))

    return pieces


def file_pieces(path: Path, after: float | None = None) -> Callable[[Filming], Iterator[Clip]]:
    """The frames of a video file, a window at a time; those up to `after` seconds are left out."""

    def pieces(filming: Filming) -> Iterator[Clip]:
        from patchlens.video import windows

        moved = dict(motion=filming.motion, window=filming.window)
        return windows(path, PIECE, filming.fps, carry=0, after=after, size=filming.size_hw, fit=filming.fit, **moved)

    return pieces


def open_asked(where: str, videos: Path | None = None, seed: int = 3) -> Iterable[Asked]:
    """The videos and sentences called `where`: "scenes", a folder, or a list (.txt, .json, .csv).

    videos: where a list's videos lie, its own folder without it. Those that are not there are left out.
    Raises ValueError in one sentence for another place, a list that cannot be read, or one without any video.
    """
    if where == "scenes":
        return scene_asked(seed)
    path = Path(where)
    path = path / "annotations.csv" if path.is_dir() else path
    if not path.is_file() or path.suffix.lower() not in _READERS:
        raise ValueError(
            f"{where} is no grounding set; give scenes, a folder with annotations.csv, or a .txt, .json or .csv list."
        )
    folder = videos or path.parent
    try:
        listed = _READERS[path.suffix.lower()](path.read_text("utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, IndexError, ValueError) as error:
        why = f"{type(error).__name__}: {error}"
        raise ValueError(f"{path.name} cannot be read as sentences with spans ({why}).") from error
    files = {p.stem: p for p in sorted(folder.rglob("*")) if p.suffix.lower() in ENDINGS}
    found = [_asked(name, entry, files) for name, entry in listed.items() if _stem(name) in files]
    if not found:
        raise ValueError(f"{path.name} names {len(listed)} videos, none of which lies in {folder.name}; give --videos.")
    order = np.random.default_rng(seed).permutation(len(found))
    return [found[i] for i in order]


Entry = dict[str, Any]  # "duration" (or None) and "queries"


def _stem(name: str) -> str:
    return Path(name).stem if Path(name).suffix.lower() in ENDINGS else Path(name).name


def _asked(name: str, entry: Entry, files: dict[str, Path]) -> Asked:
    return Asked(name, entry["duration"], tuple(entry["queries"]), file_pieces(files[_stem(name)]))


def _charades(text: str) -> dict[str, Entry]:
    """Lines such as "3MSZA 24.3 30.4##person turn a light on."."""
    out: dict[str, Entry] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        where, sentence = line.split("##", 1)
        name, start, end = where.split()
        out.setdefault(name, {"duration": None, "queries": []})["queries"].append((sentence, (float(start), float(end))))
    return out


def _json(text: str) -> dict[str, Entry]:
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError(f"a JSON {type(data).__name__} where an object is expected")
    return _mad(data) if data and "movie" in next(iter(data.values())) else _activitynet(data)


def _activitynet(data: dict[str, Any]) -> dict[str, Entry]:
    """{"v_ID": {"duration", "timestamps": [[start, end], ...], "sentences": [...]}}."""
    out = {}
    for name, entry in data.items():
        pairs = zip(entry["sentences"], entry["timestamps"], strict=True)
        queries = [(text.strip(), (float(start), float(end))) for text, (start, end) in pairs]
        out[name] = {"duration": float(entry["duration"]), "queries": queries}
    return out


def _mad(data: dict[str, Any]) -> dict[str, Entry]:
    """{"ID": {"movie", "sentence", "movie_duration", "ext_timestamps" or "timestamps": [start, end]}}."""
    out: dict[str, Entry] = {}
    for entry in data.values():
        start, end = entry.get("ext_timestamps") or entry["timestamps"]
        movie = out.setdefault(str(entry["movie"]), {"duration": float(entry["movie_duration"]), "queries": []})
        movie["queries"].append((entry["sentence"].strip(), (float(start), float(end))))
    return out


def _csv(text: str) -> dict[str, Entry]:
    out: dict[str, Entry] = {}
    for row in csv.DictReader(text.splitlines()):
        query = (row["sentence"].strip(), (float(row["start"]), float(row["end"])))
        out.setdefault(row["file"], {"duration": None, "queries": []})["queries"].append(query)
    return out


_READERS = {".txt": _charades, ".json": _json, ".csv": _csv}
