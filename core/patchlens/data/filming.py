"""How a clip is filmed: the camera's motion and the light, by default and in the forced scenes.

Knows camera kinds and how strongly each moves. Does not know things, classes or pixels. Camera shifts are in
frame sides, `time` (T,) runs from 0 to 1 over the clip.
"""

from __future__ import annotations

import numpy as np

from .drawing import Camera
from .stories import spread

__all__ = ["CAMERAS", "CAMERA_CHANCE", "NOISY", "SCENES", "film", "light"]

SCENES = ("static", "pan", "zoom", "shake", "cut", "flicker", "noise", "busy")
CAMERAS = ("pan", "zoom", "shake")
CAMERA_CHANCE = 0.4
# In frame sides over the clip, in log zoom over the clip, and in frame sides either way.
PAN, ZOOM, SHAKE = (0.05, 0.15), (0.08, 0.2), (0.01, 0.02)
GAIN_CHANCE, GAIN = 0.3, 0.3
# The noise scene's strength, in grey levels.
NOISY = 30


def film(kind: str, time: np.ndarray, draws: np.ndarray, calm: float) -> Camera:
    """A camera of a kind over `time` (T,) 0..1; `draws` (6,) uniform, `calm` 0..1 takes its motion away.

    Returns a still camera for any other kind.
    """
    shift, zoom = np.zeros((len(time), 2)), np.ones(len(time))
    if kind == "pan":
        angle = 2 * np.pi * draws[0]
        shift = (time[:, None] - 0.5) * spread(draws[1], *PAN) * np.array([np.cos(angle), np.sin(angle)])
    elif kind == "zoom":
        zoom = np.exp((time - 0.5) * spread(draws[1], *ZOOM) * (1 if draws[0] < 0.5 else -1) * (1 - calm))
    elif kind == "shake":
        slow = np.sin(2 * np.pi * (spread(draws[0], 1.5, 3) * time[:, None] + draws[2:4]))
        fast = np.sin(2 * np.pi * (spread(draws[5], 3, 6) * time[:, None] + draws[4:6]))
        shift = spread(draws[1], *SHAKE) * (0.6 * slow + 0.4 * fast)
    return Camera(shift * (1 - calm), zoom)


def light(time: np.ndarray, draws: np.ndarray, ease: float, scene: str | None) -> np.ndarray:
    """Brightness factors (T,): mostly one, sometimes a drift, in the flicker scene an up and down."""
    if scene == "flicker":
        return 1 + 0.25 * np.sign(np.sin(2 * np.pi * 6 * time + 0.5))
    drift = GAIN * (2 * draws[1] - 1) * (1 - ease) if draws[0] < GAIN_CHANCE else 0.0
    return 1 + drift * (time - 0.5)
