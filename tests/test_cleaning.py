"""The paper's cleaning variants on maps made by hand."""

from __future__ import annotations

import pytest
import torch
from patchlens.cleaning import WAYS, clean
from patchlens.types import Grid

GRID = Grid(2, 4, 5, 2, 4)
ZERO = torch.zeros(40)


def volume(**at: float) -> torch.Tensor:
    """A map of 0.1 with other values at "t,y,x"."""
    values = torch.full((2, 4, 5), 0.1)
    for place, value in at.items():
        values[tuple(int(i) for i in place.lstrip("_"))] = value
    return values.flatten()


def test_edges_are_halved_and_the_inside_stays():
    made = GRID.volume(clean(torch.ones(40), GRID, "edges", ZERO))
    assert (made[:, 1:-1, 1:-1] == 1).all() and made.sum() == 2 * (6 + 14 * 0.5)


def test_an_isolated_peak_falls_to_the_mean_and_an_area_stays():
    values = volume(_011=0.9, _012=0.8, _111=0.7, _034=1.0)
    made = clean(values, GRID, "peaks", ZERO)
    kept = [GRID.index(0, 1, 1), GRID.index(0, 1, 2), GRID.index(1, 1, 1)]
    assert torch.equal(made[kept], values[kept]), "three tokens that touch in space and time are no peak"
    assert made[GRID.index(0, 3, 4)] == pytest.approx(float(values.mean()))
    rest = torch.ones(40, dtype=torch.bool)
    rest[[*kept, GRID.index(0, 3, 4)]] = False
    assert torch.equal(made[rest], values[rest])


def test_sharpening_moves_towards_0_and_1_and_keeps_the_order():
    values = torch.linspace(0, 1, 40)
    made = clean(values, GRID, "sharpen", ZERO)
    assert (made[values < 0.5] <= values[values < 0.5]).all() and (made[values > 0.5] >= values[values > 0.5]).all()
    assert (made.diff() > 0).all() and made[0] == 0 and made[-1] == 1


def test_none_is_the_map_itself_and_another_way_is_refused():
    values = torch.rand(40)
    assert clean(values, GRID, "none", ZERO) is values and WAYS[0] == "none"
    with pytest.raises(ValueError, match="clean is 'polish'; choose one of none, edges"):
        clean(values, GRID, "polish", ZERO)


def test_ranks_run_from_0_to_1_and_follow_the_map_before_its_relu():
    signed = torch.randn(40)
    made = clean(signed.clamp(min=0), GRID, "rank", signed)
    assert made.min() == 0 and made.max() == 1 and len(made.unique()) == 40
    assert torch.equal(made.argsort(), signed.argsort())
