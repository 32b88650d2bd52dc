"""Fine-tuning on one's own clips: inflation, what is held out, resuming, and the written model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import toys
from patchlens.data.samples import Footage, Sample, SampleSet, Wanted
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.loaded import Loaded
from patchlens.encoders.reference import load
from patchlens.evaluation.folds import trained_runs
from patchlens.evaluation.sweep import measure_set
from patchlens.limits import VideoError
from patchlens.training.inflate import settle, start_from
from patchlens.training.loop import fit
from patchlens.training.ranks import Share
from patchlens.training.video import Clips, Recipe, held_out
from patchlens.training.video_card import finish
from patchlens.training.video_run import FineTuning, parameter_groups
from patchlens.types import Clip

CPU = torch.device("cpu")
SMALL = Recipe(epochs=4, batch=4, folds=3, lr=3e-3)


def bright_or_dark(count: int, groups: int | None = 6, broken: tuple[int, ...] = ()) -> SampleSet:
    """Clips of noise that get brighter or darker, in `groups` source groups."""

    def sample(i: int) -> Sample:
        def make(wanted: Wanted) -> Footage:
            if i in broken:
                raise VideoError(f"clip {i} is damaged.")
            rng = np.random.default_rng(i)
            ramp = np.linspace(40, 215, wanted.frames)[:: 1 if i % 2 else -1]
            frames = ramp[:, None, None, None] + rng.normal(0, 8, (wanted.frames, *wanted.size_hw, 3))
            return Footage(Clip.from_frames(frames.clip(0, 255).astype(np.uint8)))

        return Sample(
            f"{i}.mp4", "brighter" if i % 2 else "darker", make, None if groups is None else str(i // 2 % groups)
        )

    return SampleSet("light", tuple(sample(i) for i in range(count)))


def image_model() -> Loaded:
    return toys.frame_cls(prefix=1).loaded


def test_an_inflated_model_sees_a_still_clip_as_the_picture():
    image, start = image_model(), start_from("toy", image_model(), ("a", "b", "c"), frames=4)
    clip = toys.clip(1, seed=3)
    still = Clip.from_frames(clip.frames.expand(4, -1, -1, -1))
    before = Encoder("image", image, "cpu").tokens(clip).embed()
    after = Encoder("video", Loaded(start.vit, start.inputs, ("a", "b", "c")), "cpu").tokens(still).embed()
    assert torch.allclose(after, before.repeat(2, 1), atol=1e-5)  # two tubelets, and time starts at zero
    assert start.vit.config.grid == (2, 3, 5) and start.vit.config.pool == "mean" and start.inputs.frames == 4
    assert torch.equal(start.vit.blocks[1].mlp.fc1.weight, image.vit.blocks[1].mlp.fc1.weight)
    with pytest.raises(ValueError, match="frames is 5"):
        start_from("toy", image_model(), ("a", "b"), frames=5)


def test_positions_stay_a_sum_until_they_are_settled():
    vit = start_from("toy", image_model(), ("a", "b"), frames=4).vit
    names = [n for n, _ in vit.named_parameters() if "position" in n]
    assert len(names) == 2  # space and time
    vit.parametrizations.position.original1.data[1] += 1.0
    table = vit.position.detach().clone()
    assert torch.allclose(table[15:] - table[:15], torch.ones(15, 24), atol=1e-5)
    settled = settle(vit)
    assert "position" in dict(settled.named_parameters()) and torch.equal(settled.position, table)


def test_a_space_time_model_keeps_its_head_only_for_the_same_classes():
    loaded = toys.space_time().loaded
    same, other = (start_from("toy", loaded, c) for c in (toys.CLASSES, ("x", "y")))
    assert torch.equal(same.vit.head.weight, loaded.vit.head.weight) and len(other.vit.head.weight) == 2
    assert same.vit.head.weight.requires_grad and not loaded.vit.head.weight.requires_grad


def test_no_group_is_on_both_sides():
    data = bright_or_dark(24)
    sides = [held_out(data, 3, fold, seed=1) for fold in range(3)]
    for train, test in sides:
        assert {s.group for s in train}.isdisjoint({s.group for s in test}) and len(train) + len(test) == 24
    assert sorted(s.name for _, test in sides for s in test) == sorted(s.name for s in data)
    train, test = held_out(bright_or_dark(12, groups=None), 3, 0, seed=1)
    assert len(test) == 4 and test.classes == train.classes == ("brighter", "darker")


def test_what_cannot_be_split_is_said():
    with pytest.raises(ValueError, match="too small to hold out"):
        held_out(bright_or_dark(8, groups=1), 3, 1, seed=0)
    unlabelled = replace(bright_or_dark(4), samples=tuple(replace(s, label=None) for s in bright_or_dark(4)))
    with pytest.raises(ValueError, match="0 classes; training needs 2"):
        held_out(unlabelled, 2, 0, seed=0)
    with pytest.raises(ValueError, match="fold is 5 of 5"):
        Recipe(folds=5, fold=5)


def test_batches_are_the_same_for_the_same_step_and_leave_out_what_is_broken():
    loaded = toys.space_time().loaded
    clips = Clips(bright_or_dark(9, broken=(3,)), loaded.inputs, ("brighter", "darker"), SMALL)
    first, again = list(clips.batches(0, 4)), list(clips.batches(2, 4))
    assert all(torch.equal(a, b) for x, y in zip(first[2:], again, strict=True) for a, b in zip(x, y, strict=True))
    assert first[0][0].shape[1:] == (8, 12, 20, 3) and clips.broken == ["3.mp4"]
    assert sum(len(y) for _, y in first[:2]) in (7, 8)
    nothing = Clips(bright_or_dark(2, broken=(0, 1)), loaded.inputs, ("brighter", "darker"), SMALL)
    with pytest.raises(ValueError, match="None of the 2 videos"):
        list(nothing.batches(0, 1))


def test_rates_fall_towards_the_patches_and_vectors_do_not_decay():
    vit = start_from("toy", image_model(), ("a", "b"), frames=4).vit
    groups = parameter_groups(vit, Recipe())
    assert sum(len(g["params"]) for g in groups) == len(list(vit.parameters()))
    scale = {id(p): g["lr"] / Recipe().lr for g in groups for p in g["params"]}
    assert scale[id(vit.head.weight)] == 1 > scale[id(vit.blocks[3].mlp.fc1.weight)] > scale[id(vit.embedding.weight)]
    assert all(p.ndim == 2 for g in groups for p in g["params"] if g["weight_decay"])


def test_a_training_goes_on_and_refuses_other_data(tmp_path):
    data, classes = bright_or_dark(12), ("brighter", "darker")

    def training(samples=data):
        return FineTuning(SMALL, CPU, start_from("toy", toys.space_time().loaded, classes, seed=0), samples, classes)

    whole, broken = training(), training()
    fit(whole, tmp_path / "a", every=4)
    fit(training(), tmp_path / "b", every=4, until=8)
    fit(broken, tmp_path / "b", every=4)
    for (name, p), q in zip(whole.vit.named_parameters(), broken.vit.parameters(), strict=True):
        assert torch.equal(p, q), name
    with pytest.raises(ValueError, match="holds a training by another recipe, data"):
        fit(training(bright_or_dark(8)), tmp_path / "a")


def test_the_shares_of_a_batch_are_the_batch():
    data, inputs, classes = bright_or_dark(9, broken=(3,)), toys.space_time().loaded.inputs, ("brighter", "darker")
    whole = next(Clips(data, inputs, classes, SMALL).batches(0, 1))
    parts = [next(Clips(data, inputs, classes, SMALL, Share(rank, 2)).batches(0, 1)) for rank in (0, 1)]
    clips = [{x.numpy().tobytes() for x in frames} for frames, _ in (whole, *parts)]
    assert clips[0] == clips[1] | clips[2] and sum(len(labels) for _, labels in parts) == len(whole[1])


def test_it_learns_and_writes_a_model_that_loads(tmp_path, capsys):
    recipe = replace(SMALL, epochs=25)
    train, test = held_out(bright_or_dark(30, groups=5), 3, 0, seed=0)
    start = start_from("toy", image_model(), train.classes, frames=4)
    training = FineTuning(recipe, CPU, start, train, train.classes)
    fit(training, tmp_path, every=20)
    vit, clips = training.vit, training.clips
    path = finish(tmp_path, settle(vit), start, (train, test), recipe, clips.broken, "cpu")
    loaded = load("tiny-video", str(path))
    assert loaded.classes == ("brighter", "darker") and loaded.vit.config.grid == (2, 3, 5)
    assert loaded.facts["oracle"]["blocks"]["mean positive"] in ("0", "1", "2", "3", "mean")
    encoder = Encoder("tiny-video", loaded, "cpu")
    clip = test[0].make(Wanted(encoder.inputs.size_hw, 4)).clip
    assert torch.allclose(encoder.encode(encoder.tokens(clip)).logits, settled_logits(vit, start, clip), atol=1e-5)
    assert loaded.facts["accuracy"]["top1"] >= 0.9 and loaded.facts["accuracy"]["clips"] == len(test)
    assert "by 2 source groups" in (tmp_path / "video.md").read_text()
    assert (tmp_path / "heldout.csv").read_text().count("\n") == len(test) + 1
    ((fitted, held),) = trained_runs([tmp_path], bright_or_dark(30, groups=5), "cpu")
    table = measure_set(fitted, held, [], budgets=[0.5], seeds=1)
    assert table.full["right"].mean() == pytest.approx(loaded.facts["accuracy"]["top1"])
    assert "clips/s" in capsys.readouterr().out


def settled_logits(vit, start, clip):
    encoder = Encoder("x", Loaded(vit, start.inputs, ("brighter", "darker")), "cpu")
    return encoder.encode(encoder.tokens(clip)).logits
