"""The sets a sweep or a training runs over: procedural ones, folders of videos, and the lists that data sets come with.

`open_set` tells them apart. A sample is read only when it is asked for; what cannot be read is counted by whoever reads.
Knows no model.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from patchlens.data.samples import Footage, Sample, SampleSet, Wanted, fair_order
from patchlens.types import Clip

ACTORS = "true actor masks"  # what `motions` offers beyond any encoder
TRAIN_STREAM = 1  # the procedural models are trained on seeds 1, 1001, 2001, ...
LIMIT = 1024  # procedural sets never end by themselves
_VIDEO = (
    "3g2 3gp asf avi divx dv f4v flv gif m2ts m2v m4v mjpeg mjpg mkv mov mp4 mpe mpeg mpg mts mxf ogm ogv qt rm rmvb "
    "swf ts vob webm wmv y4m"
)
ENDINGS = frozenset(f".{ending}" for ending in _VIDEO.split(" "))


def open_set(
    where: str | Path, seed: int = 3, limit: int | None = None, videos: Path | None = None, split: str | None = None
) -> SampleSet:
    """The set called `where`: "motions", "scenes", a folder, or a list (.csv or .json).

    seed    which procedural clips, or in which order files are taken
    limit   at most so many samples
    videos  the folder that a list's videos lie in, its own folder without it
    split   only this part of a list that has parts; of scenes train, validation or (without it) test
    Raises ValueError in one sentence for a place that is no set, an empty one, and a seed that training has used.

        for sample in open_set("motions", seed=3, limit=64): ...
    """
    if str(where) == "motions":
        return motion_set(seed, LIMIT if limit is None else limit)
    if str(where) == "scenes":
        return scene_set(seed, LIMIT if limit is None else limit, split or "test")
    path = Path(where)
    if path.is_file() and path.suffix.lower() in (".csv", ".json"):
        found = _list_set(path, videos or path.parent, split, seed)
    elif path.is_dir() and (path / "labels.csv").is_file():
        found = _list_set(path / "labels.csv", videos or path, split, seed)
    elif path.is_dir():
        found = folder_set(path, seed)
    else:
        raise ValueError(f"{where} is no data set; give motions, scenes, a folder of videos, or a .csv or .json list.")
    if not len(found):
        raise ValueError(f"{found.name} holds no video that could be found. {' '.join(found.notes)}".strip())
    return found.first(limit)


def _list_set(path: Path, videos: Path, split: str | None, seed: int) -> SampleSet:
    from patchlens.data.annotations import read_list

    return read_list(path, videos, split, seed)


def motion_set(seed: int = 3, limit: int = LIMIT) -> SampleSet:
    """Clips 0..limit of the procedural action benchmark's stream `seed`, with actor masks and difficulty.

    Raises ValueError for a stream that `tiny-video` was trained on, and for a limit below 1.
    """
    from patchlens.data.motions import CLASSES, _order  # the label of a clip without drawing it

    _check(seed, limit)
    order = _order(seed)
    samples = tuple(
        Sample(f"motion {seed}/{i}", CLASSES[order[i % len(CLASSES)]], _motion_maker(i, seed)) for i in range(limit)
    )
    return SampleSet(f"motions, stream {seed}", samples, frozenset({ACTORS}))


def _check(seed: int, limit: int) -> None:
    if limit < 1:
        raise ValueError(f"limit is {limit}; give at least 1.")
    if seed < 0 or seed % 1000 == TRAIN_STREAM:
        raise ValueError(f"seed is {seed}; give 0 or more, and none of 1, 1001, ..., which training draws from.")


def _motion_maker(index: int, seed: int) -> Any:
    def make(wanted: Wanted) -> Footage:
        from patchlens.data.motions import DRAWN_BY, motion_clip

        height, width = wanted.size_hw
        size = (height, max(width, round(height * 4 / 3))) if wanted.whole else wanted.size_hw
        made = motion_clip(index, seed, size=size, frames=wanted.frames, fps=wanted.frames / 2)
        clip = Clip.from_frames(made.frames, wanted.frames / 2, f"motion {seed}/{index}", DRAWN_BY)
        facts = {"difficulty": made.difficulty, "camera": made.facts["camera"]}
        return Footage(clip, made.actor, facts)

    return make


def scene_set(seed: int = 3, limit: int = LIMIT, split: str = "test") -> SampleSet:
    """One event each of the untrimmed procedural videos 0..limit, unlabelled, with its wordiest caption.

    Raises ValueError for a limit below 1, and for a split that there is not.
    """
    from patchlens.data.events import SPLITS

    if limit < 1:
        raise ValueError(f"limit is {limit}; give at least 1.")
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; scenes have {', '.join(SPLITS)}.")
    which = "" if split == "test" else f" {split}"
    samples = tuple(Sample(f"scene{which} {seed}/{i}", None, _scene_maker(i, seed, split)) for i in range(limit))
    return SampleSet(f"scenes,{which and which + ' split,'} stream {seed}", samples)


def _scene_maker(index: int, seed: int, split: str) -> Any:
    def make(wanted: Wanted) -> Footage:
        from patchlens.data.scenes import scene, scene_frames

        video = scene(index, seed, split)
        event = video.events[index % len(video.events)]
        times = np.linspace(event.start, event.end, wanted.frames, endpoint=False)
        frames = scene_frames(video, times, size=max(wanted.size_hw))
        rate = wanted.frames / (event.end - event.start)
        return Footage(Clip.from_frames(frames, rate, f"scene {seed}/{index}"), caption=event.captions[0].text)

    return make


def folder_set(folder: Path, seed: int = 0) -> SampleSet:
    """The videos of class sub-folders, or of a flat folder (then unlabelled).

    A file counts as a video by its ending; others are skipped and counted.
    """
    classes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    pairs = [(c.name, f) for c in classes for f in _files(c)] or [(None, f) for f in _files(folder)]
    samples = [file_sample(f, label, f.relative_to(folder).as_posix()) for label, f in pairs if _is_video(f)]
    notes = skipped("no video by its ending", [f.name for _, f in pairs if not _is_video(f)])
    return SampleSet(f"the folder {folder.name}", fair_order(samples, seed), notes=notes)


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS


def _files(folder: Path) -> Iterable[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))


def file_sample(
    path: Path,
    label: str | None,
    name: str | None = None,
    span: tuple[float, float] | None = None,
    group: str | None = None,
) -> Sample:
    """A video file (or a span of it, in seconds) as a sample; it is read in this process, not in the worker."""

    def make(wanted: Wanted) -> Footage:
        from patchlens.video import read

        size = None if wanted.whole else wanted.size_hw
        return Footage(read(path, frames=wanted.frames, span=span, size=size, fit=wanted.fit, motion=wanted.motion))

    return Sample(name or path.name, label, make, group)


def skipped(why: str, names: list[str]) -> tuple[str, ...]:
    """One sentence on what was left out, or nothing."""
    if not names:
        return ()
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return (f"{len(names)} {'file was' if len(names) == 1 else 'files were'} skipped ({why}): {shown}.",)
