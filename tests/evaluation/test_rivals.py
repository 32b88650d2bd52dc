"""Your tokens against the oracle's, LITE's and random ones at the same count."""

from __future__ import annotations

import json

import patchlens as pl
import pytest
import torch
import toys
from patchlens.evaluation.rivals import rivals
from patchlens.keep import TopK, keep_of
from patchlens.metrics import probabilities
from patchlens.types import Grid, Scores

CLIP = toys.clip(8, seed=3)
TOKENS = "3-9.20.41-47"  # 15


def test_all_choose_as_many_tokens_as_you_and_are_run_as_a_plan_would_be(space_time):
    trace = pl.run(CLIP, encoder=space_time, selector=f"chosen:tokens={TOKENS}", label="still", cache=False)
    found = rivals(trace, space_time, draws=5)
    assert json.loads(json.dumps(found)) == found
    assert found["kept"] == trace.keep.count == 15 and found["of"] == "probability"
    assert found["yours"]["value"] == pytest.approx(float(probabilities(trace.encoding.logits)[4]), abs=1e-5)
    oracle = pl.run(CLIP, encoder=space_time, selector="oracle:keep=0.25", label="still", cache=False)
    others = {other["name"]: other for other in found["others"]}
    assert set(others) == {"oracle", "random"}, "LITE needs a trained selector, which a toy has not"
    assert others["oracle"]["value"] == pytest.approx(float(probabilities(oracle.encoding.logits)[4]), abs=1e-5)
    assert others["random"]["low"] <= others["random"]["value"] <= others["random"]["high"]
    assert others["random"]["low"] < others["random"]["high"] and 0 <= others["random"]["beaten"] <= 1


def test_the_shipped_lite_is_a_rival_on_the_bundled_model():
    clip = toys.clip(16, seed=4, size=(64, 64))
    trace = pl.run(clip, encoder="tiny-video", selector="chosen:tokens=0-63", cache=False)
    found = rivals(trace, pl.load_encoder("tiny-video"), draws=1)
    assert [other["name"] for other in found["others"]] == ["oracle", "lite", "random"] and found["kept"] == 64


def test_an_encoder_without_classes_is_judged_by_its_cosine():
    frame_encoder = toys.frame_cls(classes=None)
    trace = pl.run(CLIP, encoder=frame_encoder, selector="chosen:tokens=0-44", cache=False)
    found = rivals(trace, frame_encoder, draws=2)
    assert found["of"] == "cosine" and found["full"] == pytest.approx(1, abs=1e-5)
    assert [other["name"] for other in found["others"]] == ["random"] and found["yours"]["right"] is None


def test_keeping_all_tokens_ties_with_everybody(space_time):
    trace = pl.run(CLIP, encoder=space_time, selector="chosen", label="still", cache=False)
    found = rivals(trace, space_time, draws=3)
    values = [found["yours"]["value"], *(other["value"] for other in found["others"])]
    assert values == pytest.approx([found["full"]] * len(values), abs=1e-5)


def test_chosen_tokens_are_kept_and_what_is_no_token_is_refused(space_time):
    trace = pl.run(CLIP, encoder=space_time, selector=f"chosen:tokens={TOKENS}", cache=False)
    kept = trace.keep.mask.nonzero().flatten().tolist()
    assert kept == [*range(3, 10), 20, *range(41, 48)]
    assert pl.run(CLIP, encoder=space_time, selector="chosen:tokens=none", cache=False).keep.count == 1
    for tokens, words in (("60", "0 to 59"), ("9-3", "0 to 59"), ("1;2", "ranges")):
        with pytest.raises(ValueError, match=words):
            pl.run(CLIP, encoder=space_time, selector=f"chosen:tokens={tokens}", cache=False)


def test_a_share_of_k_tokens_is_k_tokens():
    for n in (60, 512, 1568):
        scores = Scores(torch.rand(n), "any")
        for k in range(1, n + 1, 7):
            assert keep_of([(scores, TopK(k / n))], Grid(1, 1, n, 1, 8), 0).count == k
