"""Pictures stand upright, are whole or centred as asked, and have the wanted size."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from clips import encode, numbered, numbers
from hypothesis import given
from hypothesis import strategies as st
from patchlens.limits import VideoError
from patchlens.upright import geometry
from patchlens.video import read


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("clips")


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_pictures_are_upright_as_opencv_shows_them(folder, rotation):
    path = encode(folder / f"turn{rotation}.mp4", numbered(4), rotation=rotation)
    clip = read(path, frames=None)
    capture = cv2.VideoCapture(str(path))
    truth = np.stack([capture.read()[1][..., ::-1] for _ in range(4)])
    assert clip.frames.shape == truth.shape
    assert np.abs(clip.frames.numpy().astype(int) - truth).mean() < 2
    assert clip.source.size_hw == truth.shape[1:3]
    assert clip.display.shape == truth.shape
    assert abs(clip.source.rotation) % 180 == rotation % 180


def test_a_mirrored_picture_is_mirrored_back(folder):
    frames = numbered(3)
    with av.open(str(folder / "mirror.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 96, 160, "yuv420p"
        one = 1 << 16
        stream.set_display_matrix([-one, 0, 0, 0, one, 0, 160 * one, 0, 1 << 30])
        for picture in frames[:, :, ::-1]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")))
        container.mux(stream.encode(None))
    assert numbers(read(folder / "mirror.mp4", frames=None)) == [0, 1, 2]


def test_squash_keeps_the_whole_picture_and_crop_its_centre(folder):
    plain = encode(folder / "plain.mp4", numbered(20))
    squash = read(plain, frames=2, size=(64, 64))
    assert squash.frames.shape[1:] == (64, 64, 3) and squash.rect == (0, 0, 160, 96)
    crop = read(plain, frames=2, size=(64, 64), fit="crop")
    assert crop.frames.shape[1:] == (64, 64, 3)
    assert crop.rect == pytest.approx((32, 0, 128, 96), abs=1)
    whole = read(plain, frames=2)
    centre = cv2.resize(whole.frames[0].numpy()[:, 32:128], (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(centre.astype(int) - crop.frames[0].numpy()).mean() < 6
    assert crop.display.shape[1:3] == (96, 160)


def test_without_a_size_frames_are_the_display_at_most_480_high(folder):
    path = encode(folder / "large.mp4", numbered(2, 720, 1280))
    clip = read(path)
    assert clip.display.shape[1:3] == (480, 853) and clip.frames is clip.display
    assert clip.source.size_hw == (720, 1280)


def test_display_has_square_pixels(folder):
    clip = read(encode(folder / "wide.mp4", numbered(2), sar=Fraction(2, 1)))
    assert clip.display.shape[1:3] == (96, 320)
    assert clip.source.size_hw == (96, 160)


@given(st.integers(1, 5000), st.integers(1, 5000), st.floats(0.01, 100), st.integers(1, 400), st.integers(1, 400))
def test_geometry_keeps_the_crop_inside_the_picture(height, width, shape, h, w):
    plan = geometry((height, width), shape, (h, w), "squash", "x")
    assert plan.display_hw[0] <= 480 and plan.display_hw[1] <= 1280 and min(plan.display_hw) >= 1
    try:
        plan = geometry((height, width), shape, (h, w), "crop", "x")
    except VideoError:
        return
    top, left, high, wide = plan.crop
    assert (high, wide) == (h, w) and top >= 0 and left >= 0
    assert top + h <= plan.canvas_hw[0] and left + w <= plan.canvas_hw[1]
    x0, y0, x1, y1 = plan.rect
    assert -1e-6 <= x0 < x1 <= width + 1e-6 and -1e-6 <= y0 < y1 <= height + 1e-6
