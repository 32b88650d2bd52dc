"""A sentence asked of a finished run: how alike each frame is to it, in full and by the plan, and the moments found.

The rules of ranking are those of the grounding benchmark (`moments.py`); frames are those that the run sampled.
"""

from __future__ import annotations

from typing import Any

import torch

from patchlens.encoders.encoder import Encoder
from patchlens.evaluation.grounding import text_features
from patchlens.evaluation.moments import WINDOW, located
from patchlens.types import Trace

TOP = 5


def searched(trace: Trace, encoder: Encoder, sentence: str, shift: float = 1.0, top: int = TOP) -> dict[str, Any]:
    """The best moments of a run's clip for a sentence, from features in full and from the plan's, as plain data.

    sentence, way (plan and merger), fps of the sampled frames, times (t,)
    smoothed     frames in the moving average; 1 where the clip is too short for it
    full, plan   {similarities (t,): cosines, moments: at most `top` of {start, end: seconds of the video, score}}
    Raises ValueError for an encoder of whole clips or without a text side, and for a sentence that it cannot read.
    """
    if trace.reference.frames is None:
        raise ValueError(f"{encoder.name} sees whole clips; a sentence is asked of single frames, as tiny-clip has them.")
    if not sentence.strip():
        raise ValueError("The sentence is empty; say what to look for, such as 'a red star'.")
    (said,) = text_features(encoder, [sentence.strip()]).double()
    times = trace.clip.times[trace.frame_index].numpy()
    fps = (len(times) - 1) / float(times[-1] - times[0]) if len(times) > 1 else 1.0
    found: dict[str, Any] = {}
    for way, made in (("full", trace.reference), ("plan", trace.encoding)):
        alike = torch.nn.functional.normalize(made.frames.double(), dim=-1) @ said
        ranked = located(alike.numpy(), times, fps, shift)[:top]
        found[way] = {"similarities": [round(x, 6) for x in alike.tolist()], "moments": ranked}
    smoothed = WINDOW if len(times) > WINDOW else 1
    return {"sentence": sentence.strip(), "way": trace.request.way, "fps": fps, "times": times.tolist(),
            "smoothed": smoothed, **found}  # fmt: skip
