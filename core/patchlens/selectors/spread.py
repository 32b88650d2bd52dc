"""An order of a frame's patches of which every beginning covers the frame evenly. Knows no clip and no model."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=16)
def spread(h: int, w: int) -> np.ndarray:
    """Order of h*w patches, float32 falling from 1: each is where those before it are farthest away.

    The sum of 1/distance^2 to them is least, around the edges as if the frame went on on its other side: otherwise edges
    would come first. However many are taken, they cover the frame evenly.
    """
    rows, columns = np.divmod(np.arange(h * w), w)
    out, near, at = np.empty(h * w, np.float32), np.zeros(h * w), h // 4 * w + w // 4
    for place in range(h * w):
        out[at] = 1 - place / (h * w)
        down, across = np.abs(rows - rows[at]), np.abs(columns - columns[at])
        far = np.minimum(down, h - down) ** 2 + np.minimum(across, w - across) ** 2
        far[at] = 1
        near += 1 / far
        near[at] = np.inf
        at = int(near.argmin())
    return out
