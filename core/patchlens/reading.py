"""A job in, plain numpy out: the work that runs either here or in the worker process.

Knows neither torch nor `Clip`, so that a worker starts quickly and only numbers cross the border.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from patchlens.album import Album
from patchlens.container import Table, Track, opened, scan
from patchlens.decoding import Pass
from patchlens.export import Proxy
from patchlens.limits import Limits, VideoError, Watch, reason
from patchlens.moved import motion_of, vectors_of
from patchlens.sampling import Sampling, check_request, sample

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
    window: int | None = None
    after: float | None = None
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
        raise VideoError(f"{name} needs more memory than is allowed; ask for fewer or smaller frames.") from error
    except Exception as error:  # a decoder fed with damaged data may raise anything
        raise VideoError(f"{name} cannot be decoded ({reason(error)}); it may be damaged.") from error


def read_job(job: Job, watch: Watch) -> tuple[Facts, Arrays]:
    """Decode once and return facts and arrays (frames unless equal to display, display, times, proxy, motion, flow).

    Raises VideoError in one sentence for whatever cannot be read.
    """
    with plain_errors(job.name):
        with opened(Path(job.path), job.name, job.limits) as track:
            table = scan(track, job.limits, watch, job.span[0] if job.span else 0.0)
        sampling = sample(table, job.name, job.frames, job.fps, job.span, job.limits)
        every, broke = False, None
        for _ in range(3):
            facts, arrays, run = _decode(job, table, sampling, watch, every)
            broke = run if run.broken else broke
            rest = run.last + 1 / (table.rate or 25.0)
            if not run.broken or sampling.targets[-1] <= rest:
                break
            if run.skips:  # decode everything to find where it breaks ...
                every = True
            else:  # ... and sample the part before the break anew
                sampling = sampling.until(rest)
        facts["notes"] += _break_note(table, broke)
        watch.report(1.0)
        return facts, arrays


def _decode(
    job: Job, table: Table, sampling: Sampling, watch: Watch, every: bool = False
) -> tuple[Facts, Arrays, Pass]:
    with opened(Path(job.path), job.name, job.limits) as track:
        context = track.stream.codec_context
        vectors = vectors_of(context, job.motion, job.window)
        run = Pass(track, table, sampling, watch, every or job.proxy or vectors is not None, to_end=job.proxy)
        album, proxy, seconds = _album(job, track, sampling.distinct), None, 0.0
        for shown, picture, sampled in run:
            sizes = album.meet(picture)
            proxy = proxy or (Proxy(album.scaler, sizes) if job.proxy else None)
            if sampled:
                album.add(shown, picture)
            if proxy is not None:
                proxy.add(shown, picture, sampled)
            if vectors is not None:
                began = time.perf_counter()
                vectors.add(picture, sampled)
                seconds += time.perf_counter() - began
        if not album.times:
            most = f"{job.limits.pixels / 1e6:.1f} megapixels"
            what = f"{job.name}: no picture of its {context.name} video can be decoded"
            raise VideoError(f"{what}; it is damaged, or its pictures exceed the limit of {most}.")
        facts, arrays = _facts(track, album, run, table, sampling), album.take()
        if proxy is not None:
            arrays["proxy"] = np.frombuffer(proxy.finish(), np.uint8)
        if vectors is not None:
            vectors.finish()
        if job.motion:
            facts["motion"], moved = motion_of(album, vectors, seconds, arrays["display"])
            arrays |= moved
        return facts, arrays, run


def _album(job: Job, track: Track, expected: int) -> Album:
    shape = float(track.stream.sample_aspect_ratio or 1) or 1.0
    return Album(job.name, job.limits, job.size, job.fit, shape, expected)


def _facts(track: Track, album: Album, run: Pass, table: Table, sampling: Sampling) -> Facts:
    """What the file says of itself, and sentences about what it does not say or says wrongly."""
    notes = [*track.notes, *sampling.notes, *sorted(album.notes)]
    rate, counted = track.rate, table.rate
    if counted is not None and (rate is None or abs(rate - counted) > 0.2 * counted):
        said = "no usable frame rate" if rate is None else f"a rate of {rate:.2f}"
        notes.append(f"The file gives {said}; {counted:.2f} pictures per second were counted.")
        rate = counted
    length = table.end - float(table.shown[0])
    announced, promised = announced_seconds(track), track.stream.frames
    if table.whole and promised > len(table.packets) + 1:
        notes.append(f"The file is cut short: it announces {promised} pictures, {len(table.packets)} are there.")
    elif table.whole and announced is not None and announced - table.end > max(0.5, 0.05 * length):
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
        "drawn_by": track.container.metadata.get("comment", "")[:80],
        "rotation": album.scaler.turn.degrees,
        "frames_read": run.frames_read,
        "notes": notes,
    }


def announced_seconds(track: Track) -> float | None:
    """How long the file says that it is."""
    if track.stream.duration:
        return float(track.stream.duration * track.tick)
    return track.container.duration / 1e6 if track.container.duration else None


def _break_note(table: Table, run: Pass | None) -> list[str]:
    """What to say of a pass that stopped early, or of a file that ends too soon."""
    if run is not None:
        where = f"decoding stopped after {run.frames_read} pictures, at {run.last:.2f} s of {table.end:.2f} s"
        return [f"The file is damaged ({run.broken}): {where}; what comes later is missing."]
    if table.broken:
        return [f"The file is damaged ({table.broken}) at {table.end:.2f} s; what comes later is missing."]
    return []


def probe_job(job: Job, watch: Watch) -> tuple[Facts, Arrays]:
    """What is in the file: its first picture is decoded, the others are counted. Raises VideoError as `read_job` does."""
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
        if job.after is not None:
            sampling = sampling.after(table.shown, job.after)
        if not len(sampling.targets):
            return
        with opened(Path(job.path), job.name, job.limits) as track:
            vectors = vectors_of(track.stream.codec_context, job.motion, job.window)
            run, album = Pass(track, table, sampling, watch, vectors is not None), _album(job, track, count)
            fresh, seconds = 0, 0.0

            def window(keep: int) -> tuple[Facts, Arrays]:
                arrays = album.take(keep, count)
                facts = _facts(track, album, run, table, sampling)
                if job.motion:
                    facts["motion"], moved = motion_of(album, vectors, seconds, arrays["display"])
                    arrays |= moved
                return facts, arrays
            for shown, picture, sampled in run:
                album.meet(picture)
                began = time.perf_counter()
                if vectors is not None:
                    vectors.add(picture, sampled)
                seconds += time.perf_counter() - began
                if sampled:
                    album.add(shown, picture)
                    fresh += 1
                if len(album.times) >= count and (vectors is None or vectors.settled >= count):
                    yield window(carry)
                    fresh, seconds = len(album.times) - carry, 0.0
                    watch.renew()  # the wall limit is for work, not for whoever uses the windows
            if vectors is not None:
                vectors.finish()
            while fresh > 0:
                facts, arrays = window(carry if len(album.times) > count else 0)
                fresh = len(album.times) - carry
                facts["notes"] += _break_note(table, run if run.broken else None)
                yield facts, arrays
            if run.last == float("-inf"):
                raise VideoError(f"{job.name}: no picture can be decoded; the file is damaged.")
