"""A sentence asked of a finished run: the grounding benchmark's own rules, on the run's frames and features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from patchlens import pipeline
from patchlens.data.scenes import scene, scene_frames
from patchlens.evaluation.grounding import answer, text_features
from patchlens.evaluation.moments import located, moments
from patchlens.evaluation.searched import searched
from patchlens.pipeline import load_encoder
from patchlens.selectors.residualvit import ResidualViT
from patchlens.types import Clip
from traces import toy_trace

PLAN = "residualvit:n=2,p=0.85,drop=uniform"


def clip_of(frames: int = 24) -> Clip:
    """Two events of a held-out scene, three frames a second."""
    video = scene(4, 3, "test")
    return Clip.from_frames(scene_frames(video, 65 + np.arange(frames) / 3, 96), 3.0, "two events", start=65.0)


def test_full_and_plan_are_what_the_command_finds() -> None:
    encoder, clip = load_encoder("tiny-clip"), clip_of()
    trace = pipeline.run(clip, encoder=encoder, selector=PLAN, cache=None)
    found = searched(trace, encoder, " a large striped red rectangle ")
    assert found["sentence"] == "a large striped red rectangle" and found["way"] == trace.request.way
    assert found["fps"] == pytest.approx(3)
    for way, selector in (("full", None), ("plan", ResidualViT(2, 0.85, "uniform"))):
        said = answer(encoder, [clip], found["sentence"], selector, 3.0)
        assert found[way]["similarities"] == pytest.approx(said["similarities"], abs=2e-5)
        for mine, theirs in zip(found[way]["moments"], said["moments"], strict=True):
            assert mine == pytest.approx(theirs, abs=1e-4)
    best = found["full"]["moments"][0]
    assert best["end"] > 69.91 and best["start"] > 66, "the rectangle comes after the cut at 69.91 s"


def test_moments_lie_on_the_true_clock_where_frames_are_uneven() -> None:
    times = np.array([10.0, 10.5, 11.5, 12.0, 14.0])
    alike = np.array([0.1, 0.9, 0.9, 0.1, 0.1])
    (found,) = located(alike, times, 1.0)
    assert (found["start"], found["end"]) == (10.5, 12.0)
    (plain,) = located(alike, 10 + np.arange(5) / 2, 2.0)
    (rule,) = moments(alike, 2.0, 2.5, least=1)
    assert (plain["start"], plain["end"], plain["score"]) == (10 + rule.start, 10 + rule.end, rule.score)


def test_what_cannot_be_asked_is_one_sentence() -> None:
    encoder = load_encoder("tiny-clip")
    trace = pipeline.run(clip_of(6), encoder=encoder, selector=PLAN, cache=None)
    for sentence, words in (("", "empty"), ("a red dog", "'dog'")):
        with pytest.raises(ValueError, match=words):
            searched(trace, encoder, sentence)
    with pytest.raises(ValueError, match="sees whole clips"):
        searched(toy_trace(), encoder, "a red star")


def test_the_plans_features_are_asked_and_not_the_full_ones() -> None:
    encoder = load_encoder("tiny-clip")
    trace = pipeline.run(clip_of(6), encoder=encoder, selector=PLAN, cache=None)
    turned = replace(trace, encoding=replace(trace.encoding, frames=-trace.reference.frames))
    found = searched(turned, encoder, "a red star")
    assert found["plan"]["similarities"] == pytest.approx([-x for x in found["full"]["similarities"]], abs=2e-6)
    said = text_features(encoder, ["a red star"])[0]
    assert found["full"]["similarities"] == pytest.approx((trace.reference.frames @ said).tolist(), abs=1e-5)
    assert torch.allclose(said.norm(), torch.ones(()))
