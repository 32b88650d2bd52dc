"""Through a codec and back: the rate rules size and quality, colours stay, and no frame is lost."""

from __future__ import annotations

import numpy as np
import pytest
from clips import moving
from patchlens.data.recoded import CODECS, recoded


@pytest.mark.parametrize("codec", list(CODECS))
def test_more_bits_are_more_faithful(codec):
    frames = moving(16, dx=2.0, height=96, width=128)
    low, high = (recoded(frames, codec, kbits, 25.0) for kbits in (60, 2000))
    assert low.frames.shape == frames.shape and low.frames.dtype == np.uint8
    assert low.kbits < high.kbits and low.psnr < high.psnr
    error = np.mean((high.frames.astype(float) - frames) ** 2)
    assert high.psnr == pytest.approx(10 * np.log10(255**2 / error), abs=1e-3)


@pytest.mark.parametrize("codec", list(CODECS))
def test_plain_colours_come_back(codec):
    """A wrong matrix or range would move these by ten grey levels and more."""
    frames = np.zeros((4, 64, 64, 3), np.uint8)
    frames[:, :32], frames[:, 32:] = (200, 40, 60), (30, 90, 220)
    back = recoded(frames, codec, 3000, 25.0).frames
    for rows, colour in ((slice(4, 28), (200, 40, 60)), (slice(36, 60), (30, 90, 220))):
        assert np.abs(back[:, rows].astype(int).mean((0, 1, 2)) - colour).max() < 4


def test_an_unknown_codec_is_named():
    with pytest.raises(ValueError, match="codec is 'divx'"):
        recoded(moving(2), "divx", 100, 25.0)
