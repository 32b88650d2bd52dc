"""A job in, plain numpy out: the work that runs either here or in the worker process.

Knows neither torch nor `Clip`, so that a worker starts quickly and only numbers cross the border.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from patchlens import motion
from patchlens.container import Table, Track, opened, scan
from patchlens.decoding import Pass
from patchlens.export import Proxy
from patchlens.limits import Limits, VideoError, Watch
from patchlens.sampling import Sampling, check_request, sample
from patchlens.upright import Geometry, Scaler, Turn, geometry

Facts = dict[str, Any]
Arrays = dict[str, np.ndarray]
FITS = ("squash", "crop")


@dataclass(frozen=True)
class Job:
    """What to read; the fields are the arguments of `patchlens.video.read`. JSON both ways."""

    path: str
    name: str
    frames: int | None = 16
    fps: float | None = None
    span: tuple[float, float] | None = None
    size: tuple[int, int] | None = None
    fit: str = "squash"
    proxy: bool = False
    motion: bool = False
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        check_request(self.frames, self.fps, self.span)
        if self.fit not in FITS:
            raise ValueError(f"fit is {self.fit!r}; it must be one of {FITS}.")
        if self.size is not None and not (len(self.size) == 2 and all(1 <= side <= 4096 for side in self.size)):
            raise ValueError(f"size is {self.size}; it must be (height, width), each between 1 and 4096.")

    def json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Job:
        """The inverse of `json`, also after the tuples have become lists."""
        pairs = {key: tuple(data[key]) if data[key] is not None else None for key in ("span", "size")}
        return cls(**{**data, **pairs, "limits": Limits(**data["limits"])})


@contextmanager
def plain_errors(name: str) -> Iterator[None]:
    """Whatever goes wrong while decoding `name` becomes a VideoError."""
    try:
        yield
    except VideoError:
        raise
    except MemoryError as error:
        raise VideoError(f"{name} needs more memory than is allowed; ask for fewer frames or a smaller file.") from error
    except Exception as error:  # a decoder fed with damaged data may raise anything
        raise VideoError(f"{name} cannot be decoded ({type(error).__name__}: {error}); it may be damaged.") from error


@dataclass
class Album:
    """Collects the sampled pictures as arrays; learns turn and sizes from the first picture it meets."""

    job: Job
    track: Track
    distinct: int
    scaler: Scaler = field(default_factory=lambda: Scaler(Turn()))
    geometry: Geometry | None = None
    stored_hw: tuple[int, int] = (0, 0)
    times: list[float] = field(default_factory=list)
    frames: list[np.ndarray] = field(default_factory=list)
    display: list[np.ndarray] = field(default_factory=list)
    notes: set[str] = field(default_factory=set)

    def meet(self, picture: Any) -> Geometry:
        """Look at the first picture of the pass: which way round it is stored, how large it is."""
        if self.geometry is not None:
            if (picture.height, picture.width) != self.stored_hw:
                self.notes.add("The picture size changes inside the file; every frame is scaled to the first one's shape.")
            return self.geometry
        job, self.stored_hw = self.job, (picture.height, picture.width)
        job.limits.check_picture(job.name, picture.width, picture.height)
        self.scaler = Scaler(Turn.of(picture))
        shape = float(self.track.stream.sample_aspect_ratio or 1) or 1.0
        shape = 1 / shape if self.scaler.turn.transpose else shape
        self.geometry = geometry(self.scaler.turn.size(*self.stored_hw), shape, job.size, job.fit, job.name)
        sizes = [self.geometry.display_hw] + ([self.geometry.canvas_hw] if job.size else [])
        job.limits.check_memory(job.name, self.distinct, *sizes)
        if picture.color_trc in (16, 18):  # PQ and HLG
            self.notes.add("The video is HDR; its colours are shown without tone mapping.")
        return self.geometry

    def add(self, time: float, picture: Any) -> None:
        """Convert one sampled picture."""
        sizes = self.geometry
        self.times.append(time)
        self.display.append(self.scaler.rgb(picture, sizes.display_hw))
        if self.job.size is not None:
            top, left, height, width = sizes.crop
            canvas = self.scaler.rgb(picture, sizes.canvas_hw)
            self.frames.append(canvas[top : top + height, left : left + width])

    def take(self, carry: int = 0) -> Arrays:
        """The pictures so far as arrays, keeping the last `carry` for the next window."""
        arrays = {"times": np.array(self.times, np.float64), "display": np.stack(self.display)}
        if self.job.size is not None:
            arrays["frames"] = np.stack(self.frames)
        for items in (self.times, self.frames, self.display):
            del items[: len(items) - carry]
        return arrays


def read_job(job: Job, watch: Watch) -> tuple[Facts, Arrays]:
    """Decode once and return facts and arrays (frames unless equal to display, display, times, proxy, motion).

    Raises VideoError in one sentence for whatever cannot be read.
    """
    with plain_errors(job.name):
        with opened(Path(job.path), job.name, job.limits) as track:
            table = scan(track, job.limits, watch, job.span[0] if job.span else 0.0)
        sampling = sample(table, job.name, job.frames, job.fps, job.span, job.limits)
        facts, arrays, run = _decode(job, table, sampling, watch)
        if run.broken and len(facts["times"]) < sampling.distinct:  # the part before the break, sampled anew
            shorter = sampling.until(run.last + 1 / (table.rate or 25.0))
            facts, arrays, _ = _decode(job, table, shorter, watch)
        facts["notes"] += _break_note(table, run)
        return facts, arrays


def _decode(job: Job, table: Table, sampling: Sampling, watch: Watch) -> tuple[Facts, Arrays, Pass]:
    with opened(Path(job.path), job.name, job.limits) as track:
        context = track.stream.codec_context
        vectors = None
        if job.motion and context.name in motion.CODECS:
            context.options = {**context.options, "flags2": "+export_mvs"}
            vectors = motion.VectorSum((0, 0))
        run = Pass(track, table, sampling, watch, each=job.proxy or vectors is not None, to_end=job.proxy)
        album, proxy, seconds = Album(job, track, sampling.distinct), None, 0.0
        for shown, picture, sampled in run:
            first = album.geometry is None
            sizes = album.meet(picture)
            if first:
                proxy = Proxy(album.scaler, sizes) if job.proxy else None
                vectors = motion.VectorSum(album.stored_hw) if vectors is not None else None
            if sampled:
                album.add(shown, picture)
            if proxy is not None:
                proxy.add(shown, picture, sampled)
            if vectors is not None:
                began = time.perf_counter()
                vectors.add(picture, sampled)
                seconds += time.perf_counter() - began
        if not album.times:
            raise VideoError(f"{job.name}: no picture of its {context.name} video can be decoded; it is damaged.")
        facts, arrays = _facts(album, run, table, sampling), album.take()
        if proxy is not None:
            arrays["proxy"] = np.frombuffer(proxy.finish(), np.uint8)
        if job.motion:
            facts["motion"], arrays["motion"] = _motion(album, vectors, seconds, arrays["display"])
        return facts, arrays, run


def _motion(album: Album, vectors: motion.VectorSum | None, seconds: float, display: np.ndarray) -> tuple[Facts, np.ndarray]:
    began = time.perf_counter()
    if vectors is not None and vectors.useful:
        kind, maps = "codec vectors", vectors.maps(album.scaler.turn)
    else:
        kind, maps = "DIS flow", motion.flow_maps(display, album.geometry.source_hw)
    return {"kind": kind, "seconds": seconds + time.perf_counter() - began}, maps


def _facts(album: Album, run: Pass, table: Table, sampling: Sampling) -> Facts:
    """What the file says of itself, and sentences about what it does not say or says wrongly."""
    track, notes = album.track, [*album.track.notes, *sampling.notes, *sorted(album.notes)]
    rate, counted = track.rate, table.rate
    if counted is not None and (rate is None or abs(rate - counted) > 0.2 * counted):
        said = "no usable frame rate" if rate is None else f"a rate of {rate:.2f}"
        notes.append(f"The file gives {said}; {counted:.2f} pictures per second were counted.")
        rate = counted
    length = table.end - float(table.shown[0])
    announced = announced_seconds(track)
    if table.whole and announced is not None and announced - table.end > max(1.0, 0.1 * length):
        notes.append(f"The file announces {announced:.1f} s; its pictures end at {table.end:.1f} s.")
    if run.damaged:
        notes.append(f"{run.damaged} of {run.frames_read} pictures are damaged and may look wrong.")
    if run.unordered:
        notes.append(f"{run.unordered} pictures were left out: their times do not rise.")
    return {
        "times": list(album.times),
        "source_hw": list(album.geometry.source_hw),
        "rect": list(album.geometry.rect),
        "fps": rate,
        "duration": length if table.whole else max(length, announced or 0.0),
        "codec": track.stream.codec_context.name,
        "rotation": album.scaler.turn.degrees,
        "frames_read": run.frames_read,
        "notes": notes,
    }


def announced_seconds(track: Track) -> float | None:
    """How long the file says that it is."""
    if track.stream.duration:
        return float(track.stream.duration * track.tick)
    return track.container.duration / 1e6 if track.container.duration else None


def _break_note(table: Table, run: Pass) -> list[str]:
    if run.broken:
        where = f"decoding stopped after {run.frames_read} pictures, at {run.last:.2f} s of {table.end:.2f} s"
        return [f"The file is damaged ({run.broken}): {where}; what comes later is missing."]
    if table.broken:
        return [f"The file is damaged ({table.broken}) at {table.end:.2f} s; what comes later is missing."]
    return []


def probe_job(job: Job, watch: Watch) -> tuple[Facts, Arrays]:
    """What is in the file: its first picture is decoded, the rest only counted. Raises VideoError as `read_job` does."""
    with plain_errors(job.name):
        first = Job(job.path, job.name, frames=1, limits=job.limits)
        with opened(Path(job.path), job.name, job.limits) as track:
            table = scan(track, job.limits, watch)
            container = track.format
        until = float(table.shown[0])
        facts, _, _ = _decode(first, table, Sampling(np.array([until]), until, table.end, 1, 1), watch)
        facts.update(container=container, start=until, pictures=len(table.shown))
        return facts, {}


def read_windows(job: Job, count: int, carry: int, watch: Watch) -> Iterator[tuple[Facts, Arrays]]:
    """Facts and arrays of `count` sampled pictures at a time; each window repeats the last `carry` of the one before.

    One decode pass; what was handed out is forgotten. Raises VideoError as `read_job` does.
    """
    with plain_errors(job.name):
        with opened(Path(job.path), job.name, job.limits) as track:
            table = scan(track, job.limits, watch, job.span[0] if job.span else 0.0)
        sampling = sample(table, job.name, job.frames, job.fps, job.span, job.limits, bounded=False)
        with opened(Path(job.path), job.name, job.limits) as track:
            run, album, fresh = Pass(track, table, sampling, watch), Album(job, track, count), 0
            for shown, picture, sampled in run:
                album.meet(picture)
                if not sampled:
                    continue
                album.add(shown, picture)
                fresh += 1
                if len(album.times) == count:
                    facts = _facts(album, run, table, sampling)
                    yield facts, album.take(carry)
                    fresh = 0
                    watch.renew()  # the wall limit is for work, not for whoever uses the windows
            if fresh:
                facts = _facts(album, run, table, sampling)
                facts["notes"] += _break_note(table, run)
                yield facts, album.take()
            elif run.last == float("-inf"):
                raise VideoError(f"{job.name}: no picture can be decoded; the file is damaged.")
