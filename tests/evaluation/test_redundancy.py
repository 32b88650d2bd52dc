"""The bound is what the pixels say; RLT meets it where theory says so, and noise ends it where theory says so."""

from __future__ import annotations

import numpy as np
import pytest
from patchlens.evaluation.redundancy import noise_limit, redundancy_study, text, truly_changed


def test_the_bound_counts_any_pixel_of_a_tubelet():
    frames = np.zeros((6, 32, 32, 3), np.uint8)
    frames[3, 0, 20, 1] = 1  # second frame of tubelet 1, second patch of the first row: and back again in tubelet 2
    assert truly_changed(frames).tolist() == [[True] * 4, [False, True, False, False], [False, True, False, False]]


def test_without_noise_whole_patches_meet_the_bound():
    found = redundancy_study(levels=[0.0, 0.6, 1.0], sigmas=[0.0], clips=2, frames=8, worlds=["patches"], size=96)
    busy, some, still = found["rows"]
    assert busy["bound"] == busy["kept"] == 1.0 and still["bound"] == still["kept"] == 1 / 4
    assert some["kept"] == some["bound"] and 0.4 < some["bound"] < 0.7
    assert some["missed"] == some["spurious"] == 0 and still["missed"] is None and busy["spurious"] is None


@pytest.mark.parametrize("tau", [0.05, 0.1])
def test_noise_ends_all_reduction_just_above_its_limit(tau):
    limit = noise_limit(tau)
    around = [0.93 * limit, 1.07 * limit]
    found = redundancy_study(tau, [1.0], around, clips=2, frames=8, worlds=["patches"], size=96)
    below, above = found["rows"]
    assert below["spurious"] < 0.1 and above["spurious"] > 0.9
    assert above["bound"] == 1 / 4, "noise is not content"


def test_the_table_has_a_line_for_every_world_and_level():
    found = redundancy_study(levels=[0.5, 1.0], sigmas=[0.0, 4.0], clips=2, frames=4, size=64)
    table = text(found)
    assert table.count("\n") == 6 and "| objects | 0.5 |" in table and "kept %, noise 4" in table
    row = next(r for r in found["rows"] if r["world"] == "patches" and r["redundancy"] == 0.5)
    assert row["interval"][0] <= row["excess"] <= row["interval"][1]
