"""From a decoded picture, stored any way round, to upright RGB arrays of the wanted size.

Scaling happens inside FFmpeg, straight from YUV, before the small result is turned; so a turn costs next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from av.video.reformatter import VideoReformatter

from patchlens.limits import VideoError

DISPLAY_HW = (480, 1280)  # largest height and width of a display picture
_LONGEST = 20  # a centre crop of a picture this many times longer than wide would blow up a sliver


@dataclass(frozen=True)
class Turn:
    """One of the eight ways to store a picture: transposed first, then mirrored left-right and top-bottom."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False
    degrees: int = 0

    @classmethod
    def of(cls, frame: Any) -> Turn:
        """Read a frame's display matrix; a matrix that is no quarter turn or mirror image counts as none."""
        side = frame.side_data.get("DISPLAYMATRIX")
        if side is None or len(bytes(side)) < 36:
            return cls()
        matrix = np.frombuffer(bytes(side), "<i4", 9).reshape(3, 3)[:2, :2].astype(np.float64) / 65536
        swap = abs(matrix[0, 0]) < abs(matrix[0, 1])
        x, y = (matrix[1, 0], matrix[0, 1]) if swap else (matrix[0, 0], matrix[1, 1])
        rest = (matrix[0, 0], matrix[1, 1]) if swap else (matrix[1, 0], matrix[0, 1])
        if min(abs(x), abs(y)) < 0.01 or max(map(abs, rest)) > 0.01 * max(abs(x), abs(y)):
            return cls()
        return cls(bool(swap), bool(x < 0), bool(y < 0), int(frame.rotation))

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Turn an array (H, W, ...) upright."""
        if self.transpose:
            picture = picture.swapaxes(0, 1)
        return picture[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1]

    def size(self, first: int, second: int) -> tuple[int, int]:
        """A pair of sizes before and after turning (its own inverse)."""
        return (second, first) if self.transpose else (first, second)


@dataclass(frozen=True)
class Geometry:
    """Sizes of one video's pictures, all upright.

    source_hw in stored pixels; display_hw for people (square pixels); canvas_hw the picture scaled for the encoder, of
    which crop = (top, left, height, width) is kept; rect = that crop in source pixels.
    """

    source_hw: tuple[int, int]
    display_hw: tuple[int, int]
    canvas_hw: tuple[int, int]
    crop: tuple[int, int, int, int]
    rect: tuple[float, float, float, float]


def geometry(source_hw: tuple[int, int], shape: float, size: tuple[int, int] | None, fit: str, name: str) -> Geometry:
    """Plan the sizes; `shape` is how much wider than high a stored pixel is shown, `size` the encoder's (H, W).

    `fit`: "squash" the whole picture into `size`, or "crop" its centre. Raises VideoError for a sliver that cannot be
    cropped.
    """
    height, width = source_hw
    shape = shape if 0.25 <= shape <= 4 else 1.0  # beyond that it is a damaged header
    shown = (height, max(1.0, width * shape)) if shape >= 1 else (max(1.0, height / shape), width)
    shrink = min(1.0, DISPLAY_HW[0] / shown[0], DISPLAY_HW[1] / shown[1])
    display = max(1, round(shown[0] * shrink)), max(1, round(shown[1] * shrink))
    whole = (0.0, 0.0, float(width), float(height))
    if size is None or fit == "squash":
        canvas = size or display
        return Geometry(source_hw, display, canvas, (0, 0, *canvas), whole)
    if max(shown) > _LONGEST * min(shown):
        raise VideoError(f"{name} has pictures of {width} x {height} px, too long to crop; use the fit 'squash'.")
    grow = max(size[0] / shown[0], size[1] / shown[1])
    canvas = max(size[0], round(shown[0] * grow)), max(size[1], round(shown[1] * grow))
    top, left = (canvas[0] - size[0]) // 2, (canvas[1] - size[1]) // 2
    y, x = height / canvas[0], width / canvas[1]
    rect = (left * x, top * y, (left + size[1]) * x, (top + size[0]) * y)
    return Geometry(source_hw, display, canvas, (top, left, *size), rect)


@dataclass
class Scaler:
    """Turns decoded pictures into upright RGB arrays; keeps one swscale context per wanted size."""

    turn: Turn
    _contexts: dict[tuple, VideoReformatter] = field(default_factory=dict)

    def frame(self, picture: Any, size_hw: tuple[int, int], layout: str, method: str) -> Any:
        """Scale to an upright size (H, W) without turning yet; returns a frame in pixel format `layout`."""
        height, width = self.turn.size(*size_hw)
        context = self._contexts.setdefault((size_hw, layout), VideoReformatter())
        return context.reformat(picture, width, height, layout, interpolation=method)

    def rgb(self, picture: Any, size_hw: tuple[int, int], method: str = "BICUBIC") -> np.ndarray:
        """Upright uint8 (H, W, 3)."""
        return self.turn.apply(self.frame(picture, size_hw, "rgb24", method).to_ndarray())
