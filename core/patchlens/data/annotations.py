"""The lists that action data sets come with: Kinetics CSV, Something-Something JSON, and CSV with splits and groups.

Each becomes a `SampleSet` of the videos that are really there; the rest are counted. Knows no model and reads no video.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from patchlens.data.datasets import ENDINGS, file_sample, skipped
from patchlens.data.samples import Sample, SampleSet, fair_order


@dataclass(frozen=True)
class _Line:
    """One line of a list: the video's name (a file or an id), and what the list says of it."""

    video: str
    label: str | None
    split: str | None = None
    group: str | None = None
    span: tuple[float, float] | None = None


def read_list(path: Path, videos: Path, split: str | None = None, seed: int = 0) -> SampleSet:
    """The videos under the folder `videos` that the list at `path` names.

    Known lists: JSON objects with id and label or template (Something-Something V2); CSV with label, youtube_id,
    time_start, time_end, split (Kinetics); CSV with file, class and perhaps group and split.
    Raises ValueError in one sentence for another list, a missing folder, or a split that the list has not.
    """
    if not videos.is_dir():
        raise ValueError(f"There is no folder {videos} with the videos of {path.name}.")
    lines, find = _parse(path, videos)
    if split is not None:
        splits = sorted({x.split for x in lines if x.split})
        if split not in splits:
            raise ValueError(f"{path.name} has no split {split!r}; it has {', '.join(splits) or 'none'}.")
        lines = [x for x in lines if x.split == split]
    found: list[Sample] = []
    missing: list[str] = []
    for line in lines:
        file, span = find(line)
        if file is None:
            missing.append(line.video)
        else:
            found.append(file_sample(file, line.label, line.video, span, line.group))
    notes = skipped(f"named by {path.name}, not in {videos.name}", missing)
    named = f"{path.name} of {videos.name}" + (f", split {split}" if split else "")
    return SampleSet(named, fair_order(found, seed), notes=notes)


Find = Callable[[_Line], tuple[Path | None, tuple[float, float] | None]]


def _parse(path: Path, videos: Path) -> tuple[list[_Line], Find]:
    try:
        if path.suffix.lower() == ".json":
            return _something(json.loads(path.read_text("utf-8"))), _by_stem(videos)
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise ValueError(f"{path.name} cannot be read as a list of videos ({error}).") from error
    columns = set(rows[0]) if rows else set()
    if {"youtube_id", "time_start", "time_end"} <= columns:
        return [_kinetics(row) for row in rows], _trimmed(videos)
    if "file" in columns:
        return [_plain(row) for row in rows], lambda line: (_inside(videos, line.video), None)
    raise ValueError(
        f"{path.name} has the columns {', '.join(sorted(map(str, columns))) or 'none'}; a list of videos has "
        "youtube_id, time_start, time_end (Kinetics) or file and class."
    )


def _inside(folder: Path, name: str) -> Path | None:
    """The file of that relative name, unless it lies outside the folder or is not there."""
    path = folder / name
    return path if path.is_file() and path.resolve().is_relative_to(folder.resolve()) else None


def _plain(row: dict[str, str]) -> _Line:
    label = row.get("class") or row.get("label") or None
    return _Line(row["file"], label, row.get("split") or None, row.get("group") or None)


def _kinetics(row: dict[str, str]) -> _Line:
    try:
        span = (float(row["time_start"]), float(row["time_end"]))
    except (TypeError, ValueError):
        times = f"{row['time_start']!r} to {row['time_end']!r}"
        raise ValueError(f"A line of the list gives the times {times}; give seconds.") from None
    return _Line(row["youtube_id"], row.get("label") or None, row.get("split") or None, span=span)


def _something(entries: object) -> list[_Line]:
    """Labels are the templates without brackets, as in the data set's own list of classes."""
    if not isinstance(entries, list) or not all(isinstance(e, dict) and "id" in e for e in entries):
        raise ValueError(
            "The JSON is no list of videos; each entry must be an object with an id, and a label or template."
        )
    lines = []
    for entry in entries:
        template = entry.get("template") or entry.get("label")
        label = template.replace("[", "").replace("]", "") if isinstance(template, str) else None
        lines.append(_Line(str(entry["id"]), label))
    return lines


def _stems(videos: Path) -> dict[str, Path]:
    files = (p for p in videos.rglob("*") if p.suffix.lower() in ENDINGS and not p.name.startswith("."))
    return {p.stem: p for p in sorted(files)}


def _by_stem(videos: Path) -> Find:
    stems = _stems(videos)
    return lambda line: (stems.get(line.video), None)


def _trimmed(videos: Path) -> Find:
    """Kinetics: ID_000010_000020.mp4 is the clip itself; ID.mp4 is the whole video, of which the span is read."""
    stems = _stems(videos)

    def find(line: _Line) -> tuple[Path | None, tuple[float, float] | None]:
        start, end = line.span
        cut = stems.get(f"{line.video}_{int(start):06d}_{int(end):06d}")
        return (cut, None) if cut else (stems.get(line.video), line.span)

    return find
