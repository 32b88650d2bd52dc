"""Clips of known redundancy: what changes is what was asked for, and noise is what it says."""

from __future__ import annotations

import numpy as np
import pytest
from patchlens.data.redundant import noisy, redundant_clip
from patchlens.evaluation.redundancy import truly_changed


def test_patches_are_redrawn_as_often_as_asked_and_only_every_other_frame():
    frames = redundant_clip(0.7, frames=40, seed=3)
    assert frames.shape == (40, 224, 224, 3) and np.array_equal(frames[::2], frames[1::2])
    assert truly_changed(frames)[1:].mean() == pytest.approx(0.3, abs=4 * (0.21 / 19 / 196) ** 0.5)
    assert np.array_equal(frames, redundant_clip(0.7, frames=40, seed=3))
    assert not np.array_equal(frames, redundant_clip(0.7, frames=40, seed=4))


@pytest.mark.parametrize("world", ["patches", "objects"])
def test_ends_are_still_and_all_new(world):
    assert truly_changed(redundant_clip(1.0, world, size=64))[1:].sum() == 0
    busy, calm = (truly_changed(redundant_clip(x, world))[1:].mean() for x in (0.0, 0.75))
    assert busy > calm > 0 and (world == "objects" or busy == 1)


def test_noise_has_its_deviation():
    still = np.full((2, 64, 64, 3), 128, np.uint8)
    assert noisy(still, 4.0).std() == pytest.approx((16 + 1 / 12) ** 0.5, rel=0.02), "rounding adds a twelfth"
    assert noisy(still, 0.0) is still


def test_wrong_questions_are_one_sentence():
    cases = [({"world": "waves"}, "world is 'waves'"), ({"redundancy": 2}, "redundancy is 2"), ({"size": 60}, "60 pixels")]
    for wrong, words in cases:
        with pytest.raises(ValueError, match=words):
            redundant_clip(**{"redundancy": 0.5, **wrong})
