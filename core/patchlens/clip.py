"""What a decoder delivers: a Clip of upright frames with their times, where it came from, and how it moved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from patchlens.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


def require(condition: bool, message: str) -> None:
    """Raises ValueError with the message when an invariant does not hold."""
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True)
class Source:
    """Where a clip came from, and what its file says of itself.

    `size_hw` is the upright picture in pixels, `span` the (start, end) asked for in seconds, `fps` the mean rate (None
    where the file gives no usable one), `frames_read` how many frames the decoder delivered,
    `drawn_by` the program that says it drew the clip (a file's comment); PatchLens's own clips name the module.
    """

    name: str
    sha256: str
    size_hw: tuple[int, int]
    fps: float | None = None
    duration: float | None = None
    codec: str = ""
    rotation: int = 0
    span: tuple[float, float] | None = None
    frames_read: int = 0
    drawn_by: str = ""


CODEC, FLOW = "codec vectors", "DIS flow"  # where motion comes from


@dataclass(frozen=True, eq=False)
class MotionMap:
    """Motion magnitude per pixel block since the previous sampled frame, and which way it went.

    `values` float32 (T, a, b), in pixels of the upright source; `kind` says where it came from (CODEC or FLOW),
    `seconds` what it took to get. `flow` float32 (T, a, b, 2): mean way (dx right, dy down), or None.
    """

    values: Tensor
    kind: str
    seconds: float = 0.0
    flow: Tensor | None = None

    def __post_init__(self) -> None:
        require(
            self.values.ndim == 3,
            f"MotionMap.values has shape {tuple(self.values.shape)}; it must be (T, a, b).",
        )
        require(
            self.flow is None or self.flow.shape == (*self.values.shape, 2),
            f"MotionMap.flow must have shape {(*self.values.shape, 2)}, one (dx, dy) for each value.",
        )


@dataclass(frozen=True, eq=False)
class Clip:
    """Upright RGB frames as an encoder wants them, and a display copy, from one decode.

    frames   uint8 (T, H, W, 3), the part of the picture inside `rect`, at the encoder's size (or the source's own)
    times    float64 (T,), true presentation times in seconds, strictly rising
    rect     (x0, y0, x1, y1) in source pixels: what each frame covers of the upright source
    display  uint8 (T, h, w, 3), the whole source picture, at most 480 high
    proxy    H.264 MP4 of the span for playing, its clock starting at times[0]; None where it was not asked for
    motion   MotionMap or None
    notes    sentences a person should see (frames lost to corruption, a guessed rate, ...)
    Raises ValueError when an invariant does not hold.
    """

    frames: Tensor
    times: Tensor
    source: Source
    rect: tuple[float, float, float, float]
    display: Tensor
    proxy: bytes | None = None
    motion: MotionMap | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(
            self.frames.ndim == 4 and self.frames.shape[-1] == 3 and self.frames.dtype == torch.uint8,
            f"Clip.frames is {self.frames.dtype} {tuple(self.frames.shape)}; it must be uint8 (T, H, W, 3).",
        )
        require(len(self.frames) >= 1, "A clip needs at least one frame.")
        require(
            self.times.shape == (len(self.frames),) and bool((self.times.diff() > 0).all()),
            "Clip.times must hold one strictly rising time per frame.",
        )

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of `frames` in pixels."""
        return int(self.frames.shape[1]), int(self.frames.shape[2])

    @classmethod
    def from_file(cls, path: str | Path, frames: int | None = 16, **options: Any) -> Clip:
        """Decode a video file; the arguments are those of `patchlens.video.read`."""
        from patchlens.video import read  # the one door from the data to the decoder

        return read(path, frames=frames, **options)

    @classmethod
    def from_frames(
        cls, frames: Any, fps: float = 25.0, name: str = "frames", drawn_by: str = "", start: float = 0.0
    ) -> Clip:
        """Make a clip of uint8 frames (T, H, W, 3) shown at `fps` from `start` seconds; the pixels are used untouched.

        Raises ValueError for another dtype or shape, or a rate that is not positive.
        """
        from hashlib import sha256

        frames = torch.as_tensor(frames).contiguous()
        require(fps > 0, f"fps is {fps}; it must be positive.")
        require(
            frames.ndim == 4 and frames.shape[-1] == 3 and frames.dtype == torch.uint8,
            f"frames are {frames.dtype} {tuple(frames.shape)}; they must be uint8 (T, H, W, 3).",
        )
        count, height, width = frames.shape[:3]
        digest = sha256(repr((tuple(frames.shape), float(fps))).encode() + frames.numpy().tobytes()).hexdigest()
        length = count / fps
        source = Source(
            name, digest, (height, width), fps, length, "frames",
            span=(start, start + length), frames_read=count, drawn_by=drawn_by,
        )  # fmt: skip
        times = start + torch.arange(count, dtype=torch.float64) / fps
        return cls(frames, times, source, (0.0, 0.0, width, height), frames)
