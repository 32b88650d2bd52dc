"""The table that a browser reads behind a merger is the closed-form cost at every number of kept patches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import toys
from patchlens.encoders.costs import cost_facts, cost_of
from patchlens.encoders.merged_costs import merged_facts
from patchlens.merge import mean_share
from patchlens.specs import parse_merger
from patchlens.types import Grid


@pytest.mark.parametrize("embeds_all", [False, True])
@pytest.mark.parametrize("spec", ["tome:r=2", "tome:r=3,schedule=decreasing", "sta:r=1", "vidtldr", "pruner:rho=0.7"])
def test_the_table_is_the_cost(spec: str, embeds_all: bool) -> None:
    encoder, merger, grid = toys.space_time(), parse_merger(spec), Grid(4, 3, 5, 2, 4)
    front, depth = encoder.config.prefix, encoder.config.depth
    for count in (1, 2, 7, 30, grid.n):
        keep = replace(toys.some(grid, count), embeds_all=embeds_all)
        table = merged_facts(encoder, keep, merger)["whole"]
        cost, own = cost_of(encoder, keep, merger)
        assert table["gmacs"][count] + cost_facts(encoder, keep)["once"] == pytest.approx(cost.total, abs=2e-9)
        assert table["own"][count] == pytest.approx(own, abs=2e-9)
        lengths = merger.lengths(count + front, depth, front)
        assert table["left"][count] == lengths[-1][1] - front
        assert table["mean"][count] == pytest.approx(count * mean_share(lengths, front), abs=1e-3)
