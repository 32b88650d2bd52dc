"""Tokens behind a codec: errors are counted against the pristine clip, and tau for as many tokens gives as many."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from patchlens.clip import Clip
from patchlens.data.redundant import noisy, redundant_clip
from patchlens.evaluation import compression


def test_errors_and_the_same_number_of_tokens():
    was, now = np.array([1, 1, 0, 0, 1], bool), np.array([1, 0, 1, 0, 1], bool)
    assert compression._errors(was, now) == {"missed": pytest.approx(1 / 3), "spurious": pytest.approx(1 / 3)}
    values = np.array([[0.3, 0.1], [0.2, 0.4]], np.float32)
    for count in range(4):
        assert (values > compression._same(values, count)).sum() == count
    assert compression._same(values, 4) == 0


def test_a_noisy_still_clip_loses_tokens_behind_a_codec_at_a_low_rate():
    """Noise above the limit keeps every token of the pristine clip; a low rate smooths it away."""
    frames = noisy(np.repeat(redundant_clip(1.0, size=96, frames=2)[:1], 96, 0), 8.0)
    clip = Clip.from_frames(frames, 24.0, "still and noisy", "test")
    found = compression.compression_study([clip], ["x264"], [40.0, 20000.0], size=96)
    pristine, low, high = found["rows"]
    assert pristine["kept"]["0.1"] == 1 and low["kept"]["0.1"] < 0.5
    assert low["missed"] == pytest.approx(1 - low["kept"]["0.1"]) and low["spurious"] == 0
    assert low["psnr"] < high["psnr"] and high["kept"]["0.1"] > low["kept"]["0.1"] and low["kbits"] < high["kbits"]
    table = compression.text(found)
    assert table.startswith("still and noisy:") and "| pristine |" in table and "| x264 | 40 (" in table


def test_too_short_a_clip_is_named():
    clip = Clip.from_frames(torch.zeros(4, 32, 32, 3, dtype=torch.uint8).numpy(), 24.0, "short", "test")
    with pytest.raises(ValueError, match="short has 4 frames, too few"):
        compression.compression_study([clip], ["x264"])
