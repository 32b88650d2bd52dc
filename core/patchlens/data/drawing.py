"""Putting things into frames: the camera, moving sprites on a background, brightness and noise.

Knows pixels: where a world point falls under a camera, how one painted thing is blended into a small region
of a frame, how noise is added. Does not know classes, stories or how anything was drawn at random. World
lengths are in units of the frame side (the smaller one; the world's unit square sits in the middle of the
frame).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from .looks import SHAPES, Look, paint

__all__ = ["MARGIN", "Camera", "Track", "Thing", "add_noise", "background_px", "render"]

# How far the background reaches beyond the frame on every side, in frame sides: the longest pan and zoom fit.
MARGIN = 0.13
BANK = 1 << 20


@dataclass(frozen=True)
class Track:
    """A thing's motion: `place` (T,2) in sides, and `angle` in radians clockwise, `scale`, `opacity` (T,)."""

    place: np.ndarray
    angle: np.ndarray
    scale: np.ndarray
    opacity: np.ndarray


@dataclass(frozen=True)
class Thing:
    """Something painted and moving: its look, its box side in frame sides, its track, whether it acts."""

    look: Look
    side: float
    track: Track
    actor: bool


@dataclass(frozen=True)
class Camera:
    """The camera: a point p from the middle is seen at zoom * p + shift; (T,), (T,2) in sides."""

    shift: np.ndarray
    zoom: np.ndarray

    @property
    def still(self) -> bool:
        """Whether every frame sees the same part of the world at the same size."""
        return bool(np.ptp(self.shift, axis=0).max() == 0 and np.ptp(self.zoom) == 0)


def background_px(height: int, width: int) -> int:
    """The side in pixels of the square background picture that `render` needs for a frame."""
    return int(np.ceil(max(height, width) + 2 * MARGIN * min(height, width)))


def _ground(frames: np.ndarray, pictures: list[np.ndarray], turn: int, camera: Camera) -> None:
    """Fill frames (T,H,W,3) with the seen part of the background: the second picture from frame `turn` on."""
    count, height, width = frames.shape[:3]
    unit = min(height, width)
    n = pictures[0].shape[0]
    matrices = np.zeros((count, 2, 3))
    matrices[:, 0, 0] = matrices[:, 1, 1] = camera.zoom
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    matrices[:, :, 2] = middle + camera.shift * unit - camera.zoom[:, None] * (n - 1) / 2
    still = camera.still
    for k in range(count):
        if k not in (0, turn) and still:
            frames[k] = frames[k - 1]
        else:
            picture = pictures[int(k >= turn)]
            cv2.warpAffine(
                picture, matrices[k], (width, height), dst=frames[k], borderMode=cv2.BORDER_REFLECT
            )


def _stamp(frame: np.ndarray, mask: np.ndarray | None, patch: np.ndarray, corner: Sequence[int]) -> None:
    """Blend a premultiplied patch (h,w,4) into frame (H,W,3) at corner (x,y), and into mask (H,W)."""
    x, y = corner
    height, width = patch.shape[:2]
    cover = cv2.extractChannel(patch, 3)
    part = frame[y : y + height, x : x + width]
    rest = cv2.cvtColor(cv2.bitwise_not(cover), cv2.COLOR_GRAY2RGB)
    part[:] = cv2.add(cv2.multiply(part, rest, scale=1 / 255), cv2.cvtColor(patch, cv2.COLOR_RGBA2RGB))
    if mask is not None:
        mask[y : y + height, x : x + width] |= cover > 127


def _draw(thing: Thing, frames: np.ndarray, masks: np.ndarray, camera: Camera) -> None:
    """Blend one thing into every frame (T,H,W,3), and into masks (T,H,W) when it is an actor."""
    count, height, width = frames.shape[:3]
    unit = min(height, width)
    track = thing.track
    visible = track.opacity > 0
    if not visible.any():
        return
    typical = float(np.median(track.scale[visible]))
    picture = paint(thing.look, thing.side * unit * typical)
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    seen = middle + (camera.zoom[:, None] * (track.place - 0.5) + camera.shift) * unit
    size = track.scale * camera.zoom / typical
    reach = SHAPES[thing.look.shape].span / 2 * thing.side * unit * typical * size + 1.5
    low = np.maximum(np.floor(seen - reach[:, None]), 0).astype(int)
    high = np.minimum(np.ceil(seen + reach[:, None]) + 1, (width, height)).astype(int)
    cos, sin = size * np.cos(track.angle), size * np.sin(track.angle)
    turn = np.ascontiguousarray(np.array([[cos, -sin], [sin, cos]]).transpose(2, 0, 1))
    offset = seen - low - turn @ np.full(2, (picture.shape[0] - 1) / 2)
    matrices = np.concatenate([turn, offset[..., None]], axis=2)
    poses = np.concatenate([matrices.reshape(count, 6), low, high], axis=1)
    pose = np.concatenate([[0], (poses[1:] != poses[:-1]).any(1).cumsum()]).tolist()  # which of them a frame shows
    corners, shapes, opacity = low.tolist(), (high - low).tolist(), track.opacity.tolist()
    before, patch = -1, picture
    for k in np.flatnonzero(visible & (high > low).all(1)).tolist():
        if pose[k] != before:
            patch, before = cv2.warpAffine(picture, matrices[k], shapes[k]), pose[k]
        faded = patch if opacity[k] >= 1 else cv2.convertScaleAbs(patch, alpha=opacity[k])
        _stamp(frames[k], masks[k] if thing.actor else None, faded, corners[k])


def render(
    pictures: list[np.ndarray], turn: int, things: list[Thing], camera: Camera, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a clip: frames uint8 (T,H,W,3) and actor masks bool (T,H,W).

    `pictures` holds one background, or two with the second shown from frame `turn` on, each uint8 (n,n,3)
    with n = background_px(*size); later `things` lie over earlier ones; `size` is (H,W) in pixels.
    """
    count = len(camera.zoom)
    frames = np.empty((count, *size, 3), np.uint8)
    masks = np.zeros((count, *size), bool)
    _ground(frames, pictures, turn, camera)
    for thing in things:
        _draw(thing, frames, masks, camera)
    return frames, masks


@lru_cache(maxsize=32)
def _bank(sigma: int) -> np.ndarray:
    """Gaussian noise of one strength, int8 (BANK,), the same in every process."""
    unit = np.random.Generator(np.random.PCG64(2024)).standard_normal(BANK, dtype=np.float32)
    return np.clip(np.rint(unit * sigma), -127, 127).astype(np.int8)


def add_noise(frames: np.ndarray, gains: np.ndarray, sigma: int, rng: np.random.Generator) -> None:
    """Scale frames uint8 (T,H,W,3) by `gains` (T,) and add gaussian noise of `sigma` grey levels, in place.

    Noise comes from a fixed bank at a random place per frame: sampling it fresh would cost more than the
    clip.
    """
    count, height, width = frames.shape[:3]
    need = height * width * 3
    bank = _bank(sigma) if sigma > 0 else None
    if bank is not None and need > BANK // 2:
        bank = np.tile(bank, need // BANK + 2)
    places = rng.integers(0, BANK // 2, count)
    for k in range(count):
        frame = frames[k].reshape(height, width * 3)
        if gains[k] != 1:
            cv2.convertScaleAbs(frame, dst=frame, alpha=float(gains[k]))
        if bank is not None:
            cv2.add(frame, bank[places[k] : places[k] + need].reshape(height, -1), dst=frame, dtype=cv2.CV_8U)
