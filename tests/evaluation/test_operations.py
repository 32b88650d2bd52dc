"""Where the time goes: operations are counted as what they are, once, and nothing of the clock is lost."""

from __future__ import annotations

import time

import pytest
import torch
import toys
from patchlens.evaluation.operations import KINDS, REST, operations, operations_table
from patchlens.evaluation.throughput import bench
from torch.nn import functional

X = torch.randn(1, 4, 512, 64)
W = torch.randn(2048, 2048)
RUNS = {
    "linear layers": lambda: functional.linear(W, W, W[0]),
    "attention": lambda: functional.scaled_dot_product_attention(X, X, X),
    "copies": lambda: torch.cat([W, W]).T.contiguous(),
    "element by element": lambda: functional.gelu(W) + W,
    REST: lambda: time.sleep(0.05),
}


@pytest.mark.parametrize("kind", RUNS)
def test_the_time_is_where_it_was_spent(kind):
    found = operations(RUNS[kind])
    assert list(found) == [*KINDS, REST]
    assert found[kind] == max(found.values()) > 0.5 * sum(found.values())


def test_the_bench_tells_it_of_every_plan_but_the_librarys_model(space_time):
    rows = bench(space_time, [toys.clip(8)], ["random", "tome"], repeats=1, profiled=True)
    for row in rows:
        assert row["operations"]["linear layers"] > 0 and row["operations"]["attention"] > 0
    text = operations_table(rows)
    assert text.count("\n") == 4 and "| random:keep=0.5 |" in text
    assert "(1.00)" in text.splitlines()[2], "the full run is what others are told against"
    assert "operations" not in bench(space_time, [toys.clip(8)], ["random"], repeats=1)[0]
