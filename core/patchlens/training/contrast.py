"""What frames and captions are trained by together: losses over their cosines, given what is true of what.

Everywhere frames (B,D) and texts (C,D) are L2-normalised; true (C,B) is 1 where a caption is true of a frame, 0 where it is
false, and 0.5 where that is open: such pairs are left out. Knows no model and no data.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# How `parting` sees a video: the share of it that a sentence is true of, how steeply, and by how much at least, as cosines.
PRESENT, STEEP, ABOVE, BELOW = 0.12, 20.0, 0.15, 0.03


def contrast(frames: Tensor, texts: Tensor, true: Tensor, scale: Tensor) -> Tensor:
    """Symmetric InfoNCE with many positives over cosines, float32.

    Each positive is held against all negatives of its row, the other positives aside; rows count alike.
    """
    logits = scale * texts @ frames.T
    return (_rows(logits, true) + _rows(logits.T, true.T)) / 2


def _rows(logits: Tensor, true: Tensor) -> Tensor:
    right = true == 1
    rest = logits.masked_fill(true != 0, -torch.inf).logsumexp(1, keepdim=True)
    each = F.softplus(rest - logits).masked_fill(~right, 0).sum(1) / right.sum(1).clamp_min(1)
    return each[right.any(1)].mean()


def flatness(frames: Tensor, texts: Tensor, true: Tensor) -> Tensor:
    """Mean square of the cosines of false pairs: they shall all lie near 0, so that a similarity says yes or no."""
    return (texts @ frames.T)[true == 0].square().mean()


def parting(frames: Tensor, texts: Tensor, true: Tensor) -> Tensor:
    """How far each caption's true frames are above, and its false ones below, its mean over a video: two soft hinges.

    The mean is that of a video of which the caption is true for a share PRESENT; captions true of no frame are left out.
    Source: grounding keeps what lies above the mean (algorithms.md 2.7).
    """
    cosines, right, wrong = texts @ frames.T, (true == 1).float(), (true == 0).float()
    yes, no = right.sum(1).clamp_min(1), wrong.sum(1).clamp_min(1)
    mean = PRESENT * (cosines * right).sum(1) / yes + (1 - PRESENT) * (cosines * wrong).sum(1) / no
    over = cosines - mean[:, None]
    lost = (F.softplus(STEEP * (ABOVE - over)) * right).sum(1) / yes
    found = (F.softplus(STEEP * (BELOW + over)) * wrong).sum(1) / no
    return (lost + found)[right.any(1)].mean()
