"""Our ViT equals open_clip's visual tower, whole and with tokens dropped, on parameters that are all drawn at random."""

from __future__ import annotations

import pytest
import torch
from equality import (
    TOLERANCE,
    error,
    frames,
    mutant,
    patches,
    redraw,
    run,
    shrink,
    subset,
    swap_norms,
    tanh_mlp,
    without_bias,
)
from patchlens.encoders import loading
from patchlens.encoders.block import MLP
from patchlens.encoders.loading import adopt
from patchlens.encoders.open_clip import config_of, convert, from_model
from patchlens.encoders.vit import ViT
from torch import Tensor, nn

open_clip = pytest.importorskip("open_clip")
WRITES = ("conv1", "class_embedding", "positional_embedding", "ln_pre", "out_proj", "c_proj")
SMALL_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1}


def clip(name: str = "ViT-B-32", **vision: object) -> nn.Module:
    """An open_clip model with its real visual tower (or another) and a small text tower, all drawn at random."""
    config = open_clip.get_model_config(name)
    config["vision_cfg"] |= vision
    return redraw(open_clip.model.CLIP(**config | {"text_cfg": dict(SMALL_TEXT)}))


def ours(model: nn.Module) -> ViT:
    config = config_of(model.visual)
    return adopt(config, convert(model.visual.state_dict(), config), "test")


def small(name: str = "ViT-B-32", **vision: object) -> nn.Module:
    return clip(name, **{"image_size": 64, "patch_size": 16, "width": 128, "layers": 3, "head_width": 32} | vision)


@torch.no_grad()
def theirs(model: nn.Module, images: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Patches and features of open_clip's own blocks over the kept tokens of each image."""
    visual = model.visual
    x = visual._embeds(images)[:, torch.cat([torch.zeros(1, dtype=torch.long), keep + 1])]
    x = visual.transformer(x)
    return x[:, 1:].flatten(0, 1), visual._pool(x)[0] @ visual.proj


@pytest.mark.parametrize(
    ("name", "count", "kept"), [("ViT-B-32", 2, 17), ("ViT-B-16-quickgelu", 2, 60), ("ViT-L-14", 1, 38)]
)
def test_real_towers_are_equal_whole_and_with_tokens_dropped(name: str, count: int, kept: int) -> None:
    model = clip(name)
    vit, images = ours(model), frames(count, 224)
    pieces = [patches(x[None], 1, vit.config.patch) for x in images]
    with torch.no_grad():
        reference = model.encode_image(images)
    whole = run(vit, pieces)
    assert error(whole.out, reference) < TOLERANCE

    keep = subset(vit.config.tokens, kept)
    reference_patches, reference_out = theirs(model, images, keep)
    dropped = run(vit, pieces, [keep] * count)
    assert error(dropped.patches, reference_patches) < TOLERANCE
    assert error(dropped.out, reference_out) < TOLERANCE


@pytest.mark.parametrize("vision", [{}, {"ls_init_value": 0.1}, {"no_ln_pre": True}, {"mlp_ratio": 2.0}])
def test_variants_that_fit_are_equal_with_ragged_subsets(vision: dict[str, object]) -> None:
    model = small(**vision)
    vit, images = ours(model), frames(3, 64)
    keeps = [subset(16, kept, seed=kept) for kept in (5, 16, 1)]
    result = run(vit, [patches(x[None], 1, 16) for x in images], keeps)
    for i, (got, keep) in enumerate(zip(result.patches.split([5, 16, 1]), keeps, strict=True)):
        reference_patches, reference_out = theirs(model, images[i : i + 1], keep)
        assert error(got, reference_patches) < TOLERANCE
        assert error(result.out[i : i + 1], reference_out) < TOLERANCE


def test_mean_pooling_fits_where_the_norm_comes_last() -> None:
    model = small(pool_type="avg", final_ln_after_pool=True)
    images = frames(2, 64)
    with torch.no_grad():
        reference = model.encode_image(images)
    assert error(run(ours(model), [patches(x[None], 1, 16) for x in images]).out, reference) < TOLERANCE


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-B-32-quickgelu"])
def test_mistakes_are_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(name)
    vit, images = ours(model), frames(2, 64)
    pieces = [patches(x[None], 1, 16) for x in images]
    reference, first = theirs(model, images, torch.arange(16)), model.visual.positional_embedding[0]

    def seen(other: ViT) -> bool:
        got = run(other, pieces)
        return max(error(got.patches, reference[0]), error(got.out, reference[1])) > 10 * TOLERANCE

    assert not seen(mutant(vit))
    assert seen(mutant(vit, swap_norms))
    assert seen(mutant(vit, without_bias(0)))
    assert seen(mutant(vit, without_bias(2)))
    assert seen(mutant(vit, lambda state: state | {"prefix": state["prefix"] - first}))
    assert seen(mutant(vit, activation="gelu" if name.endswith("quickgelu") else "quick_gelu"))
    monkeypatch.setattr(MLP, "forward", tanh_mlp)
    assert seen(vit)


def test_epsilons_are_adopted() -> None:
    model = shrink(small(), WRITES)
    vit, images = ours(model), frames(2, 64)
    pieces = [patches(x[None], 1, 16) for x in images]
    with torch.no_grad():
        reference = model.encode_image(images)
    assert error(run(vit, pieces).out, reference) < TOLERANCE
    assert error(run(mutant(vit, eps=1e-6), pieces).out, reference) > 100 * TOLERANCE
    assert error(run(mutant(vit, eps_post=1e-6), pieces).out, reference) > 100 * TOLERANCE


@pytest.mark.parametrize(
    ("vision", "why"),
    [
        ({"attentional_pool": True}, "pools by attention"),
        ({"pool_type": "avg"}, "behind its last norm"),
        ({"qk_norm": True}, "CustomResidualAttentionBlocks"),
        ({"act_kwargs": {"approximate": "tanh"}}, "activation"),
    ],
)
def test_towers_that_do_not_fit_are_refused_in_a_sentence(vision: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        ours(small(**vision))


@pytest.mark.parametrize("name", ["RN50", "convnext_base"])
def test_other_trunks_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="visual tower is a"):
        loading.load(f"open_clip:{name}", "random")


def test_text_features_are_those_of_the_library_and_normalised() -> None:
    model = clip()
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    texts = ["a dog runs", "the camera pans over an empty square at night"]
    with torch.no_grad():
        reference = model.encode_text(tokenizer(texts), normalize=True)
    made: list[int] = []
    loaded = from_model(model, "ViT-B-32", lambda: made.append(1) or tokenizer)
    assert not made, "the tokenizer is made at the first text"
    assert not hasattr(model, "visual"), "no tensor is held twice"
    assert torch.allclose(loaded.text.encode_text(texts), reference, atol=1e-6)
    assert loaded.normalise and loaded.classes is None


def test_loading_by_name_states_inputs_and_seed() -> None:
    state = torch.random.get_rng_state()
    first, again = (loading.load("ViT-B-32-quickgelu", "random", seed=3) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state), "the caller's random numbers are untouched"
    assert torch.equal(first.vit.head.weight, again.vit.head.weight)
    assert first.vit.config.activation == "quick_gelu"
    assert first.inputs.fit == "crop" and first.inputs.frames is None and first.inputs.size_hw == (224, 224)
    assert first.inputs.mean == (0.48145466, 0.4578275, 0.40821073)
    assert first.facts["seed"] == 3 and first.facts["library"].startswith("open_clip")


def test_a_file_of_the_whole_model_loads_and_obeys_quickgelu(tmp_path, monkeypatch) -> None:
    from patchlens.encoders import open_clip as family

    model = redraw(open_clip.create_model("ViT-B-32-quickgelu"))
    path = tmp_path / "open_clip_pytorch_model.bin"
    torch.save(model.state_dict(), path)
    loaded = family.load("ViT-B-32-quickgelu", str(path))
    image = frames(1, 224)
    with torch.no_grad():
        reference = model.encode_image(image)
    assert error(run(loaded.vit, [patches(image, 1, 32)]).out, reference) < TOLERANCE
    assert len(loaded.facts["sha256"]) == 64

    # The same file by the tag "openai" under the plain name: the tag says QuickGELU, so the name is overruled.
    monkeypatch.setattr("patchlens.encoders.weights.cached", lambda repo, files: path)
    tagged = family.load("ViT-B-32", "openai")
    assert tagged.vit.config.activation == "quick_gelu"
    assert error(run(tagged.vit, [patches(image, 1, 32)]).out, reference) < TOLERANCE
