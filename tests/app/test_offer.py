"""What the page is told before it is drawn."""

from __future__ import annotations

from patchlens.evaluation.shipped import benches
from patchlens_app.offer import benches_measured


def test_the_benchmarks_on_offer_leave_out_the_baselines():
    offered, stored = benches_measured(), benches()
    assert [b["dtype"] for b in offered] == [b["encoder"]["dtype"] for b in stored]
    for shown, whole in zip(offered, stored, strict=True):
        assert "everything" not in {r["selector"] for r in shown["rows"]}
        wanted = [r["efficiency"] for r in whole["rows"] if "efficiency" in r and r["selector"] != "everything"]
        assert [r["efficiency"] for r in shown["rows"]] == wanted
