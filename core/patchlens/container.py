"""Opening a video file safely, choosing its picture track, and reading its time table without decoding.

Only self-contained containers are let in (no playlists, no file lists, no network), by absolute path and by the
`file` protocol alone, so that a file can never make the decoder read another one.
"""

from __future__ import annotations

import os
import re
import stat
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from patchlens.limits import Limits, VideoError, Watch, reason

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,ogg,gif,asf,flv"
KNOWN = "MP4, MOV, MKV, WebM, AVI, MPEG, OGG, GIF, WMV and FLV"
_MAX_RATE = 240.0  # frames per second; a rate above is a clock's resolution, not a rate
_SEEKABLE = ("mov,mp4", "matroska")  # their key-frame flags can be trusted to start decoding
_REORDER = 64  # packets; more than any codec holds back to put pictures into order
_MAX_PACKETS = 20_000_000


@dataclass
class Track:
    """The picture track chosen from an open file, with sentences worth showing."""

    name: str
    container: Any
    stream: Any
    notes: list[str] = field(default_factory=list)

    @property
    def format(self) -> str:
        """FFmpeg's name of the container."""
        return self.container.format.name

    @property
    def is_avi(self) -> bool:
        """AVI numbers packets in decoding order; it knows no presentation times."""
        return self.format == "avi"

    @property
    def tick(self) -> Fraction:
        """Seconds per unit of the track's time stamps."""
        return self.stream.time_base

    @property
    def rate(self) -> float | None:
        """Frames per second as the file says, None where it says nothing usable."""
        rate = float(self.stream.average_rate or 0)
        return rate if 0 < rate <= _MAX_RATE else None


@dataclass(frozen=True)
class Table:
    """When pictures are shown, read from packets alone.

    shown float64 (F,), rising seconds of the pictures to be shown; packets float64 (P,), seconds of every packet in file
    order; key bool (P,); end: when the last picture's time is over; whole: the file was read to its end; broken: why
    reading stopped before (None: it did not).
    """

    shown: np.ndarray
    packets: np.ndarray
    key: np.ndarray
    end: float
    whole: bool
    broken: str | None = None

    @property
    def rate(self) -> float | None:
        """Mean pictures per second, None for a single picture."""
        span = self.shown[-1] - self.shown[0]
        return float((len(self.shown) - 1) / span) if span > 0 else None

    def resume_points(self, targets: np.ndarray) -> np.ndarray:
        """Packet number of the last key frame at or before each target (0 where that cannot be told)."""
        keys = np.flatnonzero(self.key)
        times = self.packets[keys]
        if not len(keys) or (np.diff(times) <= 0).any():
            return np.zeros(len(targets), np.int64)
        place = np.searchsorted(times, targets, "right") - 1
        return np.where(place >= 0, keys[np.maximum(place, 0)], 0)


def check_path(path: str | os.PathLike[str], name: str, limits: Limits) -> Path:
    """Absolute path of a plain local file within the size limit; raises VideoError for anything else."""
    text = os.fsdecode(path)
    file = Path(text)
    try:
        status = file.stat() if "\0" not in text else None
    except (OSError, ValueError):
        status = None
    if status is None and re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", text):
        raise VideoError(f"{name} looks like an address; only files on this machine are read: download it first.")
    if status is None:
        raise VideoError(f"{name} does not exist or may not be read; check the path.")
    if not stat.S_ISREG(status.st_mode):
        raise VideoError(f"{name} is not a plain file; give the path of one video file.")
    limits.check_bytes(name, status.st_size)
    return file.resolve()


@contextmanager
def opened(path: Path, name: str, limits: Limits) -> Iterator[Track]:
    """Open a checked path and yield its picture track. Raises VideoError when there is none."""
    options = {
        "format_whitelist": FORMATS,
        "protocol_whitelist": "file",
        "max_pixels": str(limits.pixels),  # reaches the decoders that probe the streams
        "max_streams": "64",
    }
    try:
        container = av.open(str(path), options=options, metadata_errors="ignore", timeout=limits.wall)
    except MemoryError:
        raise
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"{name} cannot be opened: it is damaged or not a video ({KNOWN} are read).") from error
    with container:
        yield _choose(container, name, limits)


def _choose(container: Any, name: str, limits: Limits) -> Track:
    """The largest moving picture track; cover pictures and thumbnails are no video."""
    still = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    videos = list(container.streams.video)
    moving = [s for s in videos if not s.disposition & still]
    if not moving:
        what = "only a cover picture" if videos else "sound" if container.streams.audio else "no pictures"
        raise VideoError(f"{name} holds {what}, no video track; choose a file with moving pictures.")
    known = [s for s in moving if s.codec_context is not None]
    if not known:
        raise VideoError(f"{name} uses a codec that this FFmpeg cannot decode; convert it to H.264 first.")
    default = av.stream.Disposition.default
    best = max(
        known,
        key=lambda s: (s.frames != 1, s.width * s.height, bool(s.disposition & default), s.duration or 0, -s.index),
    )
    track = Track(name, container, best)
    if len(moving) > 1:
        size = f"{best.width} x {best.height} px"
        track.notes.append(f"The file has {len(moving)} picture tracks; the one of {size} was read.")
    limits.check_picture(name, best.width, best.height)
    context = best.codec_context
    context.thread_type = "AUTO"
    context.options = {**context.options, "max_pixels": str(limits.pixels)}
    return track


def packets(track: Track) -> Iterator[Any]:
    """The track's packets in file order, without the empty ones that end a file."""
    return (packet for packet in track.container.demux(track.stream) if packet.size)


def scan(track: Track, limits: Limits, watch: Watch, start: float = 0.0) -> Table:
    """Read the track's packets, decoding nothing, to the end of the file or the limit on frames after `start` seconds.

    Raises VideoError when the track holds no packet at all.
    """
    times, keys, shown = array("d"), bytearray(), array("d")
    broken, last, counted = None, 0, 0
    seconds, step = track.tick.numerator / track.tick.denominator, 1 / (track.rate or 25.0)
    try:
        for number, packet in enumerate(packets(track)):
            if number % 256 == 0:
                watch.check()
            stamp = packet.dts if track.is_avi or packet.pts is None else packet.pts
            time = number * step if stamp is None else stamp * seconds
            times.append(time)
            keys.append(packet.is_keyframe)
            if not packet.is_discard:
                shown.append(time)
                last = packet.duration or 0
            counted += time >= start
            if counted > limits.frames + _REORDER or number >= _MAX_PACKETS:
                break
        else:
            counted = 0
    except av.FFmpegError as error:
        broken, counted = reason(error), 0
    if not times:
        raise VideoError(f"{track.name} holds no picture at all; it is damaged or was never finished.")
    return _table(times, keys, shown, last * seconds, step, not counted, broken)


def _table(
    packets: array, keys: bytearray, shown: array, last: float, step: float, whole: bool, broken: str | None
) -> Table:
    """Sort the times; pictures before 0 lie outside the edit list and are not shown, unless all do."""
    times = np.unique(np.array(shown or packets, np.float64))
    times = times[times >= 0] if (times >= 0).any() else times
    usual = float(np.median(np.diff(times))) if len(times) > 1 else step
    length = min(last, 10 * usual) if last > 0 else usual
    return Table(times, np.array(packets), np.frombuffer(bytes(keys), bool), float(times[-1]) + length, whole, broken)


def can_skip(track: Track) -> bool:
    """Whether decoding may start at any key frame and still know the times of the pictures."""
    if track.is_avi:
        return not getattr(track.stream.codec_context, "has_b_frames", True)
    return track.format.startswith(_SEEKABLE)
