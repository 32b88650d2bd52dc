"""`train tiny-video --head cls`: where a class token starts, what goes on, and the card that says so."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from patchlens.cli import cli
from patchlens.encoders import reference
from patchlens.encoders.catalog import BUNDLED, CATALOG, on_disk
from patchlens.encoders.weights import digest
from patchlens.training.controls import card_text
from patchlens.training.loop import fit
from patchlens.training.tiny_video import Recipe, first_model
from patchlens.training.tiny_video_card import finish
from patchlens.training.tiny_video_run import TinyVideo, run_training, with_class_token
from typer.testing import CliRunner

CPU, SHIPPED = torch.device("cpu"), BUNDLED / "tiny-video-cls.safetensors"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A step from the bundled mean-pooled weights, its training, and the file and card that it wrote."""
    start, folder = reference.load("tiny-video"), tmp_path_factory.mktemp("cls")
    recipe = Recipe.going_on(start.facts["sha256"], clips=8, batch=8, head="cls")
    training = TinyVideo(recipe, CPU, held_out=8, start=start.vit.state_dict())
    before = {name: x.clone() for name, x in training.vit.state_dict().items()}
    fit(training, folder)
    return start.vit, before, finish(folder, training.vit, recipe, "float32", test=16, validation=16)


def test_the_class_token_is_new_and_the_rest_is_kept(trained):
    start, before, _ = trained
    own = first_model(0, "cls")[0].prefix
    assert torch.equal(before["prefix"][0], own[0]) and torch.equal(before["prefix"][1:], start.prefix)
    assert all(torch.equal(x, before[name]) for name, x in start.state_dict().items() if name != "prefix")


def test_weights_that_have_one_are_taken_as_they_are_and_others_refused():
    cls, mean = (first_model(1, head)[0] for head in ("cls", "mean"))
    state = cls.state_dict()
    assert with_class_token(state, cls) is state
    with pytest.raises(ValueError, match="go on from a class-token model with head cls"):
        with_class_token(cls.state_dict(), mean)


def test_the_file_loads_by_its_own_name_and_the_card_says_what_was_done(trained):
    path = trained[-1]
    assert path.name == "tiny-video-cls.safetensors"
    loaded = reference.load("tiny-video-cls", str(path))
    assert loaded.vit.config == reference.CLS_CONFIG
    blocks = loaded.facts["oracle"]["blocks"]
    assert "5" not in blocks.values(), "the last block has no map"
    text = path.with_suffix(".md").read_text()
    assert text.startswith("# tiny-video-cls") and "answers from a class token" in text
    assert "`patchlens train tiny-video --clips 8 --seed 0 --init bundled --head cls`: 1 steps" in text
    assert "starts at random; their head stays" in text and "per-token losses" not in text


def test_a_head_that_there_is_not_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="head is 'max'; choose mean or cls"):
        run_training(tmp_path, clips=64, head="max")


def test_the_command_hands_the_head_on(monkeypatch, tmp_path):
    asked = {}
    monkeypatch.setattr("patchlens.training.tiny_video_run.run_training", lambda out, **more: asked.update(more))
    result = CliRunner().invoke(cli, ["train", "tiny-video", "--head", "cls", "--init", "bundled", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert asked["head"] == "cls" and asked["init"] == "bundled"


def test_a_recipe_of_another_head_is_another_training():
    recipe = Recipe(clips=8, batch=8)
    first, second = (TinyVideo(replace(recipe, head=h), CPU).identity for h in ("mean", "cls"))
    assert first != second and json.dumps(first)


@pytest.mark.skipif(not on_disk(CATALOG["tiny-video-cls"]), reason="tiny-video-cls's weights are not there")
def test_the_shipped_card_is_of_the_shipped_weights_and_they_went_on_from_the_bundled_ones():
    assert SHIPPED.with_suffix(".md").read_text() == card_text(SHIPPED)
    card = reference.carded.card_of(SHIPPED)
    assert card["recipe"]["init"] == digest(BUNDLED / "tiny-video.safetensors") and card["start"] == "bundled"
    assert card["accuracy"]["interval"][0] > 0.9
