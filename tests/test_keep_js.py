"""viewer/keep.js and plan.js decide exactly as Python does: every rule, ties, infinities, equal-to-threshold, chains."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest
import torch
import toys
from browsers import evaluate_alone
from patchlens import pipeline
from patchlens.encoders.costs import cost_of
from patchlens.keep import (
    Adaptive,
    All,
    Interleave,
    Rule,
    Strided,
    Threshold,
    TopK,
    TopKPerFrame,
    keep_of,
    ranking,
    rule_json,
    run_lengths,
    tie_hash,
)
from patchlens.knobs import knobs_of
from patchlens.mergers.tome import ToMe
from patchlens.pipeline import run
from patchlens.registry import plugins
from patchlens.specs import parse_plan
from patchlens.types import Grid, Scores
from patchlens.views import bundle
from patchlens.views.frontier import share_in_blocks
from patchlens.views.player import controls, knob_json, manifest, payload
from traces import frame_trace, toy_trace

CASES = 1000
DRIVER = """
const floats = (text) => new Float32Array(lens.fromBase64(text));
const same = (a, text) => {
  const b = new Uint8Array(lens.fromBase64(text));
  return a.length === b.length && a.every((x, i) => x === b[i]);
};
function failures(cases) {
  return cases.flatMap((c, i) => {
    const stages = c.stages.map((s) => ({
      ...s, values: floats(s.values), fine: s.fine && floats(s.fine), change: s.change && floats(s.change),
    }));
    const keep = lens.keepOf(stages, c.grid, c.seed, c.per_frame);
    if (JSON.stringify(keep.anchor && Array.from(keep.anchor)) !== JSON.stringify(c.anchor)) return [i];
    if (JSON.stringify(keep.coarse) !== JSON.stringify(c.coarse)) return [i];
    const runs = c.runs === null ? keep.runs === null : keep.runs !== null && same(new Uint8Array(keep.runs), c.runs);
    return same(keep.mask, c.mask) && runs ? [] : [i];
  });
}
"""
OFFER = (
    "keepOf, tieHash, ranking, runLengths, count, fromBase64, unpack, stagesOf, decision, gmacs, merging, perTubelet, "
    "planSpec, parsed, spend, shortest, overlapOf, spearman, inside, zoomed, brought, partOf"
)


def script() -> str:
    """The viewer's modules as one object `lens`, and the driver."""
    return f"const lens = {bundle.script(bundle.VIEWER / 'player.js', OFFER)};\n{DRIVER}"


def packed(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()


def random_values(random: np.random.Generator, n: int, tau: float) -> np.ndarray:
    """Scores with ties, infinities of both signs, zeros of both signs and values equal to the threshold."""
    values = random.choice([random.normal(size=n), random.integers(0, 4, n) / 4, np.zeros(n)]).astype(np.float32)
    odd = random.random(n)
    values[odd < 0.06] = np.inf
    values[(odd >= 0.06) & (odd < 0.1)] = -np.inf
    values[(odd >= 0.1) & (odd < 0.2)] = np.float32(tau)
    values[(odd >= 0.2) & (odd < 0.24)] = -0.0
    return values


def random_rule(random: np.random.Generator) -> Rule:
    keep = float(
        random.choice([0.01, 0.29, 0.5, 0.58, 1.0, round(random.uniform(0.01, 1), 2), random.uniform(0.01, 1)])
    )
    tau = float(random.choice([0.0, 0.1, 0.25, 0.5, -1.0, 9.0, random.normal()]))
    low, high = sorted(random.choice([0.0, 0.25, 0.5, 1.0, random.random()], 2, replace=False).tolist())
    adaptive = Adaptive(keep, float(random.choice([0.3, 0.5])), low, high, *(random.random(2) < 0.5).tolist())
    kinds: list[Rule] = [
        All(), adaptive, TopK(keep), TopKPerFrame(keep), Strided(keep), Strided(keep, True), Threshold(tau),
    ]  # fmt: skip
    return kinds[random.integers(len(kinds))] if random.random() < 0.8 else Threshold(tau, runs=True)


def random_schedule(random: np.random.Generator, frames: int) -> tuple[Interleave, torch.Tensor | None]:
    """An interleaved rule, and changes with cuts and sums that meet `reach` exactly."""
    p = float(random.choice([0.0, 0.5, 0.85, 0.95, round(random.uniform(0, 0.95), 2)]))
    more = dict(cuts=bool(random.random() < 0.7), reach=float(random.choice([0, 0, 1, 2.5])))
    more |= dict(even=bool(random.random() < 0.3), scale=float(random.choice([1.0, 1.0, 0.5, 0.3])))
    rule = Interleave(int(random.integers(1, 11)), p, **more)
    change = random.choice([0.0, 0.5, 1.0, np.inf, random.random()], frames).astype(np.float32)
    return rule, None if random.random() < 0.2 else torch.from_numpy(change)


def random_case(number: int) -> dict[str, Any]:
    """One plan of one to three stages on one grid, with Python's decision."""
    random = np.random.default_rng(number)
    grid = Grid(*(int(x) for x in random.integers(1, 7, 3)), 2, 16)
    seed = int(random.choice([0, 1, 7, 2**31 - 1, 2**32 - 1, 123456789]))
    per_frame = bool(random.random() < 0.4)
    stages = []
    count = int(random.choice([1, 1, 1, 2, 3]))
    for _ in range(count):
        rule, change = random_rule(random), None
        if count == 1 and random.random() < 0.4:
            rule, change = random_schedule(random, grid.t)
        values = torch.from_numpy(random_values(random, grid.n, getattr(rule, "tau", 0.5)))
        fine = torch.from_numpy(random_values(random, grid.n, 0.5)) if random.random() < 0.4 else None
        sure = {"confidence": float(random.choice([0.0, 0.25, 0.5, 1.0, random.random()]))}
        stages.append((Scores(values, "test", fine, facts=sure, change=change), rule))
    if random.random() < 0.3:  # the first tubelet as RLT has it, so that run lengths are compared too
        stages[0][0].values[: grid.per_frame] = torch.inf
    keep = keep_of(stages, grid, seed, per_frame)
    runs = None if keep.run_length is None else packed(keep.run_length.numpy().astype(np.uint8))
    return {
        "grid": {"t": grid.t, "h": grid.h, "w": grid.w}, "seed": seed, "per_frame": per_frame, "runs": runs,
        "coarse": keep.coarse, "anchor": None if keep.anchor is None else keep.anchor.tolist(),
        "mask": packed(keep.mask.numpy().astype(np.uint8)),
        "stages": [{"values": packed(s.values.numpy()), "fine": None if s.fine is None else packed(s.fine.numpy()),
                    "change": None if s.change is None else packed(s.change.numpy()), "confidence": s.confidence,
                    "rule": rule_json(r)} for s, r in stages],
    }  # fmt: skip


@pytest.fixture(scope="module")
def cases() -> list[dict[str, Any]]:
    made = [random_case(n) for n in range(CASES)]
    kinds = {s["rule"]["kind"] for c in made for s in c["stages"]}
    assert kinds == {"all", "adaptive", "topk", "topk_per_frame", "strided", "threshold", "interleave"}
    assert sum(c["runs"] is not None for c in made) > 10 and sum(c["anchor"] is not None for c in made) > 100
    return made


def in_lens(expression: str, data: Any, folder: Any) -> Any:
    """An expression's value, with the viewer's modules as `lens`."""
    return evaluated(script(), expression, data, folder)


def evaluated(before: str, expression: str, data: Any, folder: Any) -> Any:
    """An expression's value behind a script: in node where there is one, else in the browser."""
    if shutil.which("node"):
        return in_node(expression, data, folder, before)
    return evaluate_alone(f"(data) => {{ {before} return {expression}; }}", data)


def in_node(expression: str, data: Any, tmp_path: Any, before: str = "") -> Any:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on PATH; the browser test covers the same")
    (tmp_path / "data.json").write_text(json.dumps(data))
    program = f"const data = JSON.parse(require('fs').readFileSync('data.json', 'utf8'));\n{before or script()}\n"
    (tmp_path / "run.js").write_text(f"{program}console.log(JSON.stringify({expression}));")
    done = subprocess.run([node, "run.js"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_same_decisions_in_node(cases: list[dict[str, Any]], tmp_path: Any) -> None:
    assert in_node("failures(data)", cases, tmp_path) == []


@pytest.mark.browser
def test_same_decisions_in_the_browser(cases: list[dict[str, Any]]) -> None:
    assert evaluate_alone(f"(data) => {{ {script()} return failures(data); }}", cases) == []


def test_same_hash_and_ranking(tmp_path: Any) -> None:
    seeds = [0, 1, 2**31, 2**32 - 1]
    data = [{"seed": s, "n": 500} for s in seeds]
    made = in_node("data.map((d) => Array.from(lens.tieHash(d.n, d.seed)))", data, tmp_path)
    assert made == [tie_hash(500, s).tolist() for s in seeds]
    zeros = Scores(torch.zeros(300), "ties")
    order = in_node("Array.from(lens.ranking(new Float32Array(300), null, 5))", None, tmp_path)
    assert order == ranking(zeros, 5).tolist()


def test_run_lengths_come_in_token_order(tmp_path: Any) -> None:
    mask = [1, 1, 0, 0, 0, 0, 1, 0]  # two columns: kept at t = 0 and 3, and at t = 0
    made = in_node("Array.from(lens.runLengths(Uint8Array.from(data), { t: 4, h: 1, w: 2 }))", mask, tmp_path)
    assert made == run_lengths(np.array(mask, bool), Grid(4, 1, 2, 1, 16)).tolist() == [3, 4, 0, 0, 0, 0, 1, 0]


def interleaved_trace(spec: str) -> Any:
    return run(toys.clip(7), encoder=toys.frame_cls(residual=1), selector=spec, cache=False)


TRACES = {
    "rlt": toy_trace(),
    "rlt-0.5": toy_trace(tau=0.5),
    "frames": frame_trace(),
    "interleaved": interleaved_trace("residualvit:n=3,p=0.6,drop=random"),
    "coarse": interleaved_trace("residualvit:p=0,drop=center,scale=0.5,residual=off"),
}


@pytest.mark.parametrize("trace", TRACES.values(), ids=TRACES)
def test_a_payload_gives_the_traces_decision_cost_and_spec(trace: Any, tmp_path: Any) -> None:
    (tmp_path / "payload.bin").write_bytes(payload(trace))
    data = in_node(
        """(() => {
          const raw = require('fs').readFileSync('payload.bin');
          const pack = lens.unpack(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length));
          const stages = lens.stagesOf(pack);
          const keep = lens.decision(stages, pack.manifest);
          const counts = lens.perTubelet(keep.mask, pack.manifest.grid[1] * pack.manifest.grid[2]);
          return { mask: Array.from(keep.mask), runs: keep.runs && Array.from(keep.runs), counts,
                   gmacs: lens.gmacs(counts, pack.manifest, keep),
                   anchor: keep.anchor && Array.from(keep.anchor), spec: lens.planSpec(stages) };
        })()""",
        None,
        tmp_path,
    )
    assert data["mask"] == trace.keep.mask.int().tolist()
    assert data["runs"] == (None if trace.keep.run_length is None else trace.keep.run_length.tolist())
    assert data["anchor"] == (None if trace.keep.anchor is None else trace.keep.anchor.tolist())
    assert data["counts"] == trace.keep.per_frame
    assert data["gmacs"] == pytest.approx(trace.report.reduced.total, rel=1e-12)
    assert data["spec"] == str(parse_plan(trace.request.plan))


MERGED = """data.map((spec) => {
  const raw = require('fs').readFileSync('payload.bin');
  const pack = lens.unpack(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length));
  const stages = lens.stagesOf(pack);
  for (const [name, text] of Object.entries(lens.parsed(spec)[0].values)) {
    const knob = stages[0].knobs.find((k) => k.name === name);
    stages[0].setting[name] = ['int', 'float'].includes(knob.kind) ? Number(text) : text;
  }
  const keep = lens.decision(stages, pack.manifest);
  const counts = lens.perTubelet(keep.mask, pack.manifest.grid[1] * pack.manifest.grid[2]);
  return { gmacs: lens.gmacs(counts, pack.manifest, keep), ...lens.merging(counts, pack.manifest, keep),
           spec: lens.planSpec(stages, pack.manifest.report.merger) };
})"""


@pytest.mark.parametrize(
    ("encoder", "first", "specs"),
    [
        (toys.space_time(), "uniform:keep=0.5", ["uniform:keep=0.1", "uniform:keep=0.5", "uniform:keep=1"]),
        (toys.frame_cls(residual=1), "residualvit:n=2,p=0.3,drop=uniform",
         [f"residualvit:n={n},p={p},drop=uniform,residual={r}"
          for n, p, r in ((2, 0.3, "on"), (3, 0.7, "off"), (1, 0.5, "zero"))]),
    ],
    ids=["whole", "interleaved"],
)  # fmt: skip
def test_behind_a_merger_the_cost_follows_the_sliders(encoder: Any, first: str, specs: list[str], tmp_path: Any) -> None:
    run = lambda plan: pipeline.run(toys.clip(8), encoder=encoder, selector=plan, merger="tome:r=2")  # noqa: E731
    (tmp_path / "payload.bin").write_bytes(payload(run(first)))
    for made, spec in zip(in_node(MERGED, specs, tmp_path), specs, strict=True):
        trace = run(spec)
        assert made["gmacs"] == pytest.approx(trace.report.reduced.total, rel=1e-5), spec
        assert made["own"] == pytest.approx(cost_of(encoder, trace.keep, ToMe(2))[1], abs=1e-8)
        assert made["spec"] == trace.request.way == f"{trace.request.plan}+tome:r=2"
        if trace.keep.anchor is None:
            assert made["left"] == trace.report.tokens_left
            assert made["mean"] / trace.grid.n == pytest.approx(share_in_blocks(trace))


SPECS = (
    "rlt",
    "rlt:tau=0.15",
    "rlt:tau=0.105",
    "random:keep=0.29,per=frame",
    "everything",
    "rlt:tau=0.1+random:keep=0.5",
    "oracle:keep=0.3,label=two things a%2Cb=c",
    "oracle:label=what? (1/2)%2B3*%25",
    "residualvit",
    "residualvit:n=3,p=0.5,drop=attention:block=1,residual=zero,cuts=off,scale=0.5",
    "random:keep=1.0",
)


@pytest.mark.parametrize("spec", SPECS)
def test_specs_are_written_as_python_writes_them(spec: str, tmp_path: Any) -> None:
    plan = parse_plan(spec)
    stages = [
        {"name": s.name, "knobs": [knob_json(k) for k in knobs_of(type(s))],
         "setting": {k.name: getattr(s, k.name) for k in knobs_of(type(s))}}
        for s in plan.selectors
    ]  # fmt: skip
    assert in_node("lens.planSpec(data)", stages, tmp_path) == str(plan)


def test_every_bundled_selector_redraws_in_the_browser() -> None:
    for name, cls in plugins("selector").items():
        assert controls(cls())["live"], f"{name} would have to ask the server at every slider move"
    assert all(stage["live"] for stage in manifest(frame_trace())["stages"])
