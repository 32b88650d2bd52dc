"""The residual room's figures in the browser are Python's: strategies swapped without asking, and what a frame costs."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
import torch
import toys
from patchlens import pipeline
from patchlens.evaluation.leaning import leaning
from patchlens.evaluation.moments import iou
from patchlens.selectors.residualvit import READY
from patchlens.types import MotionMap
from patchlens.views import bundle
from patchlens.views.player import manifest, payload
from test_keep_js import in_lens

OFFER = (
    "unpack, fromBase64, stagesOf, decision, planSpec, perTubelet, gmacs, merging, rescoring, costPerFrame, overlapOfSpans"
)
DRIVER = """
function looked({ payload, settings }) {
  const pack = lens.unpack(lens.fromBase64(payload));
  const stages = lens.stagesOf(pack);
  return settings.map((setting) => {
    Object.assign(stages[0].setting, setting);
    const keep = lens.decision(stages, pack.manifest);
    const [, h, w] = pack.manifest.grid;
    const counts = lens.perTubelet(keep.mask, h * w);
    const gmacs = lens.gmacs(counts, pack.manifest, keep);
    const model = { manifest: pack.manifest, keep, counts, size: h * w, stages, gmacs };
    return { mask: Array.from(keep.mask), spec: lens.planSpec(stages, pack.manifest.report.merger), unit: stages[0].unit,
             more: lens.rescoring(stages), cost: lens.costPerFrame(model) };
  });
}
"""


def packed_bytes(data: bytes) -> str:
    return base64.b64encode(data).decode()


def in_viewer(expression: str, data: Any, folder: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An expression's value with the room's modules at hand."""
    entries = [bundle.VIEWER / name for name in ("player.js", "residual_room.js")]
    files = dict.fromkeys(file for entry in entries for file in bundle.ordered(entry))
    script = f"const lens = (() => {{ {bundle.joined(files)}\nreturn {{ {OFFER} }}; }})();\n{DRIVER}"
    monkeypatch.setattr("test_keep_js.script", lambda: script)
    return in_lens(expression, data, folder)


def run(drop: str, more: str = "", merger: str | None = None, encoder: Any = None, moving: bool = False) -> Any:
    clip = toys.clip(8, seed=3, size=(16, 16))
    if moving:
        values = torch.rand(8, 16, 16, generator=torch.Generator().manual_seed(4))
        clip = replace(clip, motion=MotionMap(values, "codec vectors", 0.0))
    model = encoder or toys.frame_cls(classes=None, residual=1, grid=(1, 4, 4))
    return pipeline.run(clip, encoder=model, selector=f"residualvit:n=2,p=0.6,drop={drop}{more}", merger=merger, cache=None)


@pytest.mark.parametrize("drop", ["center", "saliency", "motion"])
def test_another_strategy_is_chosen_without_asking(drop: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    moving = drop == "motion"
    trace = run(drop, moving=moving)
    ways = [*dict.fromkeys([drop, *(READY if moving else ("random", "uniform", "center"))]), drop]
    data = {"payload": packed_bytes(payload(trace)), "settings": [{"drop": way} for way in ways]}
    for found, way in zip(in_viewer("looked(data)", data, tmp_path, monkeypatch), ways, strict=True):
        wanted = run(way, moving=moving)
        assert found["mask"] == wanted.keep.mask.int().tolist(), way
        assert found["spec"] == wanted.request.plan and found["unit"] == wanted.scores.unit
        assert found["more"] == pytest.approx(wanted.report.selector_gmacs - trace.report.selector_gmacs, abs=1e-9)


def test_what_comes_along_is_ready_without_a_model_or_an_optical_flow() -> None:
    (stage,) = manifest(run("center"))["stages"]
    assert list(stage["swap"]["values"]) == ["center", "random", "uniform"], "no motion where the clip brought none"
    assert next(k for k in stage["knobs"] if k["name"] == "drop")["options"] == ["center", "random", "uniform"]
    assert stage["swap"]["values"]["uniform"]["rule"] == {"even": True} and stage["live"]
    (moved,) = manifest(run("motion"))["stages"]
    assert list(moved["swap"]["values"]) == [way for way in READY if way != "motion:steps=4"], "nor a second flow"
    (brought,) = manifest(run("motion", moving=True))["stages"]
    assert list(brought["swap"]["values"]) == list(READY)
    assert "swap" not in manifest(pipeline.run(toys.clip(8), encoder=toys.space_time(), selector="rlt"))["stages"][0]


@pytest.mark.parametrize(
    ("more", "merger", "setting"),
    [
        ("", None, {"n": 3, "p": 0.85}),
        ("", None, {"residual": "off", "n": 1}),
        ("", None, {"p": 0.0, "scale": "0.5"}),
        ("", "tome:r=2", {"p": 0.0, "n": 2}),
    ],
)
def test_the_cost_of_a_frame_follows_the_sliders(
    more: str, merger: str | None, setting: dict[str, Any], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = toys.frame_cls(classes=None, residual=1, grid=(1, 4, 4))
    trace = run("random", more, merger, encoder)
    data = {"payload": packed_bytes(payload(trace)), "settings": [setting]}
    (found,) = in_viewer("looked(data)", data, tmp_path, monkeypatch)
    plan, _, _ = found["spec"].partition("+")
    clip = toys.clip(8, seed=3, size=(16, 16))
    there = pipeline.run(clip, encoder=encoder, selector=plan, merger=merger, cache=None)
    wanted = leaning(there, encoder)["gmacs"]
    assert set(found["cost"]) == set(wanted) - {"counted"}
    for name, value in found["cost"].items():
        assert value == pytest.approx(wanted[name], rel=1e-5, abs=2e-9), name


def test_spans_overlap_as_in_the_benchmark(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [((0, 2), (1, 3)), ((0, 1), (2, 3)), ((1, 1), (1, 1)), ((0, 4), (1, 2))]
    data = [[{"start": a, "end": b} for a, b in pair] for pair in pairs]
    found = in_viewer("data.map(([a, b]) => lens.overlapOfSpans(a, b))", data, tmp_path, monkeypatch)
    assert found == pytest.approx([iou(*pair) for pair in pairs])
