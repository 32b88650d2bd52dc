"""tiny-clip: its words, its place in open_clip, and a training that learns, logs and can be killed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from patchlens.data.stills import caption_batch
from patchlens.data.wording import WORDS
from patchlens.encoders.block import Attention
from patchlens.encoders.open_clip import convert
from patchlens.encoders.packing import Segments
from patchlens.encoders.patches import cut, normalise
from patchlens.encoders.tiny_clip import FILE, load_tiny_clip, open_clip_model, to_open_clip
from patchlens.encoders.weights import digest
from patchlens.encoders.words import Words
from patchlens.training.checkpoints import rows_of
from patchlens.training.contrast import contrast, parting
from patchlens.training.loop import fit
from patchlens.training.ranks import Share
from patchlens.training.tiny_clip import (
    MEAN,
    STD,
    DenseAttention,
    DualEncoder,
    Pairs,
    Recipe,
    patches_at,
    token_targets,
    true_of,
)
from patchlens.training.tiny_clip_card import as_markdown, card_of, write
from patchlens.training.tiny_clip_run import TinyClip, run_training

CPU = torch.device("cpu")
SHORT = Recipe(frames=20 * 16, batch=16)


def test_the_tokenizer_knows_every_word_of_the_captions_and_no_other() -> None:
    assert Words.bundled().words == WORDS
    model = open_clip_model()
    assert model.vocab_size == Words.bundled().vocab_size
    assert model.context_length == Words.bundled().context_length


def test_the_tokenizer_marks_start_and_end() -> None:
    words = Words(("a", "star"), 5)
    assert words(["A star!", "star"]).tolist() == [[3, 1, 2, 4, 0], [3, 2, 4, 0, 0]]
    assert words("star").shape == (1, 5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a crimson dog", r"'crimson', 'dog'"),
        ("a red stars", "did you mean star"),
        ("...", "no word"),
        ("red " * 40, "at most 34"),
    ],
)
def test_texts_it_cannot_read_are_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Words.bundled()(["a red star", text])


def test_open_clip_loads_the_config_and_gives_our_vits_features(tmp_path: Path) -> None:
    import open_clip

    model = DualEncoder(3)
    path = tmp_path / "made.safetensors"
    write(path, model, {"note": "a card"})
    assert path.stat().st_size <= 24 * 2**20
    theirs, _, preprocess = open_clip.create_model_and_transforms(
        "tiny-clip", pretrained=str(path), image_resize_mode="squash"
    )
    theirs.eval()
    frames = torch.from_numpy(caption_batch(range(4)).frames)
    from PIL import Image

    images = torch.stack([preprocess(Image.fromarray(frame.numpy())) for frame in frames])
    index = torch.arange(144).expand(4, -1)
    with torch.no_grad():
        ours = model.eval().encode_frames(frames, index).out
        assert torch.allclose(ours, theirs.encode_image(images), atol=2e-4)
        tokens = Words.bundled()(["a red star", "a big blue ring on the left", "nothing to see"])
        assert torch.allclose(model.encode_text(tokens), theirs.encode_text(tokens), atol=2e-4)
    loaded = load_tiny_clip(path)
    assert loaded.normalise and loaded.inputs.fit == "squash" and loaded.inputs.size_hw == (96, 96)
    texts = loaded.text.encode_text(["a red star"])
    assert torch.allclose(texts, F.normalize(theirs.encode_text(tokens[:1]), dim=-1).detach(), atol=2e-4)
    with pytest.raises(ValueError, match="'dog'"):
        loaded.text.encode_text(["a dog"])


def test_names_go_there_and_back() -> None:
    vit = DualEncoder(1).vit
    back = convert(to_open_clip(vit), vit.config)
    assert all(torch.equal(back[name], x) for name, x in vit.state_dict().items()) and len(back) == len(
        vit.state_dict()
    )


def test_dense_attention_is_attention() -> None:
    config = DualEncoder(1).vit.config
    dense, plain = DenseAttention(config), Attention(config)
    plain.load_state_dict(dense.state_dict())
    x, segments = torch.randn(3 * 7, config.width), Segments((7, 7, 7))
    assert torch.allclose(dense(x, segments), plain(x, segments), atol=1e-5)
    uneven = Segments((5, 9, 7))
    assert torch.allclose(dense(x, uneven), plain(x, uneven), atol=1e-5)


def test_short_texts_apart_from_long_ones_are_the_same_texts() -> None:
    model = DualEncoder(2).eval()
    tokens = Words.bundled()(
        ["a red star", "a big blue ring on the left next to a small green box", "a thing", "star", "the ring"]
    )
    with torch.no_grad():
        assert torch.allclose(model.encode_text(tokens), model.text.encode_text(tokens), atol=1e-4)


def test_positives_are_all_true_captions_and_open_ones_do_not_count() -> None:
    frames = F.normalize(torch.eye(3), dim=-1)
    texts = torch.cat([frames, frames[:1]])  # the fourth caption says what the first one says
    true = torch.cat([torch.eye(3), torch.eye(3)[:1]])
    perfect = contrast(frames, texts, true, torch.tensor(30.0))
    assert perfect < 1e-4
    assert contrast(frames, texts, torch.cat([torch.eye(3), torch.zeros(1, 3)]), torch.tensor(30.0)) > 0.1
    aside = torch.cat([torch.eye(3), torch.tensor([[0.5, 0.0, 0.0]])])
    assert contrast(frames, texts, aside, torch.tensor(30.0)) < 1e-4


def test_parting_wants_true_frames_above_the_mean_and_false_ones_below() -> None:
    frames, true = torch.eye(3), torch.tensor([[1.0, 0.0, 0.0]])
    good = parting(frames, torch.tensor([[0.9, 0.0, 0.0]]), true)
    half = parting(frames, torch.tensor([[0.9, 0.0, 0.3]]), true)
    shifted = parting(frames, torch.tensor([[0.9, 0.0, 0.0]]) - 0.4, true)
    assert half > 2 * good, "a half-true frame above the mean is found with the true one"
    assert torch.isclose(good, shifted), "what all frames share changes nothing"
    aside = parting(frames, torch.tensor([[0.9, 0.0, 0.3]]), torch.tensor([[1.0, 0.0, 0.5]]))
    assert aside < half, "where truth is open, nothing is asked"
    none = torch.cat([true, torch.zeros(1, 3)])
    assert torch.isclose(parting(frames, torch.tensor([[0.9, 0.0, 0.0], [0.3, 0.3, 0.3]]), none), good)


def test_patches_know_their_object() -> None:
    boxes = torch.tensor([[[0.25, 0.25, 0.3], [0.75, 0.75, 0.2]], [[0, 0, 0], [0, 0, 0]]])
    index = torch.arange(144).expand(2, -1)
    which = token_targets(boxes, index, 12).reshape(2, 12, 12)
    assert which[0, 2, 2] == 0 and which[0, 8, 8] == 1 and which[0, 11, 0] == -1 and (which[1] == -1).all()


def test_most_steps_drop_patches_and_the_last_see_all() -> None:
    generator = torch.Generator().manual_seed(0)
    early = [patches_at(step, Recipe(), 144, generator) for step in range(200)]
    assert min(early) >= 43 and max(early) <= 94
    assert patches_at(Recipe().steps - 1, Recipe(), 144, generator) == 144


def test_it_goes_on_from_weights(tmp_path: Path) -> None:
    recipe = Recipe.going_on(digest(FILE), frames=16, batch=16)
    assert recipe.parting_weight > Recipe().parting_weight == 0 and recipe.lr < Recipe().lr
    training = TinyClip(recipe, CPU, held_out=16, start=FILE)
    whole = torch.arange(144).expand(2, -1)
    frames = torch.from_numpy(caption_batch(range(2)).frames)
    with torch.no_grad():
        ours = training.model.eval().encode_frames(frames, whole).out
    before = load_tiny_clip(FILE)
    patches = cut(frames[:, None], 1, 8).flatten(2).reshape(-1, 3, 64)
    with torch.no_grad():
        theirs = before.vit(before.vit.embed(normalise(patches, MEAN, STD), whole.flatten()), (144, 144)).out
    assert torch.allclose(ours, theirs, atol=1e-5), "it starts as the file's model"
    fit(training, tmp_path)
    moved = [float((training.model.vit.state_dict()[name] - x).abs().max()) for name, x in before.vit.state_dict().items()]
    assert 0 < max(moved) < 0.05, "one small step"
    with pytest.raises(ValueError, match="no tiny-clip of PatchLens"):
        run_training(tmp_path / "else", frames=128, init=str(FILE.with_name("tiny-video.md")))


def test_the_card_tells_every_run() -> None:
    card = card_of(FILE)
    first = {name: card[name] for name in ("recipe", "trained")} | {"recipe": {**card["recipe"], "init": ""}}
    recipe = {**card["recipe"], "init": "abc", "frames": 640, "heads_until": 0.0}
    text = as_markdown({**card, "recipe": recipe, "before": first})
    assert text.index("from a random start") < text.index("--frames 640 --seed 0 --init FILE`, from the weights above")


@pytest.mark.slow
def test_a_short_training_learns_and_logs(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    fit(TinyClip(SHORT, CPU, held_out=16), tmp_path, every=10, until=10)
    fit(TinyClip(SHORT, CPU, held_out=16), tmp_path, every=10)
    rows = rows_of(tmp_path / "log.csv")
    own = ["loss", "task", "scale", "r1", "r1_true", "frames_per_s"]
    assert list(rows[0]) == ["step", "frames", *own, "wall_s", "processor_s"]
    assert [row["step"] for row in rows] == ["10", "20"] and float(rows[1]["loss"]) < float(rows[0]["loss"])


def test_the_shares_of_a_batch_are_the_batch() -> None:
    whole = next(iter(Pairs(SHORT, 3)))
    parts = [next(iter(Pairs(SHORT, 3, Share(rank, 2)))) for rank in (0, 1)]
    for name, both in whole.items():
        together = torch.stack([part[name] for part in parts], 1).flatten(0, 1)  # as `gather` puts them
        assert torch.equal(together, both), name
    assert true_of(whole["claims"], whole["facts"])[:16].diagonal().eq(1).all()
