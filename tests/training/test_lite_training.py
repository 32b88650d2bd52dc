"""Training LITE's selector and its glance on toys: resumable, shared out, and better than chance at what can be learnt."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from patchlens.evaluation.budgets import contender
from patchlens.evaluation.overlap import spearman
from patchlens.glance import GlanceConfig, glance_for
from patchlens.ranker import rank, ranker_for
from patchlens.training import glance, lite
from patchlens.training import maps as maps_module
from patchlens.training.loop import fit
from patchlens.training.ranks import Share
from safetensors import safe_open
from toy_clips import toy_set

RECIPE = lite.Recipe(batch=4, epochs=30, hidden=(16, 8), lr=2e-2)


@pytest.fixture(scope="module")
def maps(space_time, tmp_path_factory):
    """Maps whose targets follow from the embeddings."""
    made = maps_module.make_maps(space_time, toy_set(24), "oracle", tmp_path_factory.mktemp("maps"), Share())
    direction = torch.randn(32, generator=torch.Generator().manual_seed(0))
    made.targets = torch.stack([(made.embedded(i) @ direction / 6).sigmoid() for i in range(24)])
    return made


def test_maps_are_the_oracles_and_made_once(space_time, tmp_path, monkeypatch):
    data = toy_set(20, broken=(3,))
    first = maps_module.make_maps(space_time, data, "oracle", tmp_path, Share())
    monkeypatch.setattr(maps_module, "_chunk", lambda *_: pytest.fail("made again"))
    again = maps_module.make_maps(space_time, data, "oracle", tmp_path, Share())
    assert torch.equal(first.targets, again.targets) and first.targets.shape == (19, 60)
    assert first.targets.min() == 0 and first.targets.max() == 1
    assert first.skipped == ("clip 3: clip 3 is damaged.",) and "clip 3" not in {s.name for s in first.samples}
    item = first.bench.prepare(data[7])
    torch.testing.assert_close(first.targets[6], first.bench.score(item, contender("oracle"), 0)[0][0].values)
    torch.testing.assert_close(first.embedded(6), item.views[0].tokens.embed(), rtol=1e-2, atol=1e-2)


def test_processes_share_the_maps_out(space_time, tmp_path, monkeypatch):
    """The second process makes the odd chunks; what the first has not written yet it waits for."""
    data, seen = toy_set(40), []
    real = maps_module._chunk

    def watched(bench, chunk, who):
        seen.append(chunk.number)
        return real(bench, chunk, who)

    whole = maps_module.make_maps(space_time, data, "oracle", tmp_path, Share())
    (tmp_path / "once-00001.npz").unlink()
    monkeypatch.setattr(maps_module, "_chunk", watched)
    second = maps_module.make_maps(space_time, data, "oracle", tmp_path, Share(1, 2))
    assert seen == [1] and torch.equal(second.targets, whole.targets)


def test_it_learns_what_the_embeddings_tell(space_time, maps, tmp_path):
    training = lite.Selecting(RECIPE, torch.device("cpu"), space_time, maps)
    fit(training, tmp_path, every=60)
    found = [spearman(rank(training.ranker, space_time, maps.embedded(i), maps.grid).numpy(), maps.targets[i].numpy())
             for i in range(6)]  # fmt: skip
    assert min(found) > 0.9


def test_a_killed_training_ends_as_if_it_had_not_been(space_time, maps, tmp_path):
    recipe = replace(RECIPE, epochs=2, branch="global", channels=8)

    def trained(folder, *stops):
        for until in (*stops, None):
            training = lite.Selecting(recipe, torch.device("cpu"), space_time, maps)
            fit(training, folder, every=3, until=until)
        return training.ranker

    whole, broken = trained(tmp_path / "a"), trained(tmp_path / "b", 6)
    for (name, p), q in zip(whole.named_parameters(), broken.parameters(), strict=True):
        torch.testing.assert_close(p, q, msg=name)
    with pytest.raises(ValueError, match="holds a training by another recipe"):
        fit(lite.Selecting(replace(recipe, lr=1.0), torch.device("cpu"), space_time, maps), tmp_path / "a")


def test_the_whole_command_writes_a_selector_with_its_card(space_time, tmp_path):
    recipe = replace(RECIPE, epochs=1)
    path = lite.run_training(space_time, toy_set(8), toy_set(8), tmp_path, recipe, "cpu")
    ranker, card = ranker_for(space_time, str(path))
    assert ranker.config.hidden == (16, 8) and card["encoder"] == "toy-space-time" and card["clips"] == 8
    assert set(card["agreement"]) == {"spearman", "recall 0.3", "recall 0.5"} and len(card["rows"]) == 11
    text = (tmp_path / "lite.md").read_text()
    assert "| lite | 0.3 |" in text and "8 held-out clips" in text and str(tmp_path) not in text
    with safe_open(str(path), "pt") as file:
        assert str(tmp_path) not in file.metadata()["card"], "no path of this machine"


def test_a_persons_videos_are_parted_with_or_without_labels(monkeypatch):
    for labels in (True, False):
        monkeypatch.setattr(lite, "open_set", lambda *_, labels=labels: toy_set(30, labels))
        train, test = lite.parts_of("folder", 16, 99)
        names = {s.name for s in train}, {s.name for s in test}
        assert len(train) == 16 and len(test) == 6 and not names[0] & names[1]


def test_a_glance_learns_and_says_how_sure_it_is(space_time, tmp_path):
    recipe = glance.Recipe(batch=8, epochs=25, taught=6, lr=1e-2)
    path = glance.run_training(space_time, toy_set(36), toy_set(18), tmp_path, recipe, "cpu")
    network, card = glance_for(space_time, str(path))
    assert network.config == GlanceConfig(6, 8) and path.stat().st_size < 1 << 20
    assert card["held_out"] == 18 and card["right"] > 6, "three are right by chance"
    assert json.dumps(card["confidence"]) and "held-out clips" in (tmp_path / "glance.md").read_text()


def test_the_first_clips_teach_what_the_backbone_says_and_the_others_their_labels(space_time, tmp_path):
    data = toy_set(8)
    seen = glance.looks(space_time, data, GlanceConfig(6, 8, 16), tmp_path, Share(), taught=3)
    assert seen.frames.shape == (8, 8, 16, 16, 3) and seen.labels.tolist() == [0, 1, 2, 3, 4, 5, 0, 1]
    tokens = space_time.tokens(data[2].make(maps_module.Bench(space_time, maps_module.Views(), False, 16).wanted).clip)
    torch.testing.assert_close(seen.targets[2], space_time.encode(tokens).logits.softmax(0))
    assert torch.equal(seen.targets[3:], torch.eye(6)[[3, 4, 5, 0, 1]])
