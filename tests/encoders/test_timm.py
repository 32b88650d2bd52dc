"""Our ViT equals timm's, whole and with tokens dropped, on parameters that are all drawn at random."""

from __future__ import annotations

from pathlib import Path

import numpy as np
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
from patchlens.encoders.timm import config_of, convert
from patchlens.encoders.vit import ViT
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

timm = pytest.importorskip("timm")
SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "weights" / "deit_tiny_in1k"
SMALL_SHAPE = {"img_size": 64, "embed_dim": 128, "depth": 3, "num_heads": 4, "num_classes": 10}
WRITES = ("patch_embed", "cls_token", "reg_token", "pos_embed", "norm_pre", "attn.proj", "mlp.fc2")


def ours(model: nn.Module) -> ViT:
    config = config_of(model)
    return adopt(config, convert(model.state_dict(), config), "test")


def small(**shape: object) -> nn.Module:
    return redraw(timm.models.vision_transformer.VisionTransformer(**SMALL_SHAPE | shape))


@torch.no_grad()
def theirs(model: nn.Module, images: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Patches and logits of timm's own blocks, norm and head over the kept tokens of each image."""
    prefix = model.num_prefix_tokens
    x = model.norm_pre(model._pos_embed(model.patch_embed(images)))
    x = model.blocks(x[:, torch.cat([torch.arange(prefix), keep + prefix])])
    return x[:, prefix:].flatten(0, 1), model.forward_head(model.norm(x))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("deit_tiny_patch16_224", {}),
        ("vit_small_patch16_224", {}),
        ("vit_small_patch16_224", {"global_pool": "avg", "class_token": False}),
        ("deit3_small_patch16_224", {}),
    ],
)
def test_real_models_are_equal_whole_and_with_tokens_dropped(name: str, options: dict[str, object]) -> None:
    model = redraw(timm.create_model(name, **options))
    vit, images = ours(model), frames(2, 224)
    pieces = [patches(x[None], 1, 16) for x in images]
    with torch.no_grad():
        reference = model(images)
    whole = run(vit, pieces)
    assert error(whole.out, reference) < TOLERANCE

    keep = subset(196, 59)
    reference_patches, reference_out = theirs(model, images, keep)
    dropped = run(vit, pieces, [keep, keep])
    assert error(dropped.patches, reference_patches) < TOLERANCE
    assert error(dropped.out, reference_out) < TOLERANCE


VARIANTS = {
    "registers": {"reg_tokens": 3},
    "registers without positions": {"reg_tokens": 3, "no_embed_class": True},
    "class token without a position": {"no_embed_class": True},
    "mean over patches beside a class token": {"global_pool": "avg"},
    "mean, registers, no class token": {"global_pool": "avg", "class_token": False, "reg_tokens": 2},
    "norm behind class-token pooling": {"fc_norm": True},
    "pre-norm": {"pre_norm": True},
    "no biases in attention": {"qkv_bias": False, "proj_bias": False},
    "layer scale": {"init_values": 0.1},
    "quick GELU": {"act_layer": "quick_gelu"},
    "no head": {"num_classes": 0},
}


@pytest.mark.parametrize("shape", VARIANTS.values(), ids=VARIANTS.keys())
def test_variants_that_fit_are_equal_with_ragged_subsets(shape: dict[str, object]) -> None:
    model = small(**shape)
    vit, images = ours(model), frames(3, 64)
    pieces, counts = [patches(x[None], 1, 16) for x in images], (6, 16, 1)
    keeps = [subset(16, kept, seed=kept) for kept in counts]
    with torch.no_grad():
        assert error(run(vit, pieces).out, model(images)) < TOLERANCE
    result = run(vit, pieces, keeps)
    for i, (got, keep) in enumerate(zip(result.patches.split(counts), keeps, strict=True)):
        reference_patches, reference_out = theirs(model, images[i : i + 1], keep)
        assert error(got, reference_patches) < TOLERANCE
        assert error(result.out[i : i + 1], reference_out) < TOLERANCE


@pytest.mark.parametrize("shape", [{}, {"reg_tokens": 2, "pre_norm": True}, {"global_pool": "avg"}])
def test_mistakes_are_seen(shape: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(**shape)
    vit, images = ours(model), frames(2, 64)
    reference, first = theirs(model, images, torch.arange(16)), model.pos_embed[0, : model.num_prefix_tokens]

    def seen(other: ViT) -> bool:
        got = run(other, [patches(x[None], 1, 16) for x in images])
        return max(error(got.patches, reference[0]), error(got.out, reference[1])) > 10 * TOLERANCE

    assert not seen(mutant(vit))
    assert seen(mutant(vit, swap_norms))
    assert seen(mutant(vit, without_bias(0)))
    assert seen(mutant(vit, without_bias(2)))
    assert seen(mutant(vit, lambda state: state | {"prefix": state["prefix"] - first}))
    assert seen(mutant(vit, activation="quick_gelu"))
    monkeypatch.setattr(MLP, "forward", tanh_mlp)
    assert seen(vit)


@pytest.mark.parametrize("shape", [{}, {"pre_norm": True}, {"global_pool": "avg", "class_token": False}])
def test_epsilons_are_adopted(shape: dict[str, object]) -> None:
    model = shrink(small(**shape), WRITES)
    vit, images = ours(model), frames(2, 64)
    pieces = [patches(x[None], 1, 16) for x in images]
    with torch.no_grad():
        reference = model(images)
    assert error(run(vit, pieces).out, reference) < TOLERANCE
    for wrong in ({"eps": 1e-5}, {"eps": 1e-12}, {"eps_post": 1e-5}, {"eps_post": 1e-12}):
        assert error(run(mutant(vit, **wrong), pieces).out, reference) > 100 * TOLERANCE, wrong


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ({"qk_norm": True}, "queries and keys are normalised"),
        ({"global_pool": "map"}, "pools by 'map'"),
        ({"global_pool": "avg", "fc_norm": False}, "normalises tokens before"),
        ({"global_pool": "avg", "pool_include_prefix": True}, "averages over prefix"),
        ({"final_norm": False}, "no norm at its end"),
        ({"pos_embed": "none"}, "no learned positions"),
        ({"mlp_layer": timm.layers.SwiGLU}, "blocks are made of .*SwiGLU"),
        ({"scale_mlp_norm": True}, "norms inside"),
        ({"act_layer": "gelu_tanh"}, "activation"),
        ({"norm_layer": "rmsnorm"}, "normalises by RmsNorm"),
        ({"patch_size": (16, 8)}, "not square"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_in_a_sentence(shape: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        config_of(timm.models.vision_transformer.VisionTransformer(**SMALL_SHAPE | shape))


@pytest.mark.parametrize("name", ["resnet18", "deit_tiny_distilled_patch16_224", "vit_small_patch16_dinov3"])
def test_other_models_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} cannot be loaded: it is a"):
        loading.load(f"timm:{name}", "random")


def test_a_finetuned_file_brings_its_own_head(tmp_path: Path) -> None:
    model = redraw(timm.create_model("deit_tiny_patch16_224", num_classes=7))
    save_file(model.state_dict(), tmp_path / "mine.safetensors")
    loaded = loading.load("deit_tiny_patch16_224", str(tmp_path / "mine.safetensors"))
    image = frames(1, 224)
    with torch.no_grad():
        reference = model(image)
    assert error(run(loaded.vit, [patches(image, 1, 16)]).out, reference) < TOLERANCE
    assert loaded.classes == tuple(f"class {i}" for i in range(7)) and loaded.weights == "mine.safetensors"


def test_a_file_of_another_model_or_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    state = timm.create_model("deit_tiny_patch16_224").state_dict()
    save_file(state, path)
    with pytest.raises(ValueError, match="does not fit the model"):
        loading.load("vit_small_patch16_224", str(path))
    save_file(state | {"pos_embed": torch.zeros(1, 577, 192)}, path)
    with pytest.raises(ValueError, match="577 positions for 196 patches and 1 prefix tokens"):
        loading.load("deit_tiny_patch16_224", str(path))


def test_random_weights_are_seeded_apart_from_the_callers_numbers() -> None:
    state = torch.random.get_rng_state()
    first, again, other = (loading.load("deit_tiny_patch16_224", "random", seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    weights = [x.vit.blocks[0].mlp.fc1.weight for x in (first, again, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert first.classes[5] == "class 5", "a random head knows no ImageNet names"
    assert first.inputs.mean == (0.485, 0.456, 0.406) and first.inputs.interpolation == "bicubic"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared DeiT-tiny weights are not beside the repository")
def test_real_weights_by_path_classify_the_reference_image() -> None:
    loaded = loading.load("deit_tiny_patch16_224", str(SHARED))
    image = np.fromfile(SHARED / "ref" / "image_chw_int8_frac6.bin", np.int8).reshape(1, 3, 224, 224)
    image = torch.from_numpy(image).float() / 64
    expected = torch.from_numpy(np.fromfile(SHARED / "ref" / "head_int8_frac3.bin", np.int8) / 8)
    logits = run(loaded.vit, [patches(image, 1, 16)]).out[0]
    model = timm.create_model("deit_tiny_patch16_224").eval()
    model.load_state_dict(load_file(next(SHARED.glob("*.safetensors"))))
    with torch.no_grad():
        assert error(logits, model(image)[0]) < TOLERANCE
    top = logits.topk(5).indices.tolist()
    assert len({*top} & {*expected.topk(5).indices.tolist()}) >= 4, "the reference ran in 8 bits"
    assert torch.corrcoef(torch.stack([logits.double(), expected]))[0, 1] > 0.9
    assert "snake" in loaded.classes[top[0]] and len(loaded.classes) == 1000
