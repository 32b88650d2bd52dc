"""The LITE paper's ways of cleaning a token-value map (sec. 4.4), and one of ours; the numbers are our choice.

Maps run from 0 to 1, float32 (N,). Knows grids and numbers only.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from patchlens.types import Grid

WAYS = ("none", "edges", "peaks", "sharpen", "rank")
EDGE = 0.5  # what values on the border of the picture are multiplied by
PEAK, FEWEST = 0.5, 3  # an area above half the maximum with fewer tokens than this is a peak


def clean(values: Tensor, grid: Grid, way: str, signed: Tensor) -> Tensor:
    """A map after one of WAYS; `signed` (N,) is the map before its ReLU.

    edges    values of patches on the picture's border are halved
    peaks    areas above 0.5 of fewer than 3 touching tokens (in space or time, diagonals too) fall to the map's mean
    sharpen  v^2 (3 - 2v): towards 0 and 1, the order as it was
    rank     each token's rank, 0 for the worst to 1 for the best (ours): a selector that learns it also learns the order
             among the many tokens that the ReLU makes equal
    Raises ValueError for another way.
    """
    if way == "none":
        return values
    if way == "edges":
        inside = torch.full((grid.t, grid.h, grid.w), EDGE)
        inside[:, 1:-1, 1:-1] = 1.0
        return values * inside.flatten()
    if way == "peaks":
        return _without_peaks(values, grid)
    if way == "sharpen":
        return values * values * (3 - 2 * values)
    if way == "rank":
        return signed.argsort(stable=True).argsort().float() / max(1, len(signed) - 1)
    raise ValueError(f"clean is {way!r}; choose one of {', '.join(WAYS)}.")


def _without_peaks(values: Tensor, grid: Grid) -> Tensor:
    from scipy import ndimage

    volume = grid.volume(values).numpy().copy()
    areas, _ = ndimage.label(volume > PEAK, np.ones((3, 3, 3)))
    small = (np.bincount(areas.ravel()) < FEWEST)[areas] & (areas > 0)
    volume[small] = volume.mean()
    return torch.from_numpy(volume).flatten()
