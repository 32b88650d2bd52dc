"""Clips of which it is known, patch by patch, what changes: for holding a method of redundancy against its bound.

Two worlds. `patches`: every patch shows a texture of its own, and between one frame pair and the next each is redrawn
with probability 1 - redundancy. `objects`: textured squares wander over a still texture; the fewer, the more redundant.
Sensor noise comes on top. Everything follows from (redundancy, seed).
"""

from __future__ import annotations

import numpy as np

WORLDS = ("patches", "objects")
SIDE = 40  # pixels of a wandering square: it covers parts of patches, as things in videos do
MOST = 24  # squares at redundancy 0


def redundant_clip(
    redundancy: float,
    world: str = "patches",
    *,
    size: int = 224,
    frames: int = 16,
    patch: int = 16,
    hold: int = 2,
    seed: int = 0,
) -> np.ndarray:
    """uint8 (frames, size, size, 3) without noise; the picture changes every `hold` frames, and only there.

    Raises ValueError for an unknown world, a redundancy outside 0..1, or a size that patches do not tile.
    """
    if world not in WORLDS:
        raise ValueError(f"world is {world!r}; choose one of {', '.join(WORLDS)}.")
    if not 0 <= redundancy <= 1:
        raise ValueError(f"The redundancy is {redundancy}; give one from 0 to 1.")
    if size % patch or frames < 1 or hold < 1:
        raise ValueError(f"{frames} frames of {size} pixels, held {hold}, cannot be cut into patches of {patch}.")
    rng = np.random.default_rng([seed, round(1e6 * redundancy), WORLDS.index(world)])
    shown = -(-frames // hold)
    made = (_patches if world == "patches" else _objects)(redundancy, rng, shown, size, patch)
    return np.repeat(made, hold, 0)[:frames]


def noisy(frames: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    """The frames with independent normal noise of `sigma` grey levels, rounded and clipped to uint8."""
    if sigma == 0:
        return frames
    noise = np.random.default_rng([seed, 1]).standard_normal(frames.shape, np.float32)
    return np.clip(np.rint(frames + sigma * noise), 0, 255).astype(np.uint8)


def _texture(rng: np.random.Generator, count: int, side: int) -> np.ndarray:
    """Smooth patches of middling grey, uint8 (count, side, side, 3): noise of 20 levels is not clipped."""
    import cv2

    coarse = rng.uniform(60, 195, (count, 4, 4, 3)).astype(np.float32)
    return np.stack([cv2.resize(c, (side, side), interpolation=cv2.INTER_LINEAR) for c in coarse]).astype(np.uint8)


def _patches(redundancy: float, rng: np.random.Generator, shown: int, size: int, patch: int) -> np.ndarray:
    cells = size // patch
    picture, out = _texture(rng, cells**2, patch), []
    for i in range(shown):
        if i:
            redrawn = np.flatnonzero(rng.random(cells**2) >= redundancy)
            picture = picture.copy()
            picture[redrawn] = _texture(rng, len(redrawn), patch) if len(redrawn) else picture[redrawn]
        rows = picture.reshape(cells, cells, patch, patch, 3).swapaxes(1, 2)
        out.append(rows.reshape(size, size, 3))
    return np.stack(out)


def _objects(redundancy: float, rng: np.random.Generator, shown: int, size: int, patch: int) -> np.ndarray:
    ground = _texture(rng, 1, size)[0]
    count = round(MOST * (1 - redundancy))
    looks = _texture(rng, count, SIDE) if count else []
    place, step = rng.uniform(0, size, (count, 2)), rng.uniform(-14, 14, (count, 2))
    out = []
    for i in range(shown):
        picture = ground.copy()
        for look, (y, x) in zip(looks, np.rint(place + i * step).astype(int) % size, strict=True):
            seen = picture[y : y + SIDE, x : x + SIDE]
            seen[:] = look[: seen.shape[0], : seen.shape[1]]
        out.append(picture)
    return np.stack(out)
