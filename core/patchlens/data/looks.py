"""What things look like: the shapes, patterns and colours of actors and distractors.

Knows how to draw one upright picture of a thing, and how to choose colours that stand out. Does not know
about time, motion, cameras, classes or backgrounds beyond their colours. Lengths are in units of a shape's
box side unless a name ends in `_px`; pictures are uint8 RGB. Everything is a pure function of its arguments.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

__all__ = ["PATTERNS", "SHAPES", "Look", "Shape", "paint", "palette"]

PATTERNS = ("solid", "striped", "dotted", "half")
# A colour nearer than this to what it stands on (mean absolute difference, grey levels) is passed over.
CLEAR_CONTRAST = 55.0


@dataclass(frozen=True)
class Shape:
    """An outline around its own centroid.

    `outline` float64 (N,2) in units of the shape's box side, `hole` the same or None, `area` in box areas,
    `span` twice the largest distance of a point from the centroid, `turns` whether a rotation shows without a
    pattern that gives it away.
    """

    outline: np.ndarray
    hole: np.ndarray | None
    area: float
    span: float
    turns: bool


@dataclass(frozen=True)
class Look:
    """How one thing is painted: a shape name, a pattern name, two colours, an outline colour (RGB, 0..255).

    `bands` is the number of stripes or dots across the thing; `edge` is None for no outline.
    """

    shape: str
    pattern: str
    first: tuple[int, int, int]
    second: tuple[int, int, int]
    edge: tuple[int, int, int] | None
    bands: float


def _ngon(n: int, radius: float, start: float = 0.0) -> np.ndarray:
    angle = start + 2 * np.pi * np.arange(n) / n
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _star() -> np.ndarray:
    points = _ngon(10, 0.5, -np.pi / 2)
    points[1::2] *= 0.5
    return points


def _shoelace(points: np.ndarray) -> tuple[float, np.ndarray]:
    following = np.roll(points, -1, axis=0)
    cross = points[:, 0] * following[:, 1] - following[:, 0] * points[:, 1]
    area = cross.sum() / 2
    centre = ((points + following) * cross[:, None]).sum(axis=0) / (6 * area)
    return abs(float(area)), centre


def _shape(points: object, hole: np.ndarray | None = None, turns: bool = False) -> Shape:
    outline = np.asarray(points, dtype=np.float64)
    area, centre = _shoelace(outline)
    outline = outline - centre
    if hole is not None:
        area -= _shoelace(hole)[0]
    span = 2 * float(np.hypot(outline[:, 0], outline[:, 1]).max())
    return Shape(outline, hole, area, span, turns)


_CROSS = [(-0.5, -0.19), (-0.19, -0.19), (-0.19, -0.5), (0.19, -0.5), (0.19, -0.19), (0.5, -0.19),
          (0.5, 0.19), (0.19, 0.19), (0.19, 0.5), (-0.19, 0.5), (-0.19, 0.19), (-0.5, 0.19)]  # fmt: skip
_ARROW = [(-0.5, -0.18), (0, -0.18), (0, -0.45), (0.5, 0), (0, 0.45), (0, 0.18), (-0.5, 0.18)]
_L = [(-0.5, -0.5), (-0.12, -0.5), (-0.12, 0.12), (0.5, 0.12), (0.5, 0.5), (-0.5, 0.5)]

SHAPES: dict[str, Shape] = {
    "disc": _shape(_ngon(32, 0.5)),
    "square": _shape([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]),
    "triangle": _shape([(-0.5, 0.5), (0.5, 0.5), (0.0, -0.5)]),
    "bar": _shape([(-0.5, -0.19), (0.5, -0.19), (0.5, 0.19), (-0.5, 0.19)], turns=True),
    "L": _shape(_L, turns=True),
    "star": _shape(_star()),
    "cross": _shape(_CROSS),
    "ring": _shape(_ngon(32, 0.5), hole=_ngon(24, 0.26)),
    "arrow": _shape(_ARROW, turns=True),
}


def palette(draws: np.ndarray, under: np.ndarray) -> tuple[list[tuple[int, int, int]], float]:
    """Choose two colours that stand out from what lies under a thing.

    `draws` float (K,3) uniform 0..1 makes K candidate colours, `under` float (S,3) holds background colours
    0..255 along the thing's way. Returns [first, second] and the first one's contrast in grey levels (the
    mean over the way, averaged with the least).
    """
    hsv = draws * (179, 150, 175) + (0, 105, 80)
    colours = cv2.cvtColor(hsv.astype(np.uint8)[None], cv2.COLOR_HSV2RGB)[0].astype(np.float64)
    apart = np.abs(colours[:, None] - under[None]).mean(axis=2)
    clear = (apart.mean(axis=1) + apart.min(axis=1)) / 2
    first = int(np.argmax(clear >= CLEAR_CONTRAST)) if clear.max() >= CLEAR_CONTRAST else int(clear.argmax())
    inner = np.abs(colours - colours[first]).mean(axis=1)
    fits = (inner >= 70) & (clear >= 0.6 * CLEAR_CONTRAST)
    second = int(np.argmax(fits)) if fits.any() else int(inner.argmax())
    chosen = [tuple(int(v) for v in colours[i]) for i in (first, second)]
    return chosen, float(clear[first])  # type: ignore[return-value]


def _second_colour(look: Look, n: int, unit: float) -> np.ndarray | None:
    """Where the second colour goes in an (n,n) picture; bool broadcastable to (n,n), None for nowhere."""
    if look.pattern == "solid":
        return None
    along = (np.arange(n) + 0.5 - n / 2) / unit
    if look.pattern == "half":
        return (along > 0)[:, None]
    phase = (along * look.bands) % 1.0 - 0.5
    if look.pattern == "striped":
        return (np.abs(phase) < 0.25)[None, :]
    return phase[:, None] ** 2 + phase[None, :] ** 2 < 0.1


def paint(look: Look, side_px: float) -> np.ndarray:
    """Draw one thing upright: uint8 (n,n,4), colours multiplied by coverage, then coverage.

    `side_px` is the box side in pixels; the picture is `SHAPES[look.shape].span` box sides (and a border of
    two pixels) wide, with the centroid in the middle. Raises KeyError for an unknown shape.
    """
    shape = SHAPES[look.shape]
    # Twice the size, then halved: the patterns have hard edges and would shimmer when they move.
    unit = 2 * side_px
    n = 2 * int(np.ceil(shape.span * side_px / 2 + 2)) * 2
    rings = [shape.outline] if shape.hole is None else [shape.outline, shape.hole]
    fixed = [np.round((ring * unit + (n - 1) / 2) * 16).astype(np.int32) for ring in rings]
    cover = np.zeros((n, n), np.uint8)
    cv2.fillPoly(cover, fixed, 255, cv2.LINE_AA, 4)
    picture = np.empty((n, n, 3), np.uint8)
    picture[:] = look.first
    where = _second_colour(look, n, unit)
    if where is not None:
        picture[np.broadcast_to(where, (n, n))] = look.second
    if look.edge is not None:
        cv2.polylines(picture, fixed, True, look.edge, max(1, round(0.13 * unit)), cv2.LINE_AA, 4)
    cover3 = cv2.cvtColor(cover, cv2.COLOR_GRAY2RGB)
    picture = cv2.multiply(picture, cover3, scale=1 / 255)
    return cv2.resize(cv2.merge([picture, cover]), (n // 2, n // 2), interpolation=cv2.INTER_AREA)
