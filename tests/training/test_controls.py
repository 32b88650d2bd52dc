"""The control trainings of tiny-video: measured on their own kind of clips, and told in the card."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from patchlens.encoders.catalog import BUNDLED
from patchlens.encoders.reference import load
from patchlens.encoders.weights import digest
from patchlens.training.controls import add_to_card, card_text, measure_control, section
from patchlens.training.loop import fit
from patchlens.training.optimisers import fading
from patchlens.training.tiny_video import Recipe
from patchlens.training.tiny_video_run import TinyVideo, run_training

SHIPPED = BUNDLED / "tiny-video.safetensors"


def test_the_shipped_card_is_made_from_the_shipped_file():
    assert SHIPPED.with_suffix(".md").read_text() == card_text(SHIPPED)


def test_a_control_is_measured_and_told(tmp_path):
    training = TinyVideo(Recipe(clips=64, single=True), torch.device("cpu"))
    path = measure_control(tmp_path, "single", training, clips=16)
    found = json.loads(path.read_text())
    assert found["accuracy"]["clips"] == 16 and found["accuracy"]["top1"] * 16 == training.right(16, seed=3)
    weights = tmp_path / SHIPPED.name
    shutil.copy(SHIPPED, weights)
    before = weights.read_bytes()
    text = add_to_card(weights, [tmp_path]).read_text()
    rate = f"{100 * found['accuracy']['top1']:.1f} %"
    assert f"| one frame, repeated | {rate}" in text and "64 clips, 1 steps" in text
    assert weights.read_bytes() == before  # results are bound to its digest
    assert add_to_card(weights, []).read_text() == text
    with pytest.raises(ValueError, match="holds no finished control"):
        add_to_card(weights, [tmp_path / "elsewhere"])


@pytest.mark.parametrize(
    ("interval", "said"), [((0.1, 0.35), "holds"), ((0.3, 0.4), "undecided"), ((0.36, 0.5), "does not hold")]
)
def test_the_bar_is_judged_by_the_interval(interval, said):
    trained = {"clips": 83_200, "steps": 1_300, "commit": "abc", "init": ""}
    accuracy = {"top1": sum(interval) / 2, "interval": interval, "clips": 1024}
    *_, row = section([{"control": "shuffled", "accuracy": accuracy, "trained": trained}])
    assert row.endswith(f"| {said} |") and "83,200 clips" in row and "random start" in row


def test_a_control_goes_on_from_weights(tmp_path):
    start = load("tiny-video").vit.state_dict()
    recipe = Recipe.going_on(digest(SHIPPED), clips=8, batch=8, single=True)
    assert fading(0.0, recipe.easy_until) == 0 and recipe.biased_until == 0 and recipe.lr < Recipe().lr
    training = TinyVideo(recipe, torch.device("cpu"), held_out=8, start=start)
    fit(training, tmp_path)
    moved = [float((training.vit.state_dict()[name] - x).abs().max()) for name, x in start.items()]
    assert 0 < max(moved) < 0.05, "one small step from the shipped weights"
    found = json.loads(measure_control(tmp_path, "single", training, clips=8).read_text())
    assert found["trained"]["init"] == digest(SHIPPED)
    with pytest.raises(ValueError, match="no reference model"):
        run_training(tmp_path / "else", clips=64, control="single", init=str(BUNDLED / "tiny-clip-words.json"))
