"""A sweep's result made by hand, for weights that do not exist: five contenders, one of them dear, one with one point."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from patchlens.types import Trace
from traces import toy_trace

SHA = "cd" * 32
FULL = 11.06  # GMACs of the toy encoder on all 240 tokens: 0.5 + 0.02 K + 1e-4 K^2
COMMAND = "patchlens sweep motions --selector rlt --json toy.json"
VALUES = {0.1: 0.4, 0.3: 0.7, 0.5: 0.8, 0.7: 0.9}

# A plan, and the curve on which it lies
PLANS = {
    "rlt:tau=0.27": "rlt",
    "random:keep=0.9": "random",
    "oracle:keep=0.2": "oracle",
    "oracle:keep=0.2,label=predicted": None,
    "random:keep=0.5,per=frame": None,
    "center": None,
    "rlt:tau=0.1+random:keep=0.5": "rlt:tau=0.1+random:keep=0.5",
    "rlt:tau=0.1+random:keep=0.6": None,
}

# The same for plans with mergers
MERGED_PLANS = {
    "tome:r=9": "tome", "tome:r=9,pool=plain": None, "rlt:tau=0.2": "rlt", "rlt:tau=0.2+tome:r=8": None,
    "rlt:tau=0.1+tome:r=8": "rlt:tau=0.1+tome:r=8",
}  # fmt: skip


def gmacs(ratio: float) -> float:
    """Cost of the toy encoder on a share of its 240 tokens."""
    k = 240 * ratio
    return 0.5 + 0.02 * k + 1e-4 * k * k


def row(
    selector: str, plan: str, budget: float | None, reached: float, top1: float, own: float = 0.0
) -> dict[str, Any]:
    """One row as `patchlens.evaluation.rows` makes them, without what no chart asks for."""
    ends = [round(max(0.0, top1 - 0.05), 6), round(min(1.0, top1 + 0.03), 6)]
    return {"selector": selector, "plan": plan, "budget": budget, "reached": reached, "n": 64, "seeds": 1, "top1": top1,
            "interval": ends, "cosine": top1 / 2, "cosine_interval": None, "gmacs": gmacs(reached) + own,
            "gmacs_selector": own}  # fmt: skip


def swept() -> dict[str, Any]:
    """What `patchlens sweep --json` writes: rlt reaches 0.3 twice, oracle costs 13 GMACs itself."""
    rows = [row("everything", "everything", 1.0, 1.0, 0.95)]
    rows += [row("random", f"random:keep={b}", b, b, v - 0.02) for b, v in VALUES.items()]
    taus = {0.1: (0.9, 0.3), 0.3: (0.8, 0.3), 0.5: (0.4, 0.5), 0.7: (0.2, 0.7)}
    rows += [row("rlt", f"rlt:tau={tau}", b, r, VALUES[b], 0.003) for b, (tau, r) in taus.items()]
    rows += [row("motion", f"motion:keep={b}", b, b, v + 0.04) for b, v in VALUES.items()]
    rows += [row("oracle", f"oracle:keep={b}", b, b, v / 2, 13.0) for b, v in VALUES.items()]
    rows += [row("rlt:tau=0.1+random:keep=0.5", "rlt:tau=0.1+random:keep=0.5", None, 0.2, 0.6)]
    encoder = {"name": "toy", "weights": "by hand", "sha256": SHA, "device": "cpu", "dtype": "float32"}
    origin = {"date": "2026-11-24T10:00:00+00:00", "commit": "0123456789ab"}
    return {"encoder": encoder, "data": "motions, stream 3", "seed": 3, "seeds": 1, "n": 64, "metric": "right",
            "command": COMMAND, "provenance": origin, "rows": rows}  # fmt: skip


def charted(monkeypatch: pytest.MonkeyPatch, folder: Path, trace: Trace | None = None) -> Trace:
    """A toy trace of the weights that were swept, while the sweep counts as shipped."""
    from patchlens.evaluation import shipped

    (folder / "frontiers").mkdir(exist_ok=True)
    (folder / "frontiers" / "toy.json").write_text(shipped.dumps(swept()))
    monkeypatch.setattr(shipped, "SHIPPED", folder)
    trace = trace or toy_trace()
    return replace(trace, encoder={**trace.encoder, "sha256": SHA})
