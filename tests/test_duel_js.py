"""viewer/duel.js, agreement.js, zoom.js, state's grammar: what the browser computes for several lanes, against Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from patchlens.interleave import Interleave
from patchlens.keep import Rule, Strided, Threshold, TopK, TopKPerFrame, keep_of, rule_json
from patchlens.specs import parse_plan
from patchlens.types import Grid, Scores
from scipy.stats import hypergeom, spearmanr
from test_keep_js import in_lens, random_values

KINDS = {"topk": TopK, "topk_per_frame": TopKPerFrame, "threshold": Threshold, "strided": Strided}
KNOB = {"name": "k", "kind": "float", "stage": "keep", "low": 0.01, "high": 1.0, "step": 0.01}
SPEND = """data.map(({ stages, grid, seed, targets }) => {
  const made = stages.map(({ values, rule, field, knob }) => ({
    name: "one", values: Float32Array.from(values, Number), fine: null, live: true, choices: [], rules: { "": rule },
    fields: { [knob.name]: field }, knobs: [knob], setting: { [knob.name]: rule[field] },
  }));
  const manifest = { grid: [grid.t, grid.h, grid.w], seed, per_frame: false };
  for (const stage of made) stage.order = lens.ranking(stage.values, null, seed);
  const model = { stages: made, live: true, decide() { this.keep = lens.decision(made, manifest); },
                  get kept() { return lens.count(this.keep.mask); } };
  return targets.map((target) => [lens.spend(model, target), model.kept, made[0].setting.k]);
})"""


def written(values: np.ndarray) -> list[str]:
    return [str(v).replace("inf", "Infinity") for v in values.tolist()]


def case(number: int) -> tuple[dict[str, Any], list[tuple[Scores, Rule]], Grid]:
    random = np.random.default_rng(number)
    grid = Grid(4, 5, 6, 2, 16)
    kind = list(KINDS)[number % len(KINDS)]
    field = "tau" if kind == "threshold" else "keep"
    stages, plans = [], []
    for place, chosen in enumerate([kind] if number % 3 < 2 else [kind, "topk"]):
        values = random_values(random, grid.n, 0.5) if chosen == "threshold" else random.normal(size=grid.n)
        scores = Scores(torch.from_numpy(np.abs(values).astype(np.float32)), "test")
        name, start = (field, 0.3) if place == 0 else ("keep", 0.7)
        knob = {**KNOB, "name": ("k", "other")[place], "low": 0.0 if chosen == "threshold" else 0.01}
        rule = {"kind": chosen, name: start}
        stages.append({"values": written(scores.values.numpy()), "field": name, "rule": rule, "knob": knob})
        plans.append((scores, KINDS[chosen](start)))
    targets = [1, 7, 40, 60, 77, grid.n]
    return {"stages": stages, "grid": {"t": 4, "h": 5, "w": 6}, "seed": 5, "targets": targets}, plans, grid


def test_equal_tokens_are_as_near_as_any_setting_comes(tmp_path: Any) -> None:
    cases = [case(n) for n in range(24)]
    made = in_lens(SPEND, [c for c, _, _ in cases], tmp_path)
    for (data, plans, grid), answers in zip(cases, made, strict=True):
        (scores, rule), *rest = plans
        counts = {}
        finite = scores.values[scores.values.isfinite()].tolist()
        settings = [*finite, 0.0, 1.0] if isinstance(rule, Threshold) else [k / grid.n for k in range(1, grid.n + 1)]
        for x in (min(1.0, max(data["stages"][0]["knob"]["low"], s)) for s in settings):
            counts[x] = keep_of([(scores, type(rule)(x)), *rest], grid, 5).count
        for target, (moved, kept, setting) in zip(data["targets"], answers, strict=True):
            least = min(abs(count - target) for count in counts.values())
            assert moved and abs(kept - target) == least, (type(rule), target, kept, setting)
            again = float(f"{setting:.10g}")  # as the spec grammar writes it
            assert keep_of([(scores, type(rule)(again)), *rest], grid, 5).count == kept
            assert data["stages"][0]["knob"]["low"] <= setting <= 1


def test_what_p_frames_drop_follows_a_budget_too(tmp_path: Any) -> None:
    grid, random = Grid(4, 5, 6, 2, 16), np.random.default_rng(3)
    scores = Scores(torch.from_numpy(random.random(grid.n).astype(np.float32)), "test")
    knob = {**KNOB, "low": 0.0, "high": 0.95}
    stage = {"values": written(scores.values.numpy()), "field": "p", "rule": rule_json(Interleave(2, 0.5)), "knob": knob}
    data = {"stages": [stage], "grid": {"t": 4, "h": 5, "w": 6}, "seed": 5, "targets": [70, 75, 90, 1]}
    (answers,) = in_lens(SPEND, [data], tmp_path)
    assert [kept for _, kept, _ in answers] == [70, 74, 90, 64], "60 of two I-frames, two P-frames with 2 to 30 each"
    for _, kept, p in answers:
        assert keep_of([(scores, Interleave(2, p))], grid, 5).count == kept


@pytest.mark.parametrize(("low", "high", "shown"), [(0.25, 0.5, 0.3), (0.1, 0.1004, 0.1), (0.12341, 0.12349, 0.12341)])
def test_settings_are_as_short_as_they_can_be(low: float, high: float, shown: float, tmp_path: Any) -> None:
    assert in_lens("lens.shortest(...data)", [low, high], tmp_path) == shown


def test_a_plan_that_only_the_server_knows_cannot_follow(tmp_path: Any) -> None:
    assert in_lens("lens.spend({ live: false, stages: [] }, 5)", None, tmp_path) is False


OVERLAP = "data.map(([a, b]) => lens.overlapOf(Uint8Array.from(a), Uint8Array.from(b)))"


def test_agreement_is_what_set_theory_says(tmp_path: Any) -> None:
    random = np.random.default_rng(0)
    pairs = [tuple((random.random(400) < share).astype(int) for share in random.random(2)) for _ in range(20)]
    pairs.append((np.ones(400, int), np.eye(1, 400, 7, dtype=int)[0]))
    made = in_lens(OVERLAP, [[a.tolist(), b.tolist()] for a, b in pairs], tmp_path)
    for (a, b), found in zip(pairs, made, strict=True):
        both, either = int((a & b).sum()), int((a | b).sum())
        only = [int((x & (1 - y)).sum()) for x, y in ((a, b), (b, a))]
        assert [found["both"], found["first"], found["second"]] == [both, *only]
        assert found["neither"] == 400 - either and found["jaccard"] == pytest.approx(both / either)
        overlap = np.arange(min(a.sum(), b.sum()) + 1)
        chance = hypergeom(400, a.sum(), b.sum()).pmf(overlap)
        assert found["chance"]["both"] == pytest.approx((chance * overlap).sum())
        assert found["chance"]["jaccard"] == pytest.approx((chance * overlap / (a.sum() + b.sum() - overlap)).sum())


SPEARMAN = """data.map((pair) => lens.spearman(...pair.map((texts) => {
  const values = Float32Array.from(texts, Number);
  return { values, order: lens.ranking(values, null, 3) };
})))"""


def test_rank_correlation_is_scipys_with_ties_and_infinities(tmp_path: Any) -> None:
    random = np.random.default_rng(1)
    pairs = [(random_values(random, 300, 0.5), random_values(random, 300, 0.2)) for _ in range(12)]
    pairs.append((np.arange(300, dtype=np.float32), -np.arange(300, dtype=np.float32)))
    pairs = [(a, b) for a, b in pairs if len(set(a)) > 1 and len(set(b)) > 1]
    made = in_lens(SPEARMAN, [[written(a), written(b)] for a, b in pairs], tmp_path)
    assert made == pytest.approx([spearmanr(a, b).statistic for a, b in pairs])
    assert made[-1] == -1


def test_zoom_keeps_its_place_and_stays_inside(tmp_path: Any) -> None:
    program = """data.map(([scale, x, y, by, px, py]) => {
      const from = lens.inside({ scale, x, y });
      const to = lens.zoomed(from, by, [px, py]);
      return [from, to, lens.partOf(to, [200, 100]), lens.brought(to, [0.9, 0.1, 0.95, 0.2])];
    })"""
    random = np.random.default_rng(2)
    asked = [
        [*random.uniform(0, [9, 1, 1]), int(random.choice([-1, 1])), *random.uniform(0.3, 0.7, 2)] for _ in range(50)
    ]
    for (*_, by, px, py), (before, after, part, moved) in zip(asked, in_lens(program, asked, tmp_path), strict=True):
        x, y, width, height = part
        assert x > -1e-6 and y > -1e-6 and x + width < 200 + 1e-6 and y + height < 100 + 1e-6
        assert 1 <= after["scale"] <= 8 and (after["scale"] - before["scale"]) * by >= 0
        held = [(p - before[c]) * before["scale"] - (p - after[c]) * after["scale"] for p, c in ((px, "x"), (py, "y"))]
        half = 0.5 / after["scale"]
        free = [half + 1e-9 < after[c] < 1 - half - 1e-9 for c in "xy"]  # the border may push
        assert all(abs(h) < 1e-9 for h, f in zip(held, free, strict=True) if f)
        half = 0.5 / moved["scale"]
        assert moved["x"] - half <= 0.9 + 1e-9 and moved["x"] + half >= 0.95 - 1e-9 and moved["y"] - half <= 0.1 + 1e-9


SPECS = [
    "rlt:tau=0.15",
    "rlt:tau=0.1+random:keep=0.5,per=frame",
    "oracle:keep=0.3,label=two things a%2Cb=c",
    "everything",
]


@pytest.mark.parametrize("spec", SPECS)
def test_specs_are_read_as_python_reads_them(spec: str, tmp_path: Any) -> None:
    made = in_lens("lens.parsed(data)", spec, tmp_path)
    plan = parse_plan(spec)
    assert [part["name"] for part in made] == [s.name for s in plan.selectors]
    for part, selector in zip(made, plan.selectors, strict=True):
        for name, text in part["values"].items():
            value = getattr(selector, name)
            assert (float(text) if isinstance(value, float) else text) == value
