"""Distilling a residual tokenizer: the losses by hand, only the tokenizer trained, resumed to the bit, and put to use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from clips import encode, moving
from patchlens.data.pairs import Remembered, ScenePairs, Take, open_pairs
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.residual import attach, read
from patchlens.encoders.tiny_clip import load_tiny_clip
from patchlens.training.distilling import cross_entropy, distance
from patchlens.training.loop import fit
from patchlens.training.residual import Distillation, Recipe
from patchlens.training.residual_run import finish

RECIPE = Recipe(batch=4, pairs=8, epochs=2, n_train=2, fps=2.0)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder("tiny-clip", load_tiny_clip("random"), "cpu", "float32")


def directly(training: Distillation, folder: Path, **ways: int) -> dict[str, torch.Tensor]:
    """Fit without another process for the data."""
    training.batches = lambda start: _batches(training, start)
    fit(training, folder, **{"every": 1, "check": 100, **ways})
    return {name: x.detach().clone() for name, x in training.tokenizer.state_dict().items()}


def _batches(training: Distillation, start: int):
    from patchlens.training.residual import Batches

    return iter(Batches(training.pairs, training.take, training.recipe, start, training.share))


def test_the_losses_by_hand() -> None:
    full, fast, texts = (F.normalize(torch.randn(3, 5), dim=-1) for _ in range(3))
    rows = lambda a: torch.stack([10 * a[i] @ texts.T for i in range(3)])  # noqa: E731
    by_hand = -sum((rows(full)[i].softmax(0) * rows(fast)[i].softmax(0).log()).sum() for i in range(3)) / 3
    assert distance(full, fast, texts, 10.0, "image-to-text") == pytest.approx(by_hand.item(), rel=1e-5)
    columns = -sum((rows(full)[:, j].softmax(0) * rows(fast)[:, j].softmax(0).log()).sum() for j in range(3)) / 3
    assert distance(full, fast, texts, 10.0, "both") == pytest.approx((by_hand + columns).item(), rel=1e-5)
    mse = 100 * ((full - fast) ** 2).sum(-1).mean() / 5**0.5
    assert distance(full, fast, None, 10.0, "mse") == pytest.approx(mse.item(), rel=1e-5)
    said = sum(((full[i] - fast[i]) @ texts[j]) ** 2 for i in range(3) for j in range(3)) / 9
    assert distance(full, fast, texts, 10.0, "mse+text") == pytest.approx((mse + 1000 * said).item(), rel=1e-5)
    with pytest.raises(ValueError, match="give the features of sentences"):
        distance(full, fast, None, 10.0, "both")
    assert cross_entropy(rows(full), rows(full)) <= cross_entropy(rows(full), rows(fast))


def test_only_the_tokenizer_learns_and_a_killed_run_goes_on_to_the_bit(encoder: Encoder, tmp_path: Path) -> None:
    before = {name: x.clone() for name, x in encoder.vit.state_dict().items()}
    whole = directly(Distillation(RECIPE, encoder, ScenePairs(1), 4), tmp_path / "whole")
    directly(Distillation(RECIPE, encoder, ScenePairs(1), 4), tmp_path / "cut", until=2)
    resumed = directly(Distillation(RECIPE, encoder, ScenePairs(1), 4), tmp_path / "cut")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert all(torch.equal(x, before[name]) for name, x in encoder.vit.state_dict().items())
    assert not any(p.requires_grad for p in encoder.vit.parameters())
    with pytest.raises(ValueError, match="by another recipe"):
        directly(Distillation(replace(RECIPE, layers=2), encoder, ScenePairs(1), 4), tmp_path / "cut")


def test_muon_brings_p_frames_nearer_to_the_full_encoder(encoder: Encoder, tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=8, objective="mse", optimiser="muon", lr=0.05)
    training = Distillation(recipe, encoder, ScenePairs(1), 8)
    data = next(_batches(training, 0))
    before = training.loss(0, data).mean.item()
    directly(training, tmp_path)
    training.generator.manual_seed(0)
    assert training.loss(0, data).mean.item() < before


@pytest.mark.parametrize(("unfreeze", "hidden"), [(False, 40), (True, None)])
def test_the_finished_file_is_put_to_use(encoder: Encoder, tmp_path: Path, unfreeze: bool, hidden: int | None) -> None:
    training = Distillation(replace(RECIPE, unfreeze=unfreeze, layers=2, hidden=hidden), encoder, ScenePairs(1), 4)
    directly(training, tmp_path, until=1)
    path = finish(training, tmp_path, "patchlens train residual")
    assert path.name == "tiny-clip.residual.safetensors"
    tokenizer, card, tower = read(path)
    assert card["recipe"]["layers"] == 2 == len(tokenizer.layers) and bool(tower) == unfreeze
    assert [layer.out_features for layer in tokenizer.layers] == [hidden or 192, 192]
    assert ("40 wide between" in (tmp_path / "tiny-clip.residual.md").read_text()) == (hidden == 40)
    assert "Cosine of P-frames to the full encoder on held-out pairs" in (tmp_path / "tiny-clip.residual.md").read_text()
    loaded = attach(load_tiny_clip("random"), "tiny-clip", "random", str(path))
    ours = Encoder("tiny-clip", loaded, "cpu", "float32")
    assert "residual_token" in ours.offers and (ours.predictor is not ours.fast) == unfreeze
    frames = torch.from_numpy(ScenePairs(1).pair(0, training.take)[0])
    index = torch.rand(2, 144).topk(20, -1).indices
    full = training.teach(frames[None])[0]
    expected = training.learn(frames[1:], full[:1].expand(2, -1), index)
    from patchlens.types import Clip, Grid, Keep

    mask = torch.ones(3, 144, dtype=torch.bool)
    mask[1:] = torch.zeros(2, 144, dtype=torch.bool).scatter(1, index, True)
    keep = Keep(mask.flatten(), Grid(3, 12, 12, 1, 8), None, torch.zeros(3, dtype=torch.int64), "on")
    made = ours.encode(ours.tokens(Clip.from_frames(frames)), keep).frames
    torch.testing.assert_close(made[1:], expected, rtol=1e-4, atol=1e-5)


def test_pairs_of_a_folder_and_of_a_list(tmp_path: Path) -> None:
    take = Take(3, 4.0, (32, 32))
    for i in range(10):
        path = encode(tmp_path / f"v{i}.mp4", moving(30, dx=i, height=48, width=64))
        path.with_suffix(".txt").write_text(f"a slide {i}\n")
    (tmp_path / "v9.mp4").write_bytes(b"no video")
    folder = open_pairs(str(tmp_path))
    made = [folder.pair(n, take) for n in range(9)] + [folder.pair(0, take, held_out=True)]
    assert sum(pair is None for pair in made) == 1, "the broken one"
    assert all(pair is None or pair[0].shape == (3, 32, 32, 3) for pair in made)
    assert len({pair[1] for pair in made if pair}) == 9
    again = folder.pair(3, take)
    assert again is None or (again[0] == made[3][0]).all()
    rows = "".join(f"v{i},a caption {i},\n" for i in range(9))
    (tmp_path / "list.csv").write_text("videoid,name,page_dir\n" + rows + "gone,nothing,\n")
    assert open_pairs(str(tmp_path / "list.csv")).pair(2, take)[1].startswith("a caption")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    for where, sentence in (("bad.csv", "has the columns a, b"), ("gone", "holds no pairs")):
        with pytest.raises(ValueError, match=sentence):
            open_pairs(str(tmp_path / where))


def test_scene_pairs_are_the_same_again_and_held_out_ones_are_others() -> None:
    take, pairs = Take(4, 2.0, (96, 96)), ScenePairs(1)
    frames, text = pairs.pair(5, take)
    assert frames.shape == (4, 96, 96, 3) and (pairs.pair(5, take)[0] == frames).all() and text == pairs.pair(5, take)[1]
    assert not (pairs.pair(5, take, held_out=True)[0] == frames).all()


def test_a_pair_is_made_once_while_there_is_room() -> None:
    class Counted(ScenePairs):
        def pair(self, number: int, take: Take, held_out: bool = False):
            asked.append((number, held_out))
            return None if number == 9 else (np.full((2, 4, 4, 3), number, np.uint8), str(number))

    asked: list[tuple[int, bool]] = []
    pairs, take = Remembered(Counted(1), room=200), Take(2, 1.0, (4, 4))  # of 96 bytes each: two
    for _ in range(2):
        assert [pairs.pair(n, take)[1] for n in (1, 2, 3)] == ["1", "2", "3"]
        assert pairs.pair(1, take, held_out=True)[1] == "1"
    assert pairs.pair(9, take) is None and pairs.name == "scenes"
    assert asked == [(1, False), (2, False), (3, False), (1, True), (3, False), (1, True), (9, False)]


def test_scene_pairs_come_from_all_of_a_video_and_stay_in_one_shot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also from the empty time between events; each with the sentence of its event where there is one."""
    seen: list[tuple] = []
    monkeypatch.setattr("patchlens.data.pairs.scene_frames", lambda video, times, size: seen.append((video, times)))
    texts = [ScenePairs(1).pair(number, Take(3, 3.0, (96, 96)))[1] for number in range(200)]
    empty = crossing = 0
    for text, (video, times) in zip(texts, seen, strict=True):
        assert any(shot.start <= times[0] and times[-1] <= shot.end for shot in video.shots)
        events = [next((e for e in video.events if e.start <= t < e.end), None) for t in (times[0], times[-1])]
        empty += events == [None, None]
        crossing += events[0] is not events[1]
        assert events[0] is None or text in [caption.text for caption in events[0].captions]
    assert 10 <= empty <= 60 and 1 <= crossing <= 30


@pytest.mark.parametrize(("change", "sentence"), [
    ({"objective": "l1"}, "objective is 'l1'"), ({"optimiser": "sgd"}, "optimiser is 'sgd'"),
    ({"hidden": 8}, "hidden is 8; give a positive width, with 2 to 4 layers"),
    ({"n_train": 11}, "n_train from 1 to 10"), ({"batch": 1}, "batch is 1"),
])  # fmt: skip
def test_a_senseless_recipe_is_one_sentence(change: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(RECIPE, **change)
