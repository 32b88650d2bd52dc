"""The door to video files: probe one, read it as a `Clip`, or stream it in windows.

Every refusal is one sentence (`VideoError`). Behind the door, `container` opens and tells the times, `sampling` chooses
instants, `decoding` makes one pass, `upright` scales and turns, `motion` and `export` add what was asked for, `reading`
joins them, `thumbnails` glances over a whole file, and `worker` does it all in a child process where files are not to
be trusted.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from patchlens import worker
from patchlens.container import check_path
from patchlens.lazy import torch
from patchlens.limits import Cancelled, Limits, VideoError, Watch, plain_name
from patchlens.reading import Arrays, Facts, Job, probe_job, read_job, read_windows
from patchlens.thumbnails import thumbnails_job
from patchlens.types import Clip, MotionMap, Source

__all__ = ["Cancelled", "Glance", "Limits", "Probe", "VideoError", "probe", "read", "sha256", "thumbnails", "windows"]

Progress = Callable[[float], None]
Cancel = Callable[[], bool]


@dataclass(frozen=True)
class Probe:
    """What a file holds: upright picture size, mean rate (None: none usable), seconds, first time, pictures counted."""

    name: str
    container: str
    codec: str
    size_hw: tuple[int, int]
    rotation: int
    fps: float | None
    duration: float
    start: float
    pictures: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Glance:
    """A few small pictures of a whole file: uint8 (n, h, w, 3), their times (n,) float64, and [start, end) in seconds."""

    sha256: str
    start: float
    end: float
    times: np.ndarray
    pictures: np.ndarray


def sha256(path: str | os.PathLike[str]) -> str:
    """Hex digest of a file's content, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(
    path: str | os.PathLike[str],
    *,
    frames: int | None = 16,
    fps: float | None = None,
    span: tuple[float, float] | None = None,
    size: tuple[int, int] | None = None,
    fit: str = "squash",
    proxy: bool = False,
    motion: bool = False,
    window: int | None = None,
    limits: Limits = Limits(),
    isolate: bool = False,
    name: str | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Clip:
    """Decode part of a video file once and return the sampled frames, their times and a display copy.

    frames, fps   the span is cut into `frames` equal parts (or parts of 1/`fps` s); each gives the picture shown at its
                  middle; parts on the same picture collapse. With neither, every picture of the span
    span          (start, end) seconds on the file's own clock; the whole video without it
    size          (H, W) of `Clip.frames`; the source's own size, at most 480 high, without it
    fit           "squash" the whole picture, or "crop" the centre after scaling the short side
    proxy         also make an MP4 of the span, from the first sampled picture on
    motion        also measure motion per block: codec vectors where the codec has them, else optical flow
    window        codec vectors of so many pictures around each sampled one, not of those since the one before
    isolate       decode in a child process with bounded memory and time; a crash becomes a sentence
    name          what to call the file in sentences; its own name without it

    Raises VideoError (a ValueError) in one plain sentence for a file that cannot be read, ValueError for a senseless
    request.

        clip = read("dance.mp4", frames=8, size=(224, 224), proxy=True)
    """
    called = plain_name(path, name)
    file = check_path(path, called, limits)
    job = Job(str(file), called, frames, fps, span, size, fit, proxy, motion, window, None, limits)
    digest = sha256(file)
    facts, arrays = _do("read", job, isolate, progress, cancel)
    return _clip(job, digest, facts, arrays)


def probe(
    path: str | os.PathLike[str], *, limits: Limits = Limits(), isolate: bool = False, name: str | None = None
) -> Probe:
    """Say what a file holds, without reading more than its first picture and its time table. Raises VideoError."""
    called = plain_name(path, name)
    job = Job(str(check_path(path, called, limits)), called, frames=1, limits=limits)
    facts, _ = _do("probe", job, isolate)
    return Probe(
        name=called,
        container=str(facts["container"]),
        codec=str(facts["codec"]),
        size_hw=_pair(facts["source_hw"]),
        rotation=int(facts["rotation"]),
        fps=facts["fps"],
        duration=float(facts["duration"]),
        start=float(facts["start"]),
        pictures=int(facts["pictures"]),
        notes=tuple(map(str, facts["notes"])),
    )


def thumbnails(
    path: str | os.PathLike[str],
    count: int = 24,
    *,
    limits: Limits = Limits(),
    isolate: bool = False,
    name: str | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Glance:
    """Look over a whole video, however long, in at most `count` small pictures; key frames where there are enough.

    The limits on seconds and frames do not count: their times are read, nearly none of them is decoded.
    Raises VideoError as `read` does.
    """
    called = plain_name(path, name)
    file = check_path(path, called, limits)
    job = Job(str(file), called, count, limits=replace(limits, seconds=86_400.0, frames=10_000_000))
    facts, arrays = _do("thumbnails", job, isolate, progress, cancel)
    return Glance(sha256(file), float(facts["start"]), float(facts["end"]), arrays["times"], arrays["display"])


def windows(
    path: str | os.PathLike[str],
    frames_per_window: int = 16,
    fps: float | None = None,
    *,
    carry: int = 1,
    span: tuple[float, float] | None = None,
    size: tuple[int, int] | None = None,
    fit: str = "squash",
    motion: bool = False,
    window: int | None = None,
    after: float | None = None,
    limits: Limits = Limits(seconds=86_400.0, frames=10_000_000),
    name: str | None = None,
    cancel: Cancel | None = None,
) -> Iterator[Clip]:
    """Stream a long video as clips of `frames_per_window` frames; each repeats the last `carry` of the one before.

    Sampling is by `fps` as in `read` (every picture without it); `after` leaves out the frames up to that time. One
    decode pass, in this process; no proxy.
    Raises VideoError as `read` does, ValueError when `carry` leaves no new frame, or repeats one although motion is wanted.
    """
    if not 0 <= carry < frames_per_window:
        raise ValueError(f"carry is {carry}; it must be at least 0 and below frames_per_window ({frames_per_window}).")
    called = plain_name(path, name)
    file = check_path(path, called, limits)
    if motion and carry:
        raise ValueError(f"carry is {carry}; windows with motion repeat no frame, give 0.")
    job = Job(str(file), called, None, fps, span, size, fit, False, motion, window, after, limits)
    digest = sha256(file)
    for facts, arrays in read_windows(job, frames_per_window, carry, Watch(called, limits.wall, cancel=cancel)):
        clip = _clip(job, digest, facts, arrays)
        first, last = float(clip.times[0]), float(clip.times[-1])
        yield replace(clip, source=replace(clip.source, span=(first, last + 1 / (clip.source.fps or 25.0))))


def _do(
    task: str, job: Job, isolate: bool, progress: Progress | None = None, cancel: Cancel | None = None
) -> tuple[Facts, Arrays]:
    if not isolate:
        work = {"read": read_job, "probe": probe_job, "thumbnails": thumbnails_job}[task]
        return work(job, Watch(job.name, job.limits.wall, progress, cancel))
    return worker.shared().run(task, job.name, job.json(), job.limits.wall, progress, cancel)


def _clip(job: Job, digest: str, facts: Facts, arrays: Arrays) -> Clip:
    """Join numbers into a Clip; what a worker sent is taken through plain types, so that nothing else gets in."""
    try:
        display = torch.from_numpy(arrays["display"])
        frames = torch.from_numpy(arrays["frames"]) if "frames" in arrays else display
        source = Source(
            name=job.name,
            sha256=digest,
            size_hw=_pair(facts["source_hw"]),
            fps=None if facts["fps"] is None else float(facts["fps"]),
            duration=float(facts["duration"]),
            codec=str(facts["codec"]),
            rotation=int(facts["rotation"]),
            span=job.span,
            frames_read=int(facts["frames_read"]),
            drawn_by=str(facts["drawn_by"]),
        )
        x0, y0, x1, y1 = map(float, facts["rect"])
        return Clip(
            frames=frames,
            times=torch.from_numpy(arrays["times"]),
            source=source,
            rect=(x0, y0, x1, y1),
            display=display,
            proxy=arrays["proxy"].tobytes() if "proxy" in arrays else None,
            motion=_motion(facts, arrays),
            notes=tuple(map(str, facts["notes"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise VideoError(f"{job.name}: the decoder's answer makes no sense; do not trust this file.") from error


def _motion(facts: Facts, arrays: Arrays) -> MotionMap | None:
    if "motion" not in arrays:
        return None
    said = facts["motion"]
    lengths, ways = (torch.from_numpy(arrays[name]) for name in ("motion", "flow"))
    return MotionMap(lengths, str(said["kind"]), float(said["seconds"]), ways)


def _pair(values: Any) -> tuple[int, int]:
    first, second = values
    return int(first), int(second)
