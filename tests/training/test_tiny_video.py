"""Training tiny-video: its clips and tokens, a short run with a restart, and the card that says what was measured."""

from __future__ import annotations

import json
from dataclasses import replace

import patchlens as pl
import pytest
import torch
from patchlens.data.motions import batch
from patchlens.training.checkpoints import rows_of
from patchlens.training.loop import fit
from patchlens.training.ranks import Share
from patchlens.training.tiny_video import CONFIG, Clips, Recipe, actor_share, choose, first_model, rate
from patchlens.training.tiny_video_card import finish
from patchlens.training.tiny_video_run import TinyVideo
from safetensors import safe_open

CPU = torch.device("cpu")
RECIPE = Recipe(clips=24, batch=4)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The model of a run of six steps, two of them after a restart, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    fit(TinyVideo(RECIPE, CPU, held_out=8), folder, every=2, until=4)
    training = TinyVideo(RECIPE, CPU, held_out=8)
    fit(training, folder, every=2)
    return training.vit, folder


def test_the_log_has_a_row_per_report(whole):
    rows = rows_of(whole[1] / "log.csv")
    assert list(rows[0]) == ["step", "clips", "loss", "task", "top1", "top1_half", "clips_per_s", "wall_s", "processor_s"]
    assert [r["step"] for r in rows] == ["2", "4", "6"] and [bool(r["top1_half"]) for r in rows] == [False, True, True]
    assert float(rows[0]["loss"]) > float(rows[0]["task"]) > 0


def test_weights_move_and_no_partial_file_is_left(whole):
    model, folder = whole
    start, _ = first_model(RECIPE.seed)
    assert not torch.equal(model.blocks[0].mlp.fc1.weight, start.blocks[0].mlp.fc1.weight)
    assert {p.name for p in folder.iterdir()} <= {"last.pt", "log.csv", "tensorboard"}


def test_the_finished_file_loads_and_carries_its_card(whole, tmp_path):
    path = finish(tmp_path, whole[0], RECIPE, "float32", test=32, validation=16)
    with safe_open(str(path), "pt") as file:
        card = json.loads(file.metadata()["card"])
    frames, labels, _ = batch(range(32), seed=3, size=64)
    encoder = pl.load_encoder("tiny-video", str(path), device="cpu")
    traces = [pl.run(pl.Clip.from_frames(f, fps=8.0), encoder=encoder, selector="everything", cache=None) for f in frames]
    right = sum(int(t.encoding.logits.argmax()) == y for t, y in zip(traces, labels, strict=True))
    assert card["accuracy"]["top1"] == pytest.approx(right / 32)
    assert encoder.loaded.facts["oracle"] == card["oracle"] and len(card["oracle_table"]) == 4 * (CONFIG.depth + 1) + 1
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
    noise = torch.rand(64, CONFIG.tokens, generator=generator)
    fair, biased = ((choose(patches, 128, b, noise) == 205).any(1).float().mean() for b in (False, True))
    assert abs(fair - 0.25) < 0.17 and biased > 0.4


@pytest.mark.parametrize("control", ["shuffled", "single"])
def test_controls_destroy_time_and_nothing_else(control):
    frames, _, _ = batch(range(2), seed=4)
    out = Clips(replace(RECIPE, **{control: True}), 0).control(frames, 1)
    original = {f.tobytes() for f in frames[0]}
    assert {f.tobytes() for f in out[0]} <= original
    assert (out != frames).any()


@pytest.mark.parametrize("recipe", [RECIPE, replace(RECIPE, single=True), replace(RECIPE, shuffled=True)])
def test_the_shares_of_a_batch_are_the_batch(recipe):
    whole = next(iter(Clips(recipe, 2)))
    for rank in (0, 1):
        part = next(iter(Clips(recipe, 2, Share(rank, 2))))
        assert all((a == b[rank::2]).all() and len(a) == 2 for a, b in zip(part, whole, strict=True))


def test_the_rate_warms_up_and_ends_at_zero():
    r = Recipe(clips=64_000)
    assert rate(1, r) < rate(15, r) < 1 == rate(400, r)
    assert rate(r.steps, r) == 0
