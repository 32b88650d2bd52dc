"""Small videos made while the tests run: every frame shows its own number, so a test can tell which one it got."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np

BITS = 8


def numbered(count: int, height: int = 96, width: int = 160) -> np.ndarray:
    """uint8 (count, height, width, 3): frame n shows n as black and white bars, below a red upper left corner."""
    frames = np.full((count, height, width, 3), 60, np.uint8)
    frames[:, : height // 3, : width // 2] = (220, 30, 30)
    edges = np.linspace(0, width, BITS + 1).astype(int)
    for n in range(count):
        for bit in range(BITS):
            value = 235 if n >> bit & 1 else 20
            frames[n, height // 2 :, edges[bit] : edges[bit + 1]] = value
    return frames


def number_of(frame: np.ndarray) -> int:
    """The number that a frame of `numbered` shows, at any size, upright."""
    frame = np.asarray(frame)
    height, width = frame.shape[:2]
    row = frame[round(height * 0.65) : round(height * 0.9)].mean((0, 2))
    middles = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    return int(sum(1 << bit for bit, x in enumerate(middles) if row[x] > 128))


def numbers(clip) -> list[int]:
    """The numbers that a clip's frames show."""
    return [number_of(frame) for frame in clip.frames]


def moving(count: int, dx: float = 4.0, height: int = 192, width: int = 256, seed: int = 0) -> np.ndarray:
    """uint8 (count, height, width, 3): a smooth texture that slides `dx` pixels per frame to the left."""
    import cv2

    random = np.random.default_rng(seed)
    wide = random.uniform(0, 255, (height // 8 + 2, (width + int(dx * count)) // 8 + 2, 3)).astype(np.float32)
    wide = cv2.resize(wide, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    return np.stack([wide[:height, round(n * dx) : round(n * dx) + width] for n in range(count)])


def encode(
    path: Path,
    frames: Iterable[np.ndarray],
    fps: int = 25,
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    rotation: int = 0,
    sar: Fraction | None = None,
    muxer: dict[str, str] | None = None,
    decoy: bool = False,
    kind: str | None = None,
) -> Path:
    """Write `frames` to `path`; `times` are presentation times in seconds, `decoy` puts a 16 x 12 px track first."""
    frames = [np.asarray(f) for f in frames]
    height, width = frames[0].shape[:2]
    clock = Fraction(1, 1000) if times is not None else Fraction(1, fps)
    ticks = [round(t / clock) for t in times] if times is not None else range(len(frames))
    with av.open(str(path), "w", format=kind, options=muxer or {}) as container:
        tiny = None
        if decoy:
            tiny = container.add_stream("libx264", rate=fps)
            tiny.width, tiny.height, tiny.pix_fmt = 16, 12, "yuv420p"
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        if times is not None:
            stream.codec_context.time_base = clock
        if sar is not None:
            stream.codec_context.sample_aspect_ratio = sar
        if rotation:
            stream.set_display_rotation(rotation)
        for tick, picture in zip(ticks, frames, strict=True):
            if tiny is not None:
                _put(container, tiny, picture[:12, :16], tick, clock)
            _put(container, stream, picture, tick, clock)
        for one in (tiny, stream):
            if one is not None:
                container.mux(one.encode(None))
    return path


def _put(container, stream, picture: np.ndarray, tick: int, clock: Fraction) -> None:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
    frame.pts, frame.time_base = tick, clock
    container.mux(stream.encode(frame))


def sound(path: Path, codec: str = "aac", seconds: float = 0.5) -> Path:
    """A file with sound alone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, int(44100 * seconds)), np.float32), "flt", "mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cover(path: Path) -> Path:
    """A file with sound and a cover picture, which looks like a video track of one frame."""
    with av.open(str(path), "w", format="mp4") as container:
        audio = container.add_stream("aac", rate=44100)
        picture = container.add_stream("mjpeg", rate=1)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuvj420p"
        picture.disposition = av.stream.Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 22050), np.float32), "flt", "mono")
        frame.sample_rate = 44100
        container.mux(picture.encode(av.VideoFrame.from_ndarray(numbered(1, 64, 64)[0], "rgb24")))
        container.mux(audio.encode(frame))
        container.mux(picture.encode(None))
        container.mux(audio.encode(None))
    return path


def shown_times(path: Path, most: int | None = None) -> list[float]:
    """Presentation times of the first (or all) decoded frames of a file's largest track, by plain PyAV."""
    with av.open(str(path), metadata_errors="ignore") as container:
        stream = max(container.streams.video, key=lambda s: s.width * s.height)
        stream.thread_type = "AUTO"
        return [float(frame.pts * stream.time_base) for frame in islice(container.decode(stream), most)]


def written(path: Path, content: bytes | str) -> Path:
    """A file with this content."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
