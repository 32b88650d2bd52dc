"""Where shots begin, by PySceneDetect's content detector, and how much each picture changes; knows no file and no model."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

THRESHOLD = 27.0  # PySceneDetect's own: mean change of hue, saturation and brightness, each 0..255
SIDE = 64
OPERATIONS = 60  # per pixel: about 50 to hue, saturation and value, then differences and their means


def shot_starts(small: Sequence[np.ndarray], threshold: float = THRESHOLD) -> np.ndarray:
    """Which pictures (BGR, uint8, in order) are the first of a new shot, bool (T,); never the very first."""
    from scenedetect import ContentDetector, FrameTimecode

    detector = ContentDetector(threshold, min_scene_len=1)
    clock = [FrameTimecode(number, 25.0) for number in range(len(small))]  # the detector wants one; any rate will do
    found = [detector.process_frame(time, picture) for time, picture in zip(clock, small, strict=True)]
    numbers = [cut.frame_num for cuts in found for cut in cuts]
    return np.isin(np.arange(len(small)), numbers)


def changes(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """How much each uint8 RGB picture (H, W, 3) differs from the one before, float32 (T,); +inf where a shot begins.

    In grey levels of 255, mean |difference| over copies of 64 x 64 pixels; 0 for the first picture.
    """
    small = [cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)[..., ::-1] for picture in pictures]
    small = [np.ascontiguousarray(picture) for picture in small]
    steps = [float(cv2.absdiff(a, b).mean()) for a, b in zip(small, small[1:], strict=False)]
    change = np.array([0.0, *steps], np.float32)
    change[shot_starts(small)] = np.inf
    return change


def gmacs(pictures: int) -> float:
    """What looking at so many pictures costs, in 1e9 operations."""
    return pictures * SIDE * SIDE * OPERATIONS / 1e9
