"""Cuts and change: I-frames are forced where PySceneDetect finds a cut and after `reach` of change; the cost counts."""

from __future__ import annotations

import numpy as np
import pytest
import toys
from patchlens import cuts
from patchlens.pipeline import run
from patchlens.types import Clip


def filmed(levels: list[int]) -> Clip:
    """Even pictures of these grey levels."""
    return Clip.from_frames(np.stack([np.full((12, 20, 3), level, np.uint8) for level in levels]))


CUT = filmed([20, 20, 20, 20, 220, 220, 220])
RAMP = filmed([0, 6, 12, 18, 24, 30, 36])


def test_a_cut_is_found_and_change_is_in_grey_levels() -> None:
    assert cuts.changes(list(CUT.frames.numpy())).tolist() == [0, 0, 0, 0, np.inf, 0, 0]
    assert cuts.changes(list(RAMP.frames.numpy())).tolist() == [0, 6, 6, 6, 6, 6, 6]


@pytest.mark.parametrize(("clip", "knobs", "anchors"), [
    (CUT, "cuts=on", [0, 0, 0, 3, 4, 4, 4]),
    (CUT, "cuts=off", [0, 0, 0, 3, 3, 3, 6]),
    (RAMP, "n=10,reach=13", [0, 0, 0, 3, 3, 3, 6]),
    (RAMP, "n=10", [0] * 7),
])  # fmt: skip
def test_i_frames_are_forced_and_their_search_is_paid_for(clip: Clip, knobs: str, anchors: list[int]) -> None:
    trace = run(clip, encoder=toys.frame_cls(residual=1), selector=f"residualvit:drop=random,{knobs}", cache=False)
    assert trace.keep.anchor.tolist() == anchors
    assert trace.report.selector_gmacs == pytest.approx(cuts.gmacs(7))
