"""Captions among frames and frames among captions, on held-out procedural frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from patchlens.data.claims import truth
from patchlens.data.stills import caption_batch
from patchlens.encoders.encoder import Encoder
from patchlens.evaluation.grounding import CHUNK, TEST_SEED, frame_features
from patchlens.evaluation.intervals import wilson


def retrieval(encoder: Encoder, frames: int = 256, seed: int = TEST_SEED, split: str = "test") -> dict[str, Any]:
    """R@1 of captions among frames and of frames among captions, held-out, with Wilson intervals.

    "r1" counts the caption's own frame only; "r1_true" any frame that the caption is true of, because some captions are
    true of several; "distinct" is the share of captions that are true of one frame alone.
    """
    made = caption_batch(range(frames), seed, split, encoder.inputs.size_hw[0])
    seen = torch.cat([frame_features(encoder, made.frames[s : s + CHUNK]) for s in range(0, frames, CHUNK)])
    similarities = (encoder.loaded.text.encode_text(made.captions) @ seen.T).numpy()
    true, own = truth(made.claims, made.facts) == 1, np.arange(frames)
    out: dict[str, Any] = {
        "frames": frames,
        "seed": seed,
        "split": split,
        "distinct": float((true.sum(1) == 1).mean()),
    }
    for name, sims, right in (
        ("text_to_frame", similarities, true),
        ("frame_to_text", similarities.T, true.T),
    ):
        best = sims.argmax(1)
        for key, good in (("r1", best == own), ("r1_true", right[own, best])):
            rate = wilson(int(good.sum()), frames)
            out[f"{name}_{key}"] = {"value": rate.mean, "interval": rate.ends}
    return out
