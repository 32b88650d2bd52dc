"""A glance over a whole video: a few small pictures, from key frames alone where there are enough of them.

A job in, plain numpy out, as in `reading`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from patchlens.container import Table, Track, can_skip, opened, packets, scan
from patchlens.decoding import Pass
from patchlens.limits import VideoError, Watch
from patchlens.reading import Arrays, Facts, Job, plain_errors
from patchlens.sampling import EPS, Sampling
from patchlens.upright import Scaler, Turn

HEIGHT = 72  # pixels
WIDEST = 160
ENOUGH = 8  # key frames that show a video well enough
LONG = 4e8  # pixels in all; a longer video is shown by its key frames, however few


def thumbnails_job(job: Job, watch: Watch) -> tuple[Facts, Arrays]:
    """At most `job.frames` small upright pictures, evenly over the whole file: display (n, h, w, 3) and times.

    Raises VideoError in one sentence for whatever cannot be read.
    """
    with plain_errors(job.name):
        with opened(Path(job.path), job.name, job.limits) as track:
            table = scan(track, job.limits, watch)
            keys = _key_frames(track, table, job.frames)
        with opened(Path(job.path), job.name, job.limits) as track:
            shown = _at_keys(track, keys, watch) if keys else _at_targets(track, table, job.frames, watch)
            times, pictures = _reduced(shown)
        if not pictures:
            raise VideoError(f"{job.name}: no picture can be decoded; the file is damaged.")
        facts = {"start": float(table.shown[0]), "end": table.end, "pictures": len(table.shown)}
        return facts, {"display": np.stack(pictures), "times": np.array(times, np.float64)}


def _reduced(shown: Iterator[tuple[float, Any]]) -> tuple[list[float], list[np.ndarray]]:
    times: list[float] = []
    pictures: list[np.ndarray] = []
    scaler, size = Scaler(Turn()), (1, 1)
    for time, picture in shown:
        if not pictures:  # the first one's turn and size count for all
            scaler = Scaler(Turn.of(picture))
            size = _small(scaler.turn.size(picture.height, picture.width))
        times.append(time)
        pictures.append(scaler.rgb(picture, size, "BILINEAR"))
    return times, pictures


def _small(size_hw: tuple[int, int]) -> tuple[int, int]:
    shrink = min(HEIGHT / size_hw[0], WIDEST / size_hw[1])
    return max(1, round(size_hw[0] * shrink)), max(1, round(size_hw[1] * shrink))


def _targets(table: Table, count: int) -> np.ndarray:
    start = float(table.shown[0])
    return start + (np.arange(count) + 0.5) * ((table.end - start) / count)


def _key_frames(track: Track, table: Table, count: int) -> dict[int, float]:
    """Packet number to time of the key frames before each of `count` instants; empty where they tell too little."""
    if not can_skip(track):
        return {}
    numbers = sorted(set(table.resume_points(_targets(table, count) + EPS).tolist()))
    pixels = track.stream.width * track.stream.height * len(table.shown)
    if len(numbers) < min(ENOUGH, len(table.shown)) and pixels <= LONG:
        return {}
    return {n: float(table.packets[n]) for n in numbers}


def _at_keys(track: Track, keys: dict[int, float], watch: Watch) -> Iterator[tuple[float, Any]]:
    context, last = track.stream.codec_context, max(keys)
    for number, packet in enumerate(packets(track)):
        watch.check()
        if number in keys:
            watch.report(number / (last + 1))
            try:
                found = [*context.decode(packet), *context.decode(None)]
            except (av.FFmpegError, ValueError):
                found = []  # a damaged key frame leaves a gap, no more
            context.flush_buffers()
            yield from ((keys[number], picture) for picture in found[:1])
        if number >= last:
            return


def _at_targets(track: Track, table: Table, count: int, watch: Watch) -> Iterator[tuple[float, Any]]:
    wanted = Sampling(_targets(table, count), float(table.shown[0]), table.end, len(table.shown), count)
    run = Pass(track, table, wanted, watch)
    return ((time, picture) for time, picture, sampled in run if sampled)
