"""RLT under a moving camera: patches are compared after the earlier frame has been warped onto the later one.

Our extension, in no paper: one homography per pair of frames, from corners followed by optical flow (OpenCV), robustly
fitted. What the earlier frame did not show counts as changed. Where no motion of the whole frame is found, or warping does
not make the frames more alike, the plain difference stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from patchlens.types import Tokens

CORNERS, INLIERS, PIXELS = 400, 12, 1.0  # followed at most; needed at least; how far an inlier may be off


def warp_between(before: np.ndarray, now: np.ndarray) -> np.ndarray | None:
    """The homography (3, 3) that takes pixels of `before` to those of `now`, uint8 (H, W, 3); None where there is none."""
    import cv2

    first, second = (cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in (before, now))
    corners = cv2.goodFeaturesToTrack(first, CORNERS, 0.01, 3)
    if corners is None or len(corners) < INLIERS:
        return None
    found, known, _ = cv2.calcOpticalFlowPyrLK(first, second, corners, None, winSize=(15, 15), maxLevel=3)
    kept = known[:, 0] == 1
    if kept.sum() < INLIERS:
        return None
    cv2.setRNGSeed(0)
    matrix, inliers = cv2.findHomography(corners[kept], found[kept], cv2.RANSAC, PIXELS)
    return matrix if matrix is not None and inliers.sum() >= max(INLIERS, len(inliers) / 3) else None


def compensated_totals(tokens: Tokens) -> np.ndarray:
    """Sums of |difference| in grey levels per token from tubelet 1 on, (t-1, h*w, 3), after warping where it helps."""
    g, frames = tokens.grid, tokens.frames.numpy()
    out = []
    for i in range(1, g.t):
        before, now = frames[(i - 1) * g.tubelet], frames[(i + 1) * g.tubelet - 1]
        plain = _by_patch(np.abs(now.astype(np.int64) - before), g.patch)
        matrix = warp_between(before, now)
        warped = None if matrix is None else _by_patch(_warped_difference(before, now, matrix), g.patch)
        helps = warped is not None and np.median(warped.sum(-1)) < np.median(plain.sum(-1))
        out.append(warped if helps else plain)
    return np.stack(out) if out else np.zeros((0, g.per_frame, 3), np.int64)


def _warped_difference(before: np.ndarray, now: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """|now - warped before|, int64 (H, W, 3); 255 where `before` did not show the place."""
    import cv2

    size = (now.shape[1], now.shape[0])
    warped = cv2.warpPerspective(before, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    seen = cv2.warpPerspective(np.ones(now.shape[:2], np.uint8), matrix, size, flags=cv2.INTER_NEAREST)
    return np.where(seen[..., None] > 0, np.abs(now.astype(np.int64) - warped), 255)


def _by_patch(values: np.ndarray, patch: int) -> np.ndarray:
    """(H, W, 3) summed over patches, (h*w, 3)."""
    height, width, _ = values.shape
    cells = values.reshape(height // patch, patch, width // patch, patch, 3)
    return cells.sum((1, 3)).reshape(-1, 3)
