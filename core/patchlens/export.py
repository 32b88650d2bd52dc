"""Writing H.264 MP4 that any browser plays: clips for people, and the proxy that runs under the overlay.

Every frame keeps its own presentation time (1/90000 s), so a video of varying rate stays in step.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, BinaryIO

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from patchlens.upright import Geometry, Scaler, Turn

CLOCK = Fraction(1, 90_000)
PROXY_RATE = 30.0  # frames per second; more is not worth its bytes under an overlay


def even(size_hw: tuple[int, int]) -> tuple[int, int]:
    """The nearest even size not above it, at least 2 x 2: yuv420p stores colour for 2 x 2 pixels."""
    return max(2, size_hw[0] // 2 * 2), max(2, size_hw[1] // 2 * 2)


class Mp4Writer:
    """An open H.264 MP4; `target` is a path or a seekable binary file. Use it in a `with` block."""

    def __init__(
        self,
        target: str | os.PathLike[str] | BinaryIO,
        size_hw: tuple[int, int],
        crf: int,
        preset: str,
        gop: int,
        comment: str = "",
    ) -> None:
        path = os.fspath(target) if isinstance(target, str | os.PathLike) else target
        on_disk = {"movflags": "+faststart"} if isinstance(path, str) else {}  # needs to reopen the file
        self._file = av.open(path, "w", format="mp4", options=on_disk)
        if comment:
            self._file.metadata["comment"] = comment
        options = {"crf": str(crf), "preset": preset, "g": str(gop), "bf": "0"}
        self._stream = self._file.add_stream("libx264", rate=30, options=options)
        self._stream.height, self._stream.width = size_hw
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = CLOCK
        self._last = -1

    def __enter__(self) -> Mp4Writer:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def add(self, frame: Any, time: float) -> None:
        """Append a yuv420p frame of the writer's size, shown at `time` seconds from the start."""
        tick = max(round(time / CLOCK), self._last + 1)
        frame.pts, frame.time_base, frame.pict_type = tick, CLOCK, 0  # 0: let the encoder choose
        if self._last < 0:
            context = self._stream.codec_context
            context.colorspace, context.color_range = frame.colorspace, frame.color_range
        self._last = tick
        for packet in self._stream.encode(frame):
            self._file.mux(packet)

    def close(self) -> None:
        """Write what the encoder still holds, and the index."""
        if self._last >= 0:
            for packet in self._stream.encode(None):
                self._file.mux(packet)
        self._file.close()


def write_mp4(
    target: str | os.PathLike[str] | BinaryIO,
    frames: Iterable[Any],
    fps: float = 25.0,
    crf: int = 20,
    gop: int = 48,
    comment: str = "",
) -> int:
    """Write RGB frames, each uint8 (H, W, 3) of one size, as an H.264 MP4; returns how many.

    `comment` goes into the file's metadata. An odd side grows by one repeated row or column.
    Raises ValueError for no frames, another shape, or a rate that is not positive.

        write_mp4("out.mp4", clip.frames, fps=8)
    """
    if not fps > 0:
        raise ValueError(f"fps is {fps}; it must be positive.")
    writer, context, size, count = None, VideoReformatter(), None, 0
    try:
        for count, frame in enumerate(frames, 1):
            picture = np.ascontiguousarray(frame)
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
                raise ValueError(f"frame {count} is {picture.dtype} {picture.shape}; it must be uint8 (H, W, 3).")
            if writer is None:
                size = picture.shape
                writer = Mp4Writer(target, (size[0] + size[0] % 2, size[1] + size[1] % 2), crf, "medium", gop, comment)
            if picture.shape != size:
                raise ValueError(f"frame {count} is {picture.shape}; the first was {size}: all must have one size.")
            picture = np.pad(picture, ((0, size[0] % 2), (0, size[1] % 2), (0, 0)), "edge")
            image = av.VideoFrame.from_ndarray(picture, "rgb24")
            writer.add(
                context.reformat(image, format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"),
                (count - 1) / fps,
            )
    finally:
        if writer is not None:
            writer.close()
    if not count:
        raise ValueError("There are no frames to write; give at least one.")
    return count


@dataclass
class Proxy:
    """A light copy of the span for playing: at most 30 pictures a second, and every sampled one.

    Its clock starts at the first sampled picture.
    """

    scaler: Scaler
    geometry: Geometry
    _buffer: io.BytesIO = field(default_factory=io.BytesIO)
    _writer: Mp4Writer | None = None
    _start: float = 0.0
    _held: tuple[float, Any, bool] | None = None

    def add(self, time: float, picture: Any, sampled: bool) -> None:
        """Take the next picture, shown at `time` seconds."""
        if self._writer is None:
            if not sampled:
                return
            self._writer = Mp4Writer(self._buffer, even(self.geometry.display_hw), 26, "superfast", 12)
            self._start = time
        held = self._held
        if held is not None and time - held[0] < 0.97 / PROXY_RATE and not (held[2] and sampled):
            if not sampled:
                return
            self._held = None  # the sampled picture takes the place of its neighbour
        self._write()
        self._held = (time, picture, sampled)

    def finish(self) -> bytes:
        """The MP4, empty when no picture came."""
        self._write()
        if self._writer is not None:
            self._writer.close()
        return self._buffer.getvalue()

    def _write(self) -> None:
        if self._held is None or self._writer is None:
            return
        time, picture, _ = self._held
        size = even(self.geometry.display_hw)
        if self.scaler.turn == Turn():
            small = self.scaler.frame(picture, size, "yuv420p", "BILINEAR")
        else:
            upright = np.ascontiguousarray(self.scaler.rgb(picture, size, "BILINEAR"))
            small = av.VideoFrame.from_ndarray(upright, "rgb24").reformat(format="yuv420p")
        self._writer.add(small, time - self._start)
        self._held = None
