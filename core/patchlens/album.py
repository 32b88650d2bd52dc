"""The sampled pictures of one pass, collected as upright arrays of the wanted sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from patchlens.limits import Limits
from patchlens.upright import Geometry, Scaler, Turn, geometry


@dataclass
class Album:
    """Collects the sampled pictures as arrays; learns turn and sizes from the first picture it meets.

    size (H, W) and fit are the encoder's wishes; pixel_shape says how much wider than high a stored pixel is shown;
    expected is how many pictures will come at once.
    """

    name: str
    limits: Limits
    size: tuple[int, int] | None
    fit: str
    pixel_shape: float
    expected: int
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
                self.notes.add("The picture size changes inside the file; all frames get the first one's shape.")
            return self.geometry
        self.stored_hw = picture.height, picture.width
        self.limits.check_picture(self.name, picture.width, picture.height)
        self.scaler = Scaler(Turn.of(picture))
        turn, shape = self.scaler.turn, self.pixel_shape
        upright = turn.size(*self.stored_hw)
        self.geometry = geometry(upright, 1 / shape if turn.transpose else shape, self.size, self.fit, self.name)
        sizes = [self.geometry.display_hw] + ([self.geometry.canvas_hw] if self.size else [])
        self.limits.check_memory(self.name, self.expected, *sizes)
        if picture.color_trc in (16, 18):  # PQ and HLG
            self.notes.add("The video is HDR; its colours are shown without tone mapping.")
        return self.geometry

    def add(self, time: float, picture: Any) -> None:
        """Convert one sampled picture."""
        sizes = self.geometry
        self.times.append(time)
        self.display.append(self.scaler.rgb(picture, sizes.display_hw))
        if self.size is not None:
            top, left, height, width = sizes.crop
            canvas = self.scaler.rgb(picture, sizes.canvas_hw)
            self.frames.append(canvas[top : top + height, left : left + width])

    def take(self, carry: int = 0, count: int | None = None) -> dict[str, np.ndarray]:
        """The pictures so far (at most `count`) as arrays, keeping the last `carry` of them for the next window."""
        arrays = {"times": np.array(self.times[:count], np.float64), "display": np.stack(self.display[:count])}
        if self.size is not None:
            arrays["frames"] = np.stack(self.frames[:count])
        for items in (self.times, self.frames, self.display):
            del items[: max(0, len(arrays["times"]) - carry)]
        return arrays
