"""How much, and which way, every block of the picture moved since the previous sampled frame: by codec or optical flow.

Everywhere a map has three channels: the length of the way (|vector| summed over pictures), and the way itself, dx to
the right and dy down (vectors summed), so that a thing that goes and comes back has length but no way.

Codec vectors are free but crude: they are what the encoder found cheap, between a picture and its references. Pictures
are taken in order of presentation. The vectors of a P-picture reach back to the I- or P-picture before it, so each of the
pictures in between gets an equal share. B-pictures, whose references lie at unknown distances, are used only where an
I-picture, which has no vectors, closes their group: there past and future vectors are divided by the distance to the I
or P on that side. A picture that tells nothing repeats the motion of the one before it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from patchlens.upright import Turn

CODECS = frozenset(
    ["h264", "mpeg4", "mpeg1video", "mpeg2video", "h263", "h263p", "h263i", "flv", "msmpeg4", "msmpeg4v1", "msmpeg4v2"]
    + ["wmv1", "wmv2", "svq3", "snow"]
)
BLOCK = 16  # source pixels
_FLOW_SIDE = 224
_B, _BI = 3, 7  # FFmpeg's picture types of bidirectional pictures
_DIRECT = frozenset(["mpeg4"])  # exports zeros for the predicted ("direct") blocks of its B-pictures


def grid_of(size_hw: tuple[int, int]) -> tuple[int, int]:
    """Blocks down and across a picture of (H, W) pixels; the last ones may be cut."""
    return math.ceil(size_hw[0] / BLOCK), math.ceil(size_hw[1] / BLOCK)


@dataclass
class _Picture:
    """Vector sums of one picture over blocks: (3, a, b) channels x area share for the past and the future; area share."""

    bidirectional: bool
    sampled: bool
    past: np.ndarray
    future: np.ndarray
    area: np.ndarray


@dataclass
class VectorSum:
    """Adds vectors up from one sampled picture to the next. Feed every picture with `add`, then take `maps`.

    window: add up so many pictures around each sampled one instead, fewer at the ends (ResidualViT: 11).
    """

    codec: str
    window: int | None = None
    size_hw: tuple[int, int] | None = None
    _pictures: int = 0
    _moving: int = 0
    _over: int = 0
    _group: list[_Picture] = field(default_factory=list)
    _speed: np.ndarray | None = None
    _sum: np.ndarray | None = None
    _around: deque[tuple[np.ndarray, bool]] = field(default_factory=deque)
    _out: list[np.ndarray] = field(default_factory=list)

    @property
    def useful(self) -> bool:
        """Whether at least half of the pictures came with vectors (an intra-only stream has none)."""
        return self._moving > 0 and 2 * self._moving >= self._pictures

    def add(self, picture: Any, sampled: bool) -> None:
        """Take the next picture in order of presentation (stored orientation, decoded with +export_mvs)."""
        this = self._read(picture, sampled)
        self._group.append(this)
        if not this.bidirectional:
            self._close()

    @property
    def settled(self) -> int:
        """Sampled pictures whose motion is known and not taken yet."""
        return len(self._out)

    def finish(self) -> None:
        """No picture will come any more."""
        self._close()
        if self.window is not None:
            for _ in range(self.window // 2):
                self._slide(None)

    def maps(self, turn: Turn, count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Over the upright picture, in pixels since the previous sampled one: lengths (T, a, b), ways (T, a, b, 2).

        All that is known, or only the next `count`; what was taken is forgotten.
        """
        rows, cols = (_overlap(size) for size in self.size_hw)
        taken, self._out = self._out[:count], self._out[len(self._out[:count]) :]
        maps = np.stack([turn.apply(np.moveaxis(rows @ one @ cols.T, 0, -1)) for one in taken]).astype(np.float32)
        if self.window is None:
            copy_first(maps)
        return np.ascontiguousarray(maps[..., 0]), turned(maps[..., 1:], turn)

    def _read(self, picture: Any, sampled: bool) -> _Picture:
        self.size_hw = self.size_hw or (picture.height, picture.width)
        self._pictures += 1
        grid = grid_of(self.size_hw)
        past, future, area = np.zeros((3, *grid)), np.zeros((3, *grid)), np.zeros(grid)
        bidirectional = int(picture.pict_type) in (_B, _BI)
        side = picture.side_data.get("MOTION_VECTORS")
        if side is not None and (picture.height, picture.width) == self.size_hw:
            vectors = side.to_ndarray()
            self._moving += len(vectors) > 0
            back = vectors["source"] < 0
            if back.all():
                past, area = _blocks(vectors, grid, -1)
            else:
                past, seen = _blocks(vectors[back], grid, -1)
                future, seen_too = _blocks(vectors[~back], grid, 1)
                area = seen + seen_too
        return _Picture(bidirectional, sampled, past, future, area)

    def _close(self) -> None:
        """Settle the pictures since the last I or P, now that the next one is known (or the video is over)."""
        group, self._group = self._group, []
        if not group:
            return
        last, length = group[-1], len(group)
        before = self._speed if self._speed is not None else np.zeros((3, *grid_of(self.size_hw)))
        for place, one in enumerate(group, 1):
            if not last.bidirectional and last.area.any():
                speed = last.past / length
            elif one.bidirectional and self.codec not in _DIRECT:
                speed = (one.past / place + one.future / max(1, length - place)) / np.maximum(1.0, one.area)
            else:
                speed = before
            before = self._speed = speed
            if self.window is not None:
                self._slide((speed, one.sampled))
                continue
            self._sum = speed if self._sum is None else self._sum + speed
            if one.sampled:
                self._out.append(self._sum)
                self._sum = None

    def _slide(self, new: tuple[np.ndarray, bool] | None) -> None:
        """Take one more picture into the window (None: the video is over); the one in its middle is settled then."""
        half = self.window // 2
        if new is None:
            self._over += 1
        else:
            self._around.append(new)
        if len(self._around) > self.window - self._over:
            self._around.popleft()
        middle = len(self._around) - 1 - (half - self._over)
        if middle >= 0 and self._around[middle][1]:
            self._out.append(sum(speed for speed, _ in self._around))


def _blocks(vectors: np.ndarray, grid: tuple[int, int], sign: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum of (|vector|, dx, dy) x area over blocks, (3, a, b), and area (a, b); an intra block counts as still.

    Vectors point from a block to its reference; `sign` makes them the way that things go: -1 for a past reference. Area
    is a share of one block.
    """
    scale = np.maximum(vectors["motion_scale"], 1)
    x, y = vectors["motion_x"].astype(np.float32), vectors["motion_y"].astype(np.float32)
    length = np.sqrt(x * x + y * y) / scale
    area = vectors["w"].astype(np.float32) * vectors["h"] / BLOCK**2
    row = (vectors["dst_y"] // BLOCK).clip(0, grid[0] - 1)
    col = (vectors["dst_x"] // BLOCK).clip(0, grid[1] - 1)
    index, total = row.astype(np.int64) * grid[1] + col, grid[0] * grid[1]
    spread = lambda values: np.bincount(index, values * area, total).reshape(grid)  # noqa: E731
    return np.stack([spread(length), spread(sign * x / scale), spread(sign * y / scale)]), spread(1.0)


def turned(ways: np.ndarray, turn: Turn) -> np.ndarray:
    """Vectors (..., 2) of a stored picture as they point in the upright one."""
    if turn.transpose:
        ways = ways[..., ::-1]
    return ways * np.array([-1 if turn.mirror_x else 1, -1 if turn.mirror_y else 1], np.float32)


def _overlap(size: int) -> np.ndarray:
    """Matrix (n, n) that spreads n blocks of 16 px, the last one cut at `size`, over n equal cells of the picture."""
    count = math.ceil(size / BLOCK)
    cell = size / count
    start, block = np.arange(count)[:, None] * cell, np.arange(count)[None] * BLOCK
    shared = np.minimum(start + cell, block + BLOCK) - np.maximum(start, block)
    return np.maximum(shared, 0) / cell


def copy_first(maps: np.ndarray) -> np.ndarray:
    """The first sampled picture has no past: it copies the second (and is still when it is alone)."""
    if len(maps):
        maps[0] = maps[1] if len(maps) > 1 else 0
    return maps


def flow_maps(display: list[np.ndarray], source_hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """DIS optical flow between consecutive sampled pictures, float32 in source pixels: lengths (T, a, b), ways (..., 2).

    `display`: upright uint8 (h, w, 3) pictures; flow is computed on grey copies of at most 224 px a side.
    """
    grid = grid_of(source_hw)
    maps = np.zeros((len(display), *grid, 3), np.float32)
    height, width = display[0].shape[:2]
    shrink = min(1.0, _FLOW_SIDE / max(height, width))
    small = max(16, round(width * shrink)), max(16, round(height * shrink))
    engine = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    unit = np.array([source_hw[1] / small[0], source_hw[0] / small[1]], np.float32)
    grey = [cv2.cvtColor(cv2.resize(x, small, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY) for x in display]
    for place in range(1, len(grey)):
        flow = np.nan_to_num(engine.calc(grey[place - 1], grey[place], None) * unit)
        channels = np.dstack([np.hypot(flow[..., 0], flow[..., 1]), flow])
        maps[place] = cv2.resize(channels, grid[::-1], interpolation=cv2.INTER_AREA)
    copy_first(maps)
    return np.ascontiguousarray(maps[..., 0]), np.ascontiguousarray(maps[..., 1:])


def pooled(
    maps: np.ndarray, rect: tuple[float, float, float, float], source_hw: tuple[int, int], cells: tuple[int, int]
) -> np.ndarray:
    """Area means of maps (T, a, b, ...) over the source inside `rect` (x0, y0, x1, y1), in cells: (T, h, w, ...)."""
    (height, width), (rows, columns) = source_hw, maps.shape[1:3]
    x0, y0, x1, y1 = rect
    down = _shares(rows, y0 * rows / height, y1 * rows / height, cells[0])
    across = _shares(columns, x0 * columns / width, x1 * columns / width, cells[1])
    return np.einsum("ha,tab...,wb->thw...", down, maps, across, optimize=True)


def _shares(length: int, start: float, end: float, cells: int) -> np.ndarray:
    """(cells, length): which share of each cell each of `length` samples covers; rows sum to 1."""
    edges = np.linspace(start, end, cells + 1)
    places = np.arange(length)
    cover = np.minimum(edges[1:, None], places + 1) - np.maximum(edges[:-1, None], places)
    cover = cover.clip(min=0)
    return cover / cover.sum(1, keepdims=True).clip(min=1e-9)
