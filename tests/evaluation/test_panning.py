"""The study of panning clips: its clips pan, its figures follow from the runs, and equal fidelity is read off the curve."""

from __future__ import annotations

import numpy as np
import pytest
import toys
from patchlens.data.samples import Wanted
from patchlens.evaluation import panning
from patchlens.evaluation.measure import MEASURED


def rows(ratios: list[float], cosines: list[float]) -> np.ndarray:
    out = np.zeros(len(ratios), MEASURED)
    out["ratio"], out["cosine"] = ratios, cosines
    return out


def test_the_share_is_read_off_where_fidelity_is_equal():
    plain = rows([0.8, 0.6], [0.9, 0.9])
    kept = np.array([[0.8, 0.6], [0.4, 0.2], [0.1, 0.1]])
    assert panning._share(plain, kept, np.array([[1.0, 1.0], [0.9, 0.9], [0.5, 0.5]])) == pytest.approx(0.3 / 0.7)
    assert panning._share(plain, kept, np.array([[1.0, 1.0], [0.8, 0.8], [0.5, 0.5]])) == pytest.approx(0.5 / 0.7)
    assert panning._share(plain, kept, np.full((3, 2), 0.8)) is None
    assert panning._share(plain, kept, np.full((3, 2), 0.95)) == pytest.approx(0.1 / 0.7)


def test_the_study_runs_on_clips_that_pan():
    encoder = toys.space_time(grid=(4, 8, 8))
    samples = panning.panning_set(limit=3)
    made = samples.samples[0].make(Wanted((32, 32), 8))
    assert made.facts["camera"] == "pan" and samples.samples[0].label
    found = panning.camera_study(encoder, samples, 0.1, [0.1, 0.4])
    assert found["n"] == 3 and 0 < found["plain_kept"] <= 1 and [r["tau"] for r in found["curve"]] == [0.1, 0.4]
    assert found["curve"][0]["kept"] >= found["curve"][1]["kept"]
    assert found["same_tau"] == pytest.approx(found["curve"][0]["kept"] / found["plain_kept"])
    assert "panning clips" in panning.text(found)
