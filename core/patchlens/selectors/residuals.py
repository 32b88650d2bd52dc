"""Residual energy: what the motion from the frame before does not explain, a stand-in for a codec's own residuals.

FFmpeg hands out motion vectors and no residuals, so the frame before is moved by optical flow and subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from patchlens.keep import Rule, best
from patchlens.knobs import choice, knob
from patchlens.lazy import torch
from patchlens.registry import Context, register
from patchlens.types import Scores, Tokens

if TYPE_CHECKING:
    import numpy as np

SMALLEST = 16  # pixels; DIS flow needs as many


@register("residuals")
@dataclass(frozen=True)
class Residuals:
    """What is new in the picture: energy of each patch minus the frame before, moved by optical flow (OpenCV DIS)."""

    keep: float = knob(0.5, 0.01, 1.0, step=0.01, unit="share of tokens", help="keep ratio K/N")
    per: str = choice("clip", ("clip", "frame"), help="choose over the whole clip, or the same share of every frame")
    monotone = True

    def score(self, tokens: Tokens, context: Context) -> Scores:
        """Mean squared difference of grey levels (0..255) per token; the first frame copies the second."""
        g = tokens.grid
        energy = torch.from_numpy(unexplained(tokens.frames.numpy()))
        cells = torch.nn.functional.adaptive_avg_pool2d(energy[:, None], (g.h, g.w))[:, 0]
        values = cells.reshape(g.t, g.tubelet, g.h, g.w).mean(1).reshape(-1)
        note = "Residuals come from optical flow: computing it takes time (timing_s) that GMACs do not count."
        return Scores(values.float(), "squared grey levels that motion does not explain", facts={"note": note})

    def rule(self) -> Rule:
        """Top K."""
        return best(self.keep, self.per)


def unexplained(frames: np.ndarray) -> np.ndarray:
    """Squared grey levels of uint8 pictures (T, H, W, 3) that the one before, moved by flow, does not explain: float32
    (T, h, w); the first copies the second."""
    import cv2
    import numpy as np

    from patchlens.motion import copy_first

    size = max(SMALLEST, frames.shape[2]), max(SMALLEST, frames.shape[1])
    grey = [cv2.resize(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY), size) for x in frames]
    engine = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    rows, columns = np.indices(grey[0].shape, np.float32)
    out = np.zeros((len(grey), *grey[0].shape), np.float32)
    for place in range(1, len(grey)):
        way = np.nan_to_num(engine.calc(grey[place], grey[place - 1], None))
        across, down = columns + way[..., 0], rows + way[..., 1]
        moved = cv2.remap(grey[place - 1], across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        out[place] = (grey[place].astype(np.float32) - moved) ** 2
    return copy_first(out)
