"""Deletion and insertion on planted maps: a true one is better than chance, its reverse worse, a random one no better."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import patchlens as pl
import pytest
import torch
import toys
from patchlens import cli
from patchlens.evaluation import faithfulness as judge
from patchlens.keep import TopK, keep_of
from patchlens.metrics import probabilities
from patchlens.types import Grid, Scores
from patchlens.views.figures import faithfulness_curves

CLIP = toys.clip(8, seed=3)


def traced(encoder, values: torch.Tensor):
    """A run whose first stage has these scores."""
    trace = pl.run(CLIP, encoder=encoder, selector="random:keep=0.5", label="still", cache=False)
    return replace(trace, scores=Scores(values, "planted"))


@pytest.fixture(scope="module")
def alone(space_time):
    """What each token gives the label when only it and a few others stay: a map that is true by measurement."""
    tokens, rng = space_time.tokens(CLIP), np.random.default_rng(0)
    total, seen = np.zeros(60), np.zeros(60)
    for _ in range(300):
        mask = torch.from_numpy(rng.random(60) < 0.3)
        if not mask.any():
            continue
        made = space_time.encode(tokens, pl.Keep(mask, tokens.grid))
        total[mask.numpy()] += float(probabilities(made.logits)[4])
        seen += mask.numpy()
    return torch.from_numpy(total / seen).float()


def test_a_true_map_is_better_than_chance_and_its_reverse_worse(space_time, alone):
    found = judge.faithfulness(traced(space_time, alone), space_time)
    assert found["verdict"]["insertion"]["random"] == found["verdict"]["deletion"]["random"] == judge.BETTER
    assert found["warning"] is None
    turned = judge.faithfulness(traced(space_time, -alone), space_time)
    assert turned["verdict"]["insertion"]["random"] == turned["verdict"]["deletion"]["random"] == judge.WORSE
    assert turned["warning"].startswith("On this clip the map (planted) is worse than random")


def test_a_random_map_is_warned_of(space_time):
    found = judge.faithfulness(traced(space_time, torch.rand(60)), space_time)
    assert found["verdict"]["insertion"]["random"] == judge.LEVEL_WITH and "no better than random" in found["warning"]
    assert "no better than random" in judge.text(found)


def test_points_are_runs_on_the_best_and_without_the_best(encoder):
    values = torch.rand(encoder.tokens(CLIP).grid.n)
    trace = traced(encoder, values)
    found = judge.faithfulness(trace, encoder, 3, (0.3, 0.6))
    for way, sign, share in (("insertion", 1, 0.3), ("deletion", -1, 0.4)):
        keep = keep_of([(Scores(sign * values, "x"), TopK(share))], trace.grid, 0, encoder.segments == "frame")
        p = float(probabilities(encoder.encode(encoder.tokens(CLIP), keep).logits)[4])
        at = 0 if way == "insertion" else 1
        assert found["curves"][way]["map"][0][at] == pytest.approx(p, abs=1e-5)
    assert found["label"] == "still" and found["of"] == "probability" and len(found["curves"]["deletion"]["random"]) == 3
    mean = (found["curves"]["insertion"]["map"][0][0] + found["curves"]["insertion"]["map"][0][1]) / 2
    assert found["areas"]["insertion"]["map"] == pytest.approx(mean, abs=1e-5)


def test_without_classes_it_follows_the_feature():
    bare = toys.frame_cls(classes=None)
    trace = replace(pl.run(CLIP, encoder=bare, selector="random:keep=0.5", cache=False))
    found = judge.faithfulness(trace, bare, 3, (0.2, 0.8))
    assert found["of"] == "cosine" and found["label"] is None and found["full"] == pytest.approx(1)


def test_a_shuffled_map_keeps_every_tubelets_values():
    grid, rng = Grid(4, 3, 5, 2, 4), np.random.default_rng(0)
    values = np.arange(60)
    made = judge.within_tubelets(values, grid, rng)
    assert (np.sort(made.reshape(4, 15), 1) == values.reshape(4, 15)).all() and (made != values).any()


def test_the_interval_is_where_one_more_draw_lies():
    rng, inside = np.random.default_rng(0), 0
    for _ in range(2000):
        draws = rng.normal(size=9)
        low, high = judge.prediction(draws[:8])
        inside += low <= draws[8] <= high
    assert inside / 2000 == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(("draws", "shares", "sentence"), [(2, (0.5, 0.6), "draws is 2"), (3, (0.0, 1.0), "shares are")])
def test_what_says_nothing_is_refused(space_time, draws, shares, sentence):
    with pytest.raises(ValueError, match=sentence):
        judge.faithfulness(traced(space_time, torch.rand(60)), space_time, draws, shares)


def test_its_figure_shows_both_curves_and_chance(space_time):
    found = judge.faithfulness(traced(space_time, torch.rand(60)), space_time, 3)
    figure = faithfulness_curves(found)
    names = [t.name for t in figure.data]
    assert names.count("map") == 2 and names.count("random") == 2 and names.count("shuffled") == 2
    assert tuple(figure.data[names.index("map")].y) == tuple(found["curves"]["insertion"]["map"][0])


def test_the_command_prints_the_same_as_json(tmp_path, monkeypatch, capsys):
    from clips import encode, moving

    video = encode(tmp_path / "slide.mp4", moving(20, dx=3.0, height=64, width=64))
    words = ["patchlens", "faithfulness", str(video), "--weights", "random", "--selector", "center", "--draws", "3",
             "--device", "cpu", "--json", "-"]  # fmt: skip
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    found = json.loads(capsys.readouterr().out)
    assert stop.value.code == 0 and found["plan"] == "center:keep=0.5" and found["draws"] == 3
