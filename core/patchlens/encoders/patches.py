"""Frames to patches and patches to numbers: the pixel side of an encoder, the same for all of them."""

from __future__ import annotations

import torch
from torch import Tensor


def cut(frames: Tensor, tubelet: int, patch: int) -> Tensor:
    """Cut frames (..., T, H, W, C) into patches (..., N, C, tubelet, patch, patch), in (t, y, x) order.

    Raises ValueError when T, H or W is no multiple of its side.
    """
    *lead, t, h, w, c = frames.shape
    if t % tubelet or h % patch or w % patch:
        raise ValueError(
            f"{t} frames of {h} x {w} pixels cannot be cut into tubelets of {tubelet} frames by {patch} x {patch} pixels; "
            "give multiples of these."
        )
    x = frames.reshape(*lead, t // tubelet, tubelet, h // patch, patch, w // patch, patch, c)
    n = len(lead)
    x = x.permute(*range(n), n, n + 2, n + 4, n + 6, n + 1, n + 3, n + 5)
    return x.reshape(*lead, -1, c, tubelet, patch, patch)


def normalise(
    patches: Tensor, mean: tuple[float, ...], std: tuple[float, ...], dtype: torch.dtype = torch.float32
) -> Tensor:
    """uint8 patches (K, C, ...) to (x/255 - mean) / std per channel, flattened to (K, C*...)."""
    scale = torch.tensor([1 / (255 * s) for s in std], device=patches.device, dtype=torch.float32)
    shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=patches.device, dtype=torch.float32)
    shape = (1, -1) + (1,) * (patches.ndim - 2)
    return torch.addcmul(shift.reshape(shape), patches.float(), scale.reshape(shape)).flatten(1).to(dtype)


def frame_choice(have: int, want: int | None, tubelet: int) -> Tensor:
    """Which of `have` frames fill an encoder's `want` (None: all), int64, rising; frames repeat where there are too few."""
    if want is None:
        want = -(-have // tubelet) * tubelet
        return torch.arange(want).clamp(max=have - 1)
    if have == want:
        return torch.arange(have)
    return torch.linspace(0, have - 1, want, dtype=torch.float64).round().long()


def fit_frames(frames: Tensor, size_hw: tuple[int, int], fit: str) -> tuple[Tensor, tuple[float, float, float, float]]:
    """Resize uint8 frames (T, H, W, 3) to `size_hw` by "squash" or "crop" (short side, then centre).

    Returns the frames and the rectangle (x0, y0, x1, y1) of the input they cover, in its pixels.
    """
    import cv2
    import numpy as np

    height, width = frames.shape[1:3]
    if fit == "crop":
        scale = min(height / size_hw[0], width / size_hw[1])
        h, w = round(size_hw[0] * scale), round(size_hw[1] * scale)
        y, x = (height - h) // 2, (width - w) // 2
    else:
        h, w, y, x = height, width, 0, 0
    way = cv2.INTER_AREA if h > size_hw[0] else cv2.INTER_CUBIC
    cropped = frames[:, y : y + h, x : x + w].numpy()
    out = [cv2.resize(f, (size_hw[1], size_hw[0]), interpolation=way) for f in cropped]
    return torch.from_numpy(np.stack(out)), (float(x), float(y), float(x + w), float(y + h))
