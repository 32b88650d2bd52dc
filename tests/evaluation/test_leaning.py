"""What the residual token adds, frame by frame, and what a frame costs: four figures that say why they differ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import toys
from patchlens import pipeline
from patchlens.encoders.costs import cost_of
from patchlens.evaluation.leaning import leaning
from patchlens.metrics import cosine

FRAMES = 8


def encoder(residual: int = 1) -> Any:
    return toys.frame_cls(classes=None, residual=residual, grid=(1, 4, 4))


def trace_of(plan: str, model: Any, clip: Any = None, merger: str | None = None) -> Any:
    clip = toys.clip(FRAMES, seed=3, size=(16, 16)) if clip is None else clip
    return pipeline.run(clip, encoder=model, selector=plan, merger=merger, cache=None)


@pytest.mark.parametrize("own", ["on", "off", "zero"])
def test_with_and_without_are_the_runs_of_their_own(own: str) -> None:
    model = encoder()
    runs = {way: trace_of(f"residualvit:n=2,p=0.5,drop=random,residual={way}", model) for way in ("on", "off", "zero")}
    found = leaning(runs[own], model)
    given = "zero" if own == "zero" else "on"
    for name, way in (("with", given), ("without", "off")):
        assert found[name] == pytest.approx(runs[way].report.frame_cosine, abs=2e-6)
    assert found["token"] == given and found["intra"] == [t % 3 == 0 for t in range(FRAMES)]
    assert found["adds"] == pytest.approx(np.subtract(found["with"], found["without"]), abs=2e-6)
    assert all(abs(x) < 1e-5 for x, whole in zip(found["adds"], found["intra"], strict=True) if whole)
    assert any(abs(x) > 1e-3 for x in found["adds"]), "the token does something to P-frames"
    assert found["held"] == pytest.approx(trace_of("skip:n=2", model).report.frame_cosine, abs=2e-6)


def test_an_encoder_without_a_tokenizer_has_nothing_to_add() -> None:
    model = encoder(residual=0)
    found = leaning(trace_of("residualvit:p=0.5,drop=random", model), model)
    assert found["token"] is None and found["with"] is None and found["adds"] is None
    assert min(found["without"]) < 0.999


@pytest.mark.parametrize(
    ("plan", "merger"),
    [
        ("residualvit:n=2,p=0.5,drop=random", None),
        ("residualvit:n=3,p=0.85,drop=uniform,residual=off", None),
        ("residualvit:n=2,p=0,drop=random,scale=0.5", None),
        ("residualvit:n=2,p=0,drop=random", "tome:r=2"),
    ],
)
def test_torch_counts_what_the_closed_form_says_of_the_clips_frames(plan: str, merger: str | None) -> None:
    model = encoder()
    trace = trace_of(plan, model, merger=merger)
    gmacs = leaning(trace, model)["gmacs"]
    assert gmacs["counted"] == pytest.approx(gmacs["clip"], rel=1e-6)
    cost, own = cost_of(model, trace.keep, trace.request.merger and pipeline.parse_merger(trace.request.merger))
    assert FRAMES * gmacs["clip"] == pytest.approx(cost.total + own, rel=1e-6)
    assert FRAMES * gmacs["full"] == pytest.approx(trace.report.full.total, rel=1e-6)


def test_the_papers_short_form_and_what_it_leaves_out() -> None:
    model = encoder()
    gmacs = leaning(trace_of("residualvit:n=2,p=0.5,drop=random", model), model)["gmacs"]
    assert gmacs["short"] == pytest.approx(gmacs["full"] * (1 + 0.5 * 2) / 3, abs=2e-9)
    assert gmacs["group"] > gmacs["short"], "class and residual token, its layer, every patch embedded"
    assert gmacs["clip"] > gmacs["group"], "three I-frames among eight, not one in three"
    half = leaning(trace_of("residualvit:n=2,p=0,drop=random,scale=0.5", model), model)["gmacs"]
    assert half["short"] == pytest.approx(half["full"] * (1 + 0.25 * 2) / 3, abs=2e-9)


def test_a_whole_group_costs_in_a_clip_what_it_costs_alone() -> None:
    model = encoder()
    trace = trace_of("residualvit:n=3,p=0.7,drop=random", model, toys.clip(8, seed=4, size=(16, 16)))
    gmacs = leaning(trace, model)["gmacs"]
    assert gmacs["clip"] == pytest.approx(gmacs["group"], rel=1e-9)


def test_cuts_are_the_frames_that_begin_a_shot() -> None:
    model = encoder(residual=0)
    clip = toys.clip(6, seed=5, size=(16, 16), grey=2)
    frames = clip.frames.clone()
    frames[4:] = 255 - frames[4:]
    trace = trace_of("residualvit:n=5,p=0.5,drop=random", model, replace(clip, frames=frames, display=frames))
    found = leaning(trace, model)
    assert found["cuts"] == [4] and found["intra"] == [True, False, False, False, True, False]


def test_only_schedules_can_be_asked() -> None:
    model = encoder()
    with pytest.raises(ValueError, match="take residualvit"):
        leaning(trace_of("random:keep=0.5", model), model)


def test_the_merged_plan_keeps_its_merger_without_the_token() -> None:
    model = encoder()
    trace = trace_of("residualvit:n=2,p=0,drop=random", model, merger="tome:r=2")
    bare = trace_of("residualvit:n=2,p=0,drop=random,residual=off", model, merger="tome:r=2")
    near = cosine(bare.reference.frames, bare.encoding.frames)
    assert leaning(trace, model)["without"] == pytest.approx(near.tolist(), abs=2e-6)
    assert not torch.equal(trace.encoding.frames, bare.encoding.frames)
