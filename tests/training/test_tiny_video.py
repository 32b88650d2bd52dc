"""Training tiny-video: a kill and a restart give the run that was never killed; the card says what was measured."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import patchlens as pl
import pytest
import torch
from patchlens.data.motions import batch
from patchlens.training import tiny_video_run as run
from patchlens.training.tiny_video import CONFIG, Clips, Recipe, actor_share, choose, rate
from patchlens.training.tiny_video_card import finish
from safetensors import safe_open

RECIPE = Recipe(clips=24, batch=4)


class Killed(Exception):
    """Stands for SIGKILL."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of six steps that nothing disturbed, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    return run.train(folder, RECIPE, every=2, check=100), folder


def test_a_killed_run_ends_as_if_it_had_not_been(whole, tmp_path, monkeypatch):
    real, seen = run.optimise, []

    def dies_in_step_five(*args):
        seen.append(1)
        if len(seen) == 5:
            raise Killed
        return real(*args)

    monkeypatch.setattr(run, "optimise", dies_in_step_five)
    with pytest.raises(Killed):
        run.train(tmp_path, RECIPE, every=2, check=100)
    monkeypatch.setattr(run, "optimise", real)
    resumed = run.train(tmp_path, RECIPE, every=2, check=100)
    for (name, a), b in zip(whole[0].state_dict().items(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, msg=name)
    rows = [list(csv.DictReader((f / "log.csv").open())) for f in (whole[1], tmp_path)]
    assert [r["step"] for r in rows[0]] == [r["step"] for r in rows[1]] == ["2", "4", "6"]


def test_weights_move_and_no_partial_file_is_left(whole):
    model, folder = whole
    torch.manual_seed(RECIPE.seed)
    start = run.initialise(run.ViT(CONFIG))
    assert not torch.equal(model.blocks[0].mlp.fc1.weight, start.blocks[0].mlp.fc1.weight)
    assert sorted(p.name for p in folder.iterdir()) == ["last.pt", "log.csv"]


def test_the_finished_file_loads_and_carries_its_card(whole, tmp_path):
    path = finish(tmp_path, whole[0], RECIPE, test=32, validation=16)
    with safe_open(str(path), "pt") as file:
        card = json.loads(file.metadata()["card"])
    frames, labels, _ = batch(range(32), seed=3, size=64)
    encoder = pl.load_encoder("tiny-video", str(path), device="cpu")
    traces = [pl.run(pl.Clip.from_frames(f, fps=8.0), encoder=encoder, selector="everything", cache=None) for f in frames]
    right = sum(int(t.encoding.logits.argmax()) == y for t, y in zip(traces, labels, strict=True))
    assert card["accuracy"]["top1"] == pytest.approx(right / 32)
    assert len(card["oracle_by_block"]) == CONFIG.depth and 0 <= card["oracle_block"] < CONFIG.depth
    text = (tmp_path / "tiny-video.md").read_text()
    assert f"{100 * card['accuracy']['top1']:.1f} %" in text and "uncovering something" in text
    assert traces[0].encoder["domain"]["limit"] > 0


def test_actor_share_is_the_mean_of_the_mask_under_each_token():
    _, _, actors = batch([5], seed=9)
    share = actor_share(actors)[0].reshape(CONFIG.grid)
    t, y, x = 3, 2, 6
    assert share[t, y, x] == pytest.approx(actors[0, 6:8, 16:24, 48:56].mean())


def test_random_choice_favours_nothing_and_biased_choice_finds_change():
    patches = torch.zeros(64, CONFIG.tokens, CONFIG.patch_dim, dtype=torch.uint8)
    patches[:, 200:210] = 255  # differs from the tubelet before
    generator = torch.Generator().manual_seed(0)
    fair, biased = ((choose(patches, 128, b, generator) == 205).any(1).float().mean() for b in (False, True))
    assert abs(fair - 0.25) < 0.17 and biased > 0.4


@pytest.mark.parametrize("control", ["shuffled", "single"])
def test_controls_destroy_time_and_nothing_else(control):
    frames, _, _ = batch(range(2), seed=4)
    out = Clips(replace(RECIPE, **{control: True}), 0).control(frames, 1)
    original = {f.tobytes() for f in frames[0]}
    assert {f.tobytes() for f in out[0]} <= original
    assert (out != frames).any()


def test_the_rate_warms_up_and_ends_at_zero():
    r = Recipe(clips=64_000)
    assert rate(1, r) < rate(15, r) < 1 == rate(400, r)
    assert rate(r.steps, r) == 0
