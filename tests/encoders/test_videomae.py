"""Our ViT equals transformers' VideoMAE classifier, whole and with tokens dropped, on parameters all drawn at random."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from equality import (
    SMALL,
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
from patchlens.encoders.videomae import config_of, convert, sincos
from patchlens.encoders.vit import ViT
from safetensors.torch import save_file
from torch import Tensor, nn

transformers = pytest.importorskip("transformers")
SMALL_SHAPE = {
    "image_size": 64,
    "num_frames": 8,
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "num_labels": 11,
}


def model_of(**shape: object) -> nn.Module:
    config = transformers.VideoMAEConfig(**shape)
    return redraw(transformers.VideoMAEForVideoClassification(config))


def ours(model: nn.Module) -> ViT:
    config = config_of(model.config.to_dict(), model.config.num_labels)
    return adopt(config, convert(model.state_dict(), config), "test")


@torch.no_grad()
def theirs(model: nn.Module, clip: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Patches and logits of the library's own blocks and head over the kept tokens of one clip."""
    x = model.videomae.embeddings(clip[None], None)[:, keep]
    x = model.videomae.encoder(x).last_hidden_state
    return x[0], model.classifier(model.fc_norm(x.mean(1)))


@pytest.mark.parametrize(
    ("shape", "kept"), [(SMALL_SHAPE, 21), ({"num_labels": 400}, 156)], ids=["small", "base at full size"]
)
def test_equal_whole_and_with_tokens_dropped(shape: dict[str, int], kept: int) -> None:
    model = model_of(**shape)
    vit, clip = ours(model), frames(model.config.num_frames, model.config.image_size)
    piece = patches(clip, 2, 16)
    with torch.no_grad():
        reference = model(clip[None], output_hidden_states=True)
    whole = run(vit, [piece])
    assert error(whole.out, reference.logits) < TOLERANCE
    assert error(whole.patches, reference.hidden_states[-1][0]) < TOLERANCE

    keep = subset(vit.config.tokens, kept)
    reference_patches, reference_out = theirs(model, clip, keep)
    dropped = run(vit, [piece], [keep])
    assert error(dropped.patches, reference_patches) < TOLERANCE
    assert error(dropped.out, reference_out) < TOLERANCE


def test_clips_packed_together_are_each_equal_alone() -> None:
    model = model_of(**SMALL_SHAPE)
    vit, clips = ours(model), [frames(8, 64, seed) for seed in range(3)]
    keeps = [subset(64, kept, seed=kept) for kept in (9, 64, 1)]
    result = run(vit, [patches(c, 2, 16) for c in clips], keeps)
    for i, (clip, keep) in enumerate(zip(clips, keeps, strict=True)):
        assert error(result.out[i : i + 1], theirs(model, clip, keep)[1]) < TOLERANCE


def test_the_position_table_is_the_librarys() -> None:
    from transformers.models.videomae.modeling_videomae import get_sinusoid_encoding_table

    assert torch.equal(sincos(1568, 768), get_sinusoid_encoding_table(1568, 768)[0])


def test_mistakes_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(**SMALL_SHAPE)
    vit, clip = ours(model), frames(8, 64)
    reference = theirs(model, clip, torch.arange(64))

    def seen(other: ViT) -> bool:
        got = run(other, [patches(clip, 2, 16)])
        return max(error(got.patches, reference[0]), error(got.out, reference[1])) > 10 * TOLERANCE

    assert not seen(mutant(vit))
    assert seen(mutant(vit, swap_norms))
    assert seen(mutant(vit, without_bias(0)))
    assert seen(mutant(vit, without_bias(2)))
    assert seen(mutant(vit, lambda state: state | {"position": state["position"].roll(1, 0)}))
    assert seen(mutant(vit, activation="quick_gelu"))
    monkeypatch.setattr(MLP, "forward", tanh_mlp)
    assert seen(vit)


def test_epsilons_are_adopted() -> None:
    """One token whose fixed position the embedding's bias cancels, so that every norm meets a variance near 1e-6."""
    model = shrink(model_of(**SMALL_SHAPE), ("projection.weight", "attention.output", "output.dense"))
    keep, clip = torch.tensor([37]), frames(8, 64)
    with torch.no_grad():
        bias = model.videomae.embeddings.patch_embeddings.projection.bias
        bias.mul_(SMALL).sub_(sincos(64, 128)[37])
    vit, piece = ours(model), patches(clip, 2, 16)
    reference = theirs(model, clip, keep)[1]
    assert vit.config.eps == 1e-12 and vit.config.eps_post == 1e-5
    # the cancelling costs digits, and more of them without AVX-512
    assert error(run(vit, [piece], [keep]).out, reference) < 100 * TOLERANCE
    for wrong in ({"eps": 1e-6}, {"eps": 1e-5}, {"eps_post": 1e-6}, {"eps_post": 1e-12}):
        assert error(run(mutant(vit, **wrong), [piece], [keep]).out, reference) > 1000 * TOLERANCE, wrong


def hub_folder(folder: Path, model: nn.Module, older: bool, names: bool = True) -> Path:
    """A folder as on the hub: config.json and weights; older files call the biases q_bias and v_bias."""
    state = {k: v.contiguous() for k, v in model.state_dict().items()}
    if older:
        state = {k.replace("query.bias", "q_bias").replace("value.bias", "v_bias"): v for k, v in state.items()}
    settings = model.config.to_dict() | {"id2label": {str(i): f"doing {i}" for i in range(model.config.num_labels)}}
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(settings if names else {**settings, "id2label": {}}))
    if older:
        torch.save(state, folder / "pytorch_model.bin")
    else:
        save_file(state, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("older", [False, True])
def test_folders_as_on_the_hub_load(tmp_path: Path, older: bool) -> None:
    model = model_of(**SMALL_SHAPE)
    loaded = loading.load("videomae-small", str(hub_folder(tmp_path / "own", model, older)))
    clip = frames(8, 64)
    with torch.no_grad():
        reference = model(clip[None]).logits
    assert error(run(loaded.vit, [patches(clip, 2, 16)]).out, reference) < TOLERANCE
    assert loaded.classes[:2] == ("doing 0", "doing 1") and len(loaded.classes) == 11
    assert loaded.inputs.frames == 8 and loaded.inputs.size_hw == (64, 64) and loaded.inputs.fit == "crop"
    assert loaded.weights == "own" and len(loaded.facts["sha256"]) == 64


def test_the_original_layout_loads_with_its_own_epsilons(tmp_path: Path) -> None:
    """Names of the first release in a training checkpoint, its arguments beside it."""
    from argparse import Namespace

    model = model_of(**SMALL_SHAPE)
    model.fc_norm.eps = 1e-6
    for layer in model.videomae.encoder.layer:
        layer.layernorm_before.eps = layer.layernorm_after.eps = 1e-6
    folder = hub_folder(tmp_path / "original", model, older=True)
    state = original_names(torch.load(folder / "pytorch_model.bin"))
    torch.save({"module": state, "args": Namespace(lr=1e-3), "epoch": 75}, folder / "checkpoint.pth")
    settings = json.loads((folder / "config.json").read_text())
    del settings["layer_norm_eps"]
    (folder / "config.json").write_text(json.dumps(settings))
    loaded = loading.load("videomae-small", str(folder / "checkpoint.pth"))
    clip = frames(8, 64)
    with torch.no_grad():
        reference = model(clip[None]).logits
    assert loaded.vit.config.eps == loaded.vit.config.eps_post == 1e-6
    assert error(run(loaded.vit, [patches(clip, 2, 16)]).out, reference) < TOLERANCE


def original_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    out = {}
    renames = {
        "videomae.embeddings.patch_embeddings.projection": "patch_embed.proj",
        "videomae.encoder.layer": "blocks",
        "layernorm_before": "norm1",
        "layernorm_after": "norm2",
        "attention.output.dense": "attn.proj",
        "intermediate.dense": "mlp.fc1",
        "output.dense": "mlp.fc2",
        "attention.attention.q_bias": "attn.q_bias",
        "attention.attention.v_bias": "attn.v_bias",
        "classifier": "head",
    }
    for name, x in state.items():
        if name.endswith(("key.weight", "value.weight")):
            continue
        if name.endswith("query.weight"):
            parts = [state[name.replace("query", part)] for part in ("query", "key", "value")]
            name, x = name.replace("attention.attention.query", "attn.qkv"), torch.cat(parts)
        for old, new in renames.items():
            name = name.replace(old, new)
        out[name] = x
    return out


def test_what_does_not_fit_is_said_in_a_sentence(tmp_path: Path) -> None:
    model = model_of(**SMALL_SHAPE)
    state = {k: v for k, v in model.state_dict().items()}
    folder = hub_folder(tmp_path / "own", model, older=False, names=False)

    def attempt(changed: dict[str, Tensor], match: str) -> None:
        save_file({k: v.contiguous() for k, v in changed.items()}, folder / "model.safetensors")
        with pytest.raises(ValueError, match=match):
            loading.load("videomae-small", str(folder))

    query = "videomae.encoder.layer.1.attention.attention.query.weight"
    attempt({k: v for k, v in state.items() if k != query}, f"lacks {query}")
    attempt(state | {"decoder.head.bias": torch.zeros(3)}, "holds 1 tensors .* decoder.head.bias")
    attempt(state | {"fc_norm.weight": torch.ones(7)}, r"norm_post.weight is \(7,\), not \(128,\)")
    attempt({k: v for k, v in state.items() if "classifier" not in k}, "no classifier .*fine-tuned")
    with pytest.raises(ValueError, match="first token instead of the mean"):
        config_of({"use_mean_pooling": False}, 400)
    with pytest.raises(ValueError, match="activation is gelu_new"):
        config_of({"hidden_act": "gelu_new"}, 400)


def test_unnamed_classes_are_numbered_and_random_weights_need_no_library(tmp_path: Path) -> None:
    folder = hub_folder(tmp_path / "own", model_of(**SMALL_SHAPE), older=False, names=False)
    assert loading.load("videomae-small", str(folder)).classes[3] == "class 3"
    state = torch.random.get_rng_state()
    first, again, other = (loading.load("videomae-small", "random", seed) for seed in (5, 5, 6))
    assert torch.equal(torch.random.get_rng_state(), state)
    weight = "blocks.3.mlp.fc1.weight"
    assert torch.equal(first.vit.state_dict()[weight], again.vit.state_dict()[weight])
    assert not torch.equal(first.vit.state_dict()[weight], other.vit.state_dict()[weight])
    assert torch.equal(first.vit.position, sincos(1568, 384))
    assert first.vit.config.outputs == 400 and first.inputs.frames == 16
