"""How an answer holds by kept share: each order's curve is its plan's, random is its draws', and what a clip needs."""

from __future__ import annotations

import json

import patchlens as pl
import pytest
import toys
from patchlens.evaluation.distribution import gini
from patchlens.evaluation.holding import holding, needs
from patchlens.metrics import probabilities
from patchlens.specs import parse_plan

CLIP = toys.clip(8, seed=3)
SHARES = (0.1, 0.25, 0.5)


def test_every_curve_is_what_its_plan_gives_at_that_share(space_time):
    trace = pl.run(CLIP, encoder=space_time, selector="rlt:tau=0.1", label="still", cache=False)
    others = [parse_plan(spec).selectors[0] for spec in ("uniform", "saliency")]
    found = holding(trace, space_time, others, shares=SHARES, draws=3)
    assert json.loads(json.dumps(found)) == found
    assert set(found["orders"]) == {"oracle", "rlt", "uniform", "saliency"} and found["label"] == "still" and found["given"]
    specs = {"oracle": "oracle:label=predicted,keep={}", "rlt": "rlt-topk:keep={}", "uniform": "uniform:keep={}"}
    for name, spec in specs.items():
        for i, share in enumerate(SHARES):
            alone = pl.run(CLIP, encoder=space_time, selector=spec.format(share), label="still", cache=False)
            wanted = float(probabilities(alone.encoding.logits)[4])
            assert found["orders"][name]["value"][i] == pytest.approx(wanted, abs=1e-4), (name, share)
            assert found["orders"][name]["right"][i] is (int(alone.encoding.logits.argmax()) == 4)
    oracle = pl.run(CLIP, encoder=space_time, selector="oracle:label=predicted", label="still", cache=False)
    assert found["value"]["gini"] == pytest.approx(gini(oracle.scores.values.numpy()), abs=1e-4)
    assert found["value"]["lorenz"][0] == 0 and found["value"]["lorenz"][-1] == 1


def test_random_is_the_mean_of_its_draws_and_the_same_again(space_time):
    trace = pl.run(CLIP, encoder=space_time, selector="random", cache=False)
    first, again = (holding(trace, space_time, shares=SHARES, draws=4) for _ in range(2))
    assert first == again and set(first["orders"]) == {"oracle"} and first["full"]["right"] is True
    assert not first["given"], "the model's own answer is no truth"
    for low, mean, high, right in zip(*(first["random"][k] for k in ("low", "value", "high", "right")), strict=True):
        assert low <= mean <= high and right in (0, 0.25, 0.5, 0.75, 1)


def test_another_label_than_the_answer_is_wrong_in_full(space_time):
    trace = pl.run(CLIP, encoder=space_time, selector="random", cache=False)
    other = next(name for name in space_time.classes if name != trace.report.label)
    found = holding(trace, space_time, label=other, shares=SHARES, draws=2)
    assert found["full"]["right"] is False and found["label"] == other


def test_an_encoder_without_classes_holds_a_cosine():
    frame_encoder = toys.frame_cls(classes=None)
    found = holding(pl.run(CLIP, encoder=frame_encoder, selector="saliency", cache=False), frame_encoder, shares=(0.5,))
    assert found["of"] == "cosine" and found["full"] == {"value": 1.0, "right": None} and found["value"] is None
    assert found["orders"]["saliency"]["right"] == [None] and found["random"]["needs"] is None


def test_what_a_clip_needs_is_where_the_answer_stays():
    shares = (0.1, 0.2, 0.5, 0.9)
    assert needs([False, True, True, True], shares) == 0.2
    assert needs([True, False, True, True], shares) == 0.5, "a lucky guess with few tokens is no need of few"
    assert needs([True, True, True, False], shares) is None
    assert needs([0.5, 0.95, 0.9, 1.0], shares) == 0.2 and needs([None] * 4, shares) is None
    for wrong in ({"draws": 1}, {"shares": (0.0, 0.5)}, {"shares": ()}):
        with pytest.raises(ValueError, match="give at least 2, and numbers between 0 and 1"):
            holding(None, None, **wrong)
