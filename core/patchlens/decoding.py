"""One decode pass: which pictures come out of the decoder, in order, with their true times, and which are wanted.

Packets are read from the start of the file; groups of pictures that hold no wanted one are passed over undecoded.
A picture is handed on when the next one has come, because only then is it known until when it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from patchlens.container import Table, Track, can_skip, packets
from patchlens.limits import Watch, reason
from patchlens.sampling import EPS, Sampling


class Clock:
    """Presentation times in seconds of the pictures a decoder delivers, as FFmpeg's players guess them.

    AVI knows only decoding times; elsewhere presentation times are used, unless they go backwards more often.
    """

    def __init__(self, track: Track, start: float) -> None:
        self._tick = track.tick
        self._step = 1 / (track.rate or 25.0)
        self._avi = track.is_avi
        self._wrong = {"pts": 0, "dts": 0}
        self._last: dict[str, int] = {}
        self._time: float | None = None
        self.restart(start)

    def restart(self, start: float) -> None:
        """The next picture is the key frame shown at `start` seconds."""
        self._start, self._shift = start, None

    def time(self, picture: Any) -> float:
        """Seconds at which the picture is shown."""
        stamp = self._avi_stamp(picture.dts) if self._avi else self._stamp(picture.pts, picture.dts)
        if stamp is not None:
            self._time = stamp
        else:
            self._time = self._start if self._time is None else self._time + self._step
        return self._time

    def _seconds(self, ticks: int) -> float:
        return ticks * self._tick.numerator / self._tick.denominator

    def _avi_stamp(self, dts: int | None) -> float | None:
        if dts is None:
            return None
        if self._shift is None:
            self._shift = round(self._start / self._tick) - dts
        return self._seconds(dts + self._shift)

    def _stamp(self, pts: int | None, dts: int | None) -> float | None:
        for key, value in (("pts", pts), ("dts", dts)):
            if value is not None:
                self._wrong[key] += value <= self._last.get(key, value - 1)
                self._last[key] = value
        chosen = pts if pts is not None and (dts is None or self._wrong["pts"] <= self._wrong["dts"]) else dts
        return None if chosen is None else self._seconds(chosen)


class Pass:
    """Iterate over (time, picture, sampled) of the pictures shown in the span, times strictly rising.

    `each`: decode every picture (a proxy or motion needs them), not only the groups that hold sampled ones;
    `to_end`: go on after the last sampled picture. Afterwards `frames_read` counts pictures of the span, `last` is the
    time of the latest one, `broken` says why decoding stopped early (None: it did not), `damaged` counts pictures with
    errors and `unordered` those left out because their times do not rise.
    """

    def __init__(
        self, track: Track, table: Table, sampling: Sampling, watch: Watch, each: bool = False, to_end: bool = False
    ) -> None:
        self._track, self._table, self._sampling, self._watch = track, table, sampling, watch
        self._to_end = to_end
        wanted = np.full(len(sampling.targets), sampling.start) if each else sampling.targets
        # EPS: a target may be the very time of a key frame
        points = table.resume_points(np.append(wanted, sampling.start) + EPS)
        seekable = can_skip(track)
        self.skips = seekable and not each
        self._resume = points if seekable else points * 0
        self._next = 0
        self.broken: str | None = None
        self.frames_read = self.damaged = self.unordered = 0
        self.last = float("-inf")

    def __iter__(self) -> Iterator[tuple[float, Any, bool]]:
        span, waiting = self._sampling, None
        for time, picture in self._pictures():
            if time >= span.end - EPS:
                break
            inside = time >= span.start - EPS
            if inside:
                self.frames_read += 1
                self.last = time
                self._watch.report((time - span.start) / (span.end - span.start))
            if waiting is not None:
                yield from self._show(*waiting, time)
                if self._next == len(span.targets) and not self._to_end:
                    return
            waiting = time, picture
        if waiting is not None:
            yield from self._show(*waiting, float("inf"))

    def _show(self, time: float, picture: Any, until: float) -> Iterator[tuple[float, Any, bool]]:
        targets, first = self._sampling.targets, self._next
        while self._next < len(targets) and targets[self._next] + EPS < until:
            self._next += 1
        sampled = self._next > first
        if sampled or time >= self._sampling.start - EPS:
            yield time, picture, sampled

    def _pictures(self) -> Iterator[tuple[float, Any]]:
        """Decode packet by packet until the file ends or breaks."""
        clock = Clock(self._track, float(self._table.packets[0]))
        context, latest, idle = self._track.stream.codec_context, float("-inf"), False
        for number, packet in self._packets():
            if number is not None and number < self._resume[self._next]:
                idle = True
                continue
            if idle and number is not None:
                context.flush_buffers()
                clock.restart(float(self._table.packets[number]))
                idle = False
            for picture in self._decode(context, packet):
                time = clock.time(picture)
                if time <= latest:
                    self.unordered += 1
                    continue
                latest = time
                self.damaged += bool(picture.is_corrupt)
                yield time, picture
            if self.broken:
                return

    def _packets(self) -> Iterator[tuple[int | None, Any]]:
        """Numbered packets, then (None, None) to empty the decoder."""
        try:
            for number, packet in enumerate(packets(self._track)):
                if number >= len(self._table.packets) and self._table.whole:
                    break
                yield number, packet
        except av.FFmpegError as error:
            self.broken = reason(error)
        yield None, None

    def _decode(self, context: Any, packet: Any) -> list[Any]:
        self._watch.check()
        try:
            return context.decode(packet)
        except EOFError:
            return []
        except MemoryError:
            raise
        except (av.FFmpegError, ValueError) as error:
            self.broken = reason(error)
        try:
            return context.decode(None) if packet is not None else []  # what was finished before the break
        except (av.FFmpegError, ValueError):
            return []
