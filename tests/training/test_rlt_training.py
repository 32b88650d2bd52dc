"""`patchlens train rlt`: arms that differ in what their plans say and in nothing else, clocks, and the table."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
import torch
from patchlens.encoders.catalog import CATALOG, on_disk
from patchlens.encoders.packing import filled
from patchlens.training.checkpoints import rows_of
from patchlens.training.clock import Clock
from patchlens.training.loop import fit, fit_in_turns
from patchlens.training.rlt import FineTuning, Recipe, encoder_with, half_trained
from patchlens.training.rlt_run import arms, run_training
from patchlens.training.rlt_table import bar
from toy_training import CPU, Toy

needs_tiny_video = pytest.mark.skipif(not on_disk(CATALOG["tiny-video"]), reason="tiny-video's weights are not there")


def test_a_stream_is_cut_by_tokens_in_its_own_order():
    sizes = [3, 4, 5, 9, 1, 1, 2]
    cut = list(filled(sizes, lambda n: n, 8))
    assert cut == [[3, 4], [5], [9], [1, 1, 2]], "what is too large alone still makes a batch"
    assert sum(cut, []) == sizes and list(filled([], len, 8)) == []


def test_a_clock_runs_only_while_it_is_told_to():
    clock = Clock(CPU)
    with clock.running():
        time.sleep(0.05)
    time.sleep(0.05)
    assert 0.05 <= clock.wall < 0.1 and clock.processor < 0.04, "sleeping is no work"


def test_in_turns_each_learns_as_alone(tmp_path):
    alone, first, second = Toy(), Toy(), Toy()
    fit(alone, tmp_path / "alone", every=5)
    fit_in_turns([first, second], [tmp_path / "a", tmp_path / "b"], every=5)
    assert torch.equal(alone.model.weight, first.model.weight) and torch.equal(first.model.weight, second.model.weight)
    rows = rows_of(tmp_path / "a" / "log.csv")
    times = [float(r["wall_s"]) for r in rows]
    assert times == sorted(times) and float(rows[-1]["processor_s"]) > 0


def test_the_arms_differ_by_their_plans_alone():
    made = arms(Recipe(start="abc"), 0.25, 0.3)
    assert set(made) == {"full", "rlt", "random", "rlt-length", "rlt-runs", "rlt-filled"}
    for arm in made.values():
        same = (arm.stream, arm.steps, arm.batch, arm.lr, arm.seed, arm.start)
        assert same == (made["full"].stream, made["full"].steps, made["full"].batch, made["full"].lr, 0, "abc")
    assert made["random"].plan == "random:keep=0.300" and made["rlt-length"].lengths and not made["rlt"].lengths


@pytest.mark.parametrize(
    ("share", "difference", "holds"), [(0.7, -0.004, True), (0.7, -0.02, False), (0.8, 0.0, False)]
)
def test_the_bar_asks_for_both_time_and_points(share, difference, holds):
    row = {"wall_share": share, "vs_full": {"difference": difference, "within": "undecided"}}
    assert bar(row, "vs_full")["estimate"] is holds


@needs_tiny_video
def test_a_length_encoding_of_zeros_changes_nothing_and_learns():
    state = half_trained(0, 1.0)
    plain, coded = (FineTuning(Recipe(plan="rlt:tau=0.25", lengths=x), encoder_with(state, CPU, x)) for x in (False, True))
    clips = [plain.seen(i, 5) for i in range(2)]
    same = [coded.seen(i, 5) for i in range(2)]
    assert all(torch.equal(a.keep.mask, b.keep.mask) for a, b in zip(clips, same, strict=True))
    before, after = plain.logits(clips), coded.logits(same)
    assert torch.equal(before, after)
    after.sum().backward()
    used = coded.encoder.vit.length.grad.abs().sum(1) > 0
    runs = torch.cat([c.keep.run_length[c.keep.mask] for c in same]).unique()
    assert set((used.nonzero().squeeze(1) + 1).tolist()) == set(runs.tolist()), "one row for each run length seen"


@needs_tiny_video
def test_the_whole_command_makes_a_table_and_goes_on_where_it_was(tmp_path):
    recipe = Recipe(steps=3, batch=2, warmup=1)
    path = run_training(tmp_path, recipe, test=8, device="cpu")
    found = json.loads(path.read_text()) if path.suffix == ".json" else json.loads((tmp_path / "rlt.json").read_text())
    rows = {row["arm"]: row for row in found["arms"]}
    assert rows["full"]["clips"] == 6 and rows["full"]["tokens_per_clip"] == 512
    assert rows["rlt"]["tokens_per_clip"] < 400 and rows["rlt"]["processor_share"] < 1
    assert rows["rlt-filled"]["clips"] >= 3, "filled by tokens, not by clips"
    assert all(np.isfinite(row["wall_s"]) and row["wall_s"] > 0 for row in rows.values())
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*/last.pt")}
    run_training(tmp_path, recipe, test=8, device="cpu")
    assert {p: p.stat().st_mtime_ns for p in tmp_path.glob("*/last.pt")} == stamps, "nothing is trained twice"
