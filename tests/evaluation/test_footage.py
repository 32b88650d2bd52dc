"""Footage streamed: counts are the whole clip's, a still camera and a moving one are told apart, costs follow."""

from __future__ import annotations

import numpy as np
import pytest
from clips import encode, moving
from patchlens import video
from patchlens.evaluation.footage import SIZE, VIT_B, footage_study, streamed, text
from patchlens.flops import vit_cost
from patchlens.selectors.rlt import StaticStream


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A still camera and a panning one, 150 frames each: more than the stream holds at once."""
    folder = tmp_path_factory.mktemp("footage")
    pan = moving(150, dx=3.0)
    still = np.repeat(pan[:1], 150, 0)
    still[:, 40:90, 40:90] = np.roll(pan, 60, 2)[:, 40:90, 40:90]
    return encode(folder / "still.mp4", still), encode(folder / "pan.mp4", pan)


def test_counts_are_those_of_the_whole_file(files):
    counts, _, seconds = streamed(files[0], [0.0, 0.1, 0.4], fps=25.0)
    whole = video.read(files[0], frames=None, fps=25.0, size=(SIZE, SIZE)).frames
    values = StaticStream(2, 16).feed(whole)
    assert counts.tolist() == [[int((row > t).sum()) for t in (0.0, 0.1, 0.4)] for row in values]
    assert seconds == pytest.approx(6.0, abs=0.05)


def test_a_moving_camera_is_seen_and_saves_little(files):
    found = footage_study(files[::-1], fps=12.5)
    still, pan = found["rows"]
    assert [still["file"], pan["file"]] == ["still.mp4", "pan.mp4"], "what keeps least comes first"
    assert still["camera"] < 0.1 < 0.9 < pan["camera"]
    assert still["kept"]["0.1"] < 0.5 < pan["kept"]["0.1"] and still["kept"]["0.3"] <= still["kept"]["0.05"]
    assert still["promised"] > pan["promised"] >= 1 and still["kept"]["0.1"] >= 1 / 8
    assert "| still.mp4 | 6 |" in text(found)


def test_the_promise_is_the_ratio_of_closed_form_costs(files):
    row = footage_study([files[1]], fps=12.5, tau=0.0)["rows"][0]
    kept = row["kept"]["0"] * 1568
    full, reduced = vit_cost(VIT_B, [1568]).total, vit_cost(VIT_B, [round(kept)]).total
    assert row["promised"] == pytest.approx(full / reduced, rel=0.02)
