"""The backgrounds of clips: smooth noise, stripes, coloured patches and photographs.

Knows how to draw one background from random draws, the same picture at every size. Does not know about
things, time or cameras. Pictures are uint8 RGB. The photographs are the ones scikit-image packages; each is
read once and kept.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

__all__ = ["BACKGROUNDS", "background", "photograph"]

BACKGROUNDS = ("smooth", "stripes", "patches", "photograph")
# Only lossless files: a JPEG decoder's rounding differs between OpenCV builds, a PNG's does not.
PHOTOGRAPHS = (
    "astronaut", "coffee", "chelsea", "motorcycle_left", "camera", "coins", "brick", "gravel", "grass", "ihc",
    "moon",
)  # fmt: skip
PHOTO_PX = 256


@lru_cache(maxsize=len(PHOTOGRAPHS))
def photograph(name: str) -> np.ndarray:
    """One of scikit-image's packaged pictures, middle square, uint8 (256,256,3).

    Raises FileNotFoundError when scikit-image or the file is not installed; nothing is ever downloaded.
    """
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("scikit-image is not installed: its packaged photographs are needed")
    path = Path(spec.origin).parent / "data" / f"{name}.png"
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(f"{path}: scikit-image packages no such picture")
    height, width = picture.shape[:2]
    n = min(height, width)
    top, left = (height - n) // 2, (width - n) // 2
    square = cv2.cvtColor(np.ascontiguousarray(picture[top : top + n, left : left + n]), cv2.COLOR_BGR2RGB)
    kept = cv2.resize(square, (PHOTO_PX, PHOTO_PX), interpolation=cv2.INTER_AREA)
    kept.setflags(write=False)
    return kept


def _smooth(rng: np.random.Generator, n: int) -> np.ndarray:
    cells = int(rng.integers(3, 9))
    grid = rng.integers(20, 236, (cells, cells, 3), dtype=np.uint8)
    return cv2.resize(grid, (n, n), interpolation=cv2.INTER_CUBIC)


def _stripes(rng: np.random.Generator, n: int) -> np.ndarray:
    angle, phase, soft = rng.random(3) * (np.pi, 2 * np.pi, 1.0)
    count = 3 + 9 * rng.random()
    ends = rng.integers(20, 236, (2, 3)).astype(np.float32)
    along = (2 * np.pi * count / n * np.arange(n)).astype(np.float32)
    across, down, start = np.float32(np.cos(angle)), np.float32(np.sin(angle)), np.float32(phase)
    wave = np.sin(across * along[None] + down * along[:, None] + start)
    if soft < 0.5:
        wave = np.clip(wave * 4, -1, 1)
    return (ends.mean(axis=0) + wave[..., None] * ((ends[1] - ends[0]) / 2)).astype(np.uint8)


def _patches(rng: np.random.Generator, n: int) -> np.ndarray:
    picture = np.empty((n, n, 3), np.uint8)
    picture[:] = rng.integers(20, 236, 3)
    count = int(rng.integers(8, 19))
    place, half = rng.random((count, 1, 2)), 0.06 + 0.2 * rng.random((count, 1, 2))
    angle = rng.random(count) * np.pi
    colours = rng.integers(20, 236, (count, 3))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]).transpose(2, 0, 1)
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], dtype=np.float64)
    points = np.round((place + (corners * half) @ turn) * n * 16).astype(np.int32)
    for quad, colour in zip(points, colours.tolist(), strict=True):
        cv2.fillConvexPoly(picture, quad, colour, cv2.LINE_AA, 4)
    return picture


def _photo(rng: np.random.Generator, n: int) -> np.ndarray:
    picture = photograph(PHOTOGRAPHS[int(rng.integers(len(PHOTOGRAPHS)))])
    part = round(PHOTO_PX * (0.5 + 0.5 * rng.random()))
    top, left = (rng.random(2) * (PHOTO_PX - part + 1)).astype(int)
    crop = picture[top : top + part, left : left + part]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    tint = 0.75 + 0.4 * rng.random(3)
    way = cv2.INTER_AREA if part > n else cv2.INTER_LINEAR
    scaled = cv2.resize(np.ascontiguousarray(crop), (n, n), interpolation=way)
    return cv2.multiply(scaled, (*tint.tolist(), 1.0))


def background(rng: np.random.Generator, n: int, flatten: float = 0.0) -> tuple[np.ndarray, str]:
    """Draw a background: uint8 (n,n,3) and its kind's name, the same picture at every `n`.

    `flatten` 0..1 takes the texture away towards its mean colour; at 0 a texture keeps 30 to 70 % of its full
    contrast and a photograph 65 to 100 %, so that things on it stay visible. Raises FileNotFoundError when
    the photographs are missing.
    """
    kind = BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))]
    low, high = (0.65, 1.0) if kind == "photograph" else (0.3, 0.7)
    kept = (low + (high - low) * rng.random()) * (1.0 - flatten)
    draw = {"smooth": _smooth, "stripes": _stripes, "patches": _patches, "photograph": _photo}[kind]
    picture = draw(rng, n)
    mean = [(1 - kept) * value for value in cv2.mean(picture)[:3]]
    return cv2.add(cv2.multiply(picture, (kept, kept, kept, 1.0)), (*mean, 0.0)), kind
