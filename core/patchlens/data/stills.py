"""Single frames with captions, for contrastive training and retrieval.

Knows how frames are drawn in bulk and what is true of each; the events are those of `scenes`. Neighbouring
frames share a backdrop, so that what tells them apart is what stands in them. Does not know models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .claims import EMPTY, Caption
from .dice import Dice
from .events import SPLITS, allowed, draw_props, state_of
from .scenes import EVENT_SECONDS
from .staging import draw_shot, seen_boxes, shoot, stream
from .wording import describe, vary

__all__ = ["Stills", "caption_batch"]

SHARED = 4
_STILL, _BACKDROP = 72, 73


@dataclass(frozen=True)
class Stills:
    """B frames and their captions.

    `frames` uint8 (B,H,W,3); `captions` texts, the first B one of each frame in order, then B more for every
    further round; `claims` int (C,14) and `facts` int (B,14) for `claims.truth`; `boxes` float32 (B,2,3):
    middle x, y and side of each object in shares of the frame, zeros where there is none.
    """

    frames: np.ndarray
    captions: list[str]
    claims: np.ndarray
    facts: np.ndarray
    boxes: np.ndarray


def caption_batch(
    indices: Sequence[int],
    seed: int = 0,
    split: str = "train",
    size: int = 96,
    *,
    rounds: int = 1,
    varied: bool = False,
    empty: float = 0.0,
) -> Stills:
    """Draw frames and caption them; the same index, seed and split always give the same frame.

    The first caption of a frame tells nearly all, further `rounds` tell less, and `varied` adds one in which a
    single claim is changed, so that it is mostly false of its frame. `empty` is the share of frames without any
    object. Raises ValueError for no index, a negative one or an unknown split.
    """
    if not len(indices) or min(indices) < 0:
        raise ValueError("indices must be one or more numbers from 0 on")
    pairs, part = allowed(split), SPLITS.index(split)
    frames, facts, boxes = [], [], []
    told: list[list[Caption]] = []
    for index in indices:
        dice = Dice(stream(_STILL, seed, part, index))
        seconds = dice.between(*EVENT_SECONDS)
        shot = draw_shot((_BACKDROP, seed, part, index // SHARED), 0.0, EVENT_SECONDS[1])
        share = 0.02 + 0.96 * dice.roll()
        props = () if dice.roll() < empty else draw_props(split, seconds, dice)
        state = state_of(props) if props else EMPTY
        time = np.array([share * seconds])
        frames.append(shoot(shot, props, time, (0.0, seconds), size)[0])
        facts.append(state.codes)
        boxes.append(seen_boxes(shot, props, float(time[0]), share))
        captions = [describe(state, 1.0 if k == 0 else dice.between(0.2, 0.9), dice) for k in range(rounds)]
        told.append([*captions, vary(captions[0], pairs, dice)] if varied else captions)
    flat = [captions[k] for k in range(len(told[0])) for captions in told]
    claims = np.array([caption.codes for caption in flat])
    return Stills(np.stack(frames), [c.text for c in flat], claims, np.array(facts), np.stack(boxes))
