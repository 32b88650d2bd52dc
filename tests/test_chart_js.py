"""viewer/chart_curves.js reads a frontier as views/frontier.py does, and solves budgets on the clip at hand."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frontiers import FULL, MERGED_PLANS, PLANS, gmacs, row, swept
from patchlens.knobs import knobs_of
from patchlens.specs import parse_plan, parse_way, spec_of
from patchlens.views import bundle
from patchlens.views.frontier import along, curves, trim
from patchlens.views.player import knob_json, payload
from traces import frame_trace, toy_trace

OFFER = "curveOf, along, cheapest, planAt, settingAt, withinBudget, gmacsWith, budgetKnob, unpack, stagesOf"


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return trim(swept())


def in_node(program: str, data: Any, folder: Path) -> Any:
    """The value of a JavaScript expression in which `data` and the viewer's modules (`lens`) are known."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on PATH; the browser tests use the same modules")
    (folder / "data.json").write_text(json.dumps(data))
    script = bundle.script(bundle.VIEWER / "chart.js", OFFER)
    given = "const fs = require('fs');\nconst data = JSON.parse(fs.readFileSync('data.json', 'utf8'));"
    (folder / "run.js").write_text(f"{given}\nconst lens = {script};\nconsole.log(JSON.stringify({program}));")
    done = subprocess.run([node, "run.js"], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def stages_of(plan: str) -> list[dict[str, Any]]:
    """A plan's stages as the browser holds them, as far as their specs go."""
    chosen = parse_plan(plan).selectors
    return [
        {"name": s.name, "knobs": [knob_json(k) for k in knobs_of(type(s))],
         "setting": {k.name: getattr(s, k.name) for k in knobs_of(type(s))}}
        for s in chosen
    ]  # fmt: skip


def test_the_browser_reads_a_curve_as_python_does(found: dict[str, Any], tmp_path: Path) -> None:
    ratios = [*np.linspace(0, 1, 41).tolist(), 0.3, 0.7, 1.0, 1.2]
    data = {"curves": found["curves"], "ratios": ratios}
    made = in_node("data.curves.map((c) => data.ratios.map((r) => lens.along(c, r)))", data, tmp_path)
    for c, places in zip(found["curves"], made, strict=True):
        for ratio, place in zip(ratios, places, strict=True):
            wanted = along(c["points"], ratio)
            assert (place is None) == (wanted is None), (c["selector"], ratio)
            if wanted:
                assert {k: place[k] for k in wanted} == {k: pytest.approx(v) for k, v in wanted.items()}


def test_the_browser_finds_a_plans_curve_as_python_does(found: dict[str, Any], tmp_path: Path) -> None:
    data = {"frontier": found, "plans": [stages_of(plan) for plan in PLANS]}
    made = in_node("data.plans.map((p) => lens.curveOf(data.frontier, p)?.selector ?? null)", data, tmp_path)
    assert made == list(PLANS.values())


def test_the_browser_finds_a_mergers_curve_as_python_does(tmp_path: Path) -> None:
    rows = [swept()["rows"][0], row("tome", "tome:r=4", 0.5, 0.6, 0.8), row("rlt", "rlt:tau=0.4", 0.5, 0.5, 0.8)]
    rows += [row("rlt:tau=0.1+tome:r=8", "rlt:tau=0.1+tome:r=8", None, 0.3, 0.7)]
    ways = [(plan, merger) for plan, merger in map(parse_way, MERGED_PLANS)]
    plans = [[stages_of(str(plan)), merger and spec_of(merger)] for plan, merger in ways]
    data = {"frontier": {"curves": curves(rows)}, "plans": plans}
    made = in_node("data.plans.map(([p, m]) => lens.curveOf(data.frontier, p, m)?.selector ?? null)", data, tmp_path)
    assert made == list(MERGED_PLANS.values())


def test_the_cheapest_place_that_reaches_a_value(found: dict[str, Any], tmp_path: Path) -> None:
    program = """data.wanted.map((w) => { const p = lens.cheapest(data.frontier, w);
      return p && [p.curve.selector, p.gmacs, p.setting, lens.planAt(p.curve, lens.settingAt(p.curve, p.setting))]; })"""
    data = {"frontier": found, "wanted": [0.3, 0.64, 0.79, 0.95, 0.96]}
    low, mid, high, all_tokens, none = in_node(program, data, tmp_path)
    assert low[0] == "random" and low[1] == pytest.approx(gmacs(0.1)) and low[3] == "random:keep=0.1"
    between = 0.1 + 0.2 * (0.64 - 0.44) / 0.3  # on motion's line from (0.1, 0.44) to (0.3, 0.74)
    assert mid[0] == "motion" and mid[2] == pytest.approx(between) and mid[3] == "motion:keep=0.233"
    assert high[0] == "motion" and gmacs(0.3) < high[1] < gmacs(0.5)
    assert all_tokens[1:3] == [pytest.approx(FULL), 1.0], "only all tokens reach it"
    assert none is None
    merger = {"selector": "tome", "knob": "r", "points": [{"setting": 8}, {"setting": 2}, {"setting": 0}]}
    assert in_node("lens.planAt(data, lens.settingAt(data, 3.7))", merger, tmp_path) == "tome:r=3", "never merges more"


BUDGETS = """(() => {
  const raw = fs.readFileSync('payload.bin');
  const pack = lens.unpack(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length));
  const [, h, w] = pack.manifest.grid;
  const model = { live: true, stages: lens.stagesOf(pack), manifest: pack.manifest, size: h * w };
  const dial = lens.budgetKnob(model);
  const before = JSON.stringify(model.stages.map((s) => s.setting));
  const made = data.map((budget) => lens.withinBudget(model, dial, budget));
  const all = [];
  for (let v = dial.knob.low; v <= dial.knob.high + 1e-9; v += dial.knob.step) all.push(lens.gmacsWith(model, dial, v));
  return { made, all, same: before === JSON.stringify(model.stages.map((s) => s.setting)) };
})()"""


@pytest.mark.parametrize("trace", [toy_trace(), frame_trace()], ids=["threshold", "share-per-frame"])
def test_a_budget_takes_the_dearest_setting_within_it(trace: Any, tmp_path: Path) -> None:
    (tmp_path / "payload.bin").write_bytes(payload(trace))
    full = trace.report.full.total
    budgets = [0.0, 0.3 * full, 0.55 * full, 2 * full]
    told = in_node(BUDGETS, budgets, tmp_path)
    for budget, made in zip(budgets, told["made"], strict=True):
        within = [cost for cost in told["all"] if cost <= budget + 1e-12]
        assert made["within"] == bool(within)
        assert made["gmacs"] == pytest.approx(max(within) if within else min(told["all"]))
    assert told["same"], "asking changes nothing"
