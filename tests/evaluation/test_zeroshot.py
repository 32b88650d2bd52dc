"""Zero-shot classification: prompts averaged, the nearest class wins, full and interleaved over the same clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from patchlens.data.samples import Footage, Sample, SampleSet
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.tiny_clip import load_tiny_clip
from patchlens.evaluation import zeroshot
from patchlens.evaluation.zeroshot import class_features, classify
from patchlens.selectors.residualvit import ResidualViT
from patchlens.types import Clip


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder("tiny-clip", load_tiny_clip("random"), "cpu", "float32")


def noise(seed: int) -> Clip:
    return Clip.from_frames(np.random.default_rng(seed).integers(0, 255, (4, 96, 96, 3), np.uint8), 2.0)


def broken(wanted: object) -> Footage:
    raise ValueError("cannot be read")


def test_templates_are_averaged(encoder: Encoder) -> None:
    both = class_features(encoder, ["star", "ring"], ["a red {}", "a blue {}"])
    said = encoder.loaded.text.encode_text(["a red ring", "a blue ring"]).mean(0)
    torch.testing.assert_close(both[1], said / said.norm())
    with pytest.raises(ValueError, match="has no {} for the name"):
        class_features(encoder, ["star"], ["a star"])


def test_the_nearest_class_wins(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["box", "ring", "star"]
    clips = {name: noise(i) for i, name in enumerate(names)}
    means = [encoder.encode(encoder.tokens(clips[n])).frames.mean(0) for n in names]
    monkeypatch.setattr(zeroshot, "class_features", lambda *_: torch.stack(means) - torch.stack(means).mean(0))
    samples = [Sample(n, n, lambda wanted, n=n: Footage(clips[n])) for n in names]
    plan = ResidualViT(2, 0.5, "center", cuts="off")
    found = classify(encoder, SampleSet("toys", (*samples, Sample("x", "box", broken))), plan)
    data = found.as_dict()
    assert found.full[:, 0].all() and data["clips"] == 3 and data["skipped"] == ["x: cannot be read"]
    assert data["plan"]["gmacs_per_frame"] < data["full"]["gmacs_per_frame"] and data["plan"]["top5"] == 1
    with pytest.raises(ValueError, match="has no labels"):
        classify(encoder, SampleSet("none", (Sample("y", None, broken),)), None)
