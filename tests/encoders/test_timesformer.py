"""Our ViT equals transformers' joint TimeSformer, whole and with tokens dropped, on parameters all drawn at random."""

from __future__ import annotations

import json

import pytest
import torch
from equality import TOLERANCE, error, frames, mutant, patches, redraw, run, subset, swap_norms
from patchlens.encoders.catalog import CATALOG, load_loaded
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.loading import adopt
from patchlens.encoders.timesformer import config_of, convert
from patchlens.encoders.vit import ViT
from patchlens.flops import norm_gmacs, vit_cost
from safetensors.torch import save_file
from torch import Tensor, nn

transformers = pytest.importorskip("transformers")
SHAPE = dict(image_size=48, patch_size=16, num_frames=4, hidden_size=64, num_hidden_layers=3, num_attention_heads=4,
             intermediate_size=128, num_labels=7, attention_type="joint_space_time")  # fmt: skip


def model_of(**shape: object) -> nn.Module:
    return redraw(transformers.TimesformerForVideoClassification(transformers.TimesformerConfig(**SHAPE | shape)))


def ours(model: nn.Module) -> ViT:
    config = config_of(model.config.to_dict(), model.config.num_labels)
    return adopt(config, convert(model.state_dict(), config), "test")


@torch.no_grad()
def theirs(model: nn.Module, clip: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Patches and logits of the library's own layers over the class token and the kept tokens, in our (t, y, x) order."""
    inner, frames_ = model.timesformer, model.config.num_frames
    x = inner.embeddings(clip[None])
    places = (x.shape[1] - 1) // frames_
    x = torch.cat([x[:, :1], x[:, 1:].unflatten(1, (places, frames_)).transpose(1, 2).flatten(1, 2)[:, keep]], 1)
    for layer in inner.encoder.layer:  # a layer's forward wants every token; its parts do not
        x = x + layer.attention(layer.layernorm_before(x))[0]
        x = x + layer.output(layer.intermediate(layer.layernorm_after(x)))
    return x[0, 1:], model.classifier(inner.layernorm(x)[:, 0])


@pytest.mark.parametrize("shape", [{}, {"num_frames": 2, "image_size": 64}], ids=["square", "longer rows"])
def test_equal_whole_and_with_tokens_dropped(shape):
    model = model_of(**shape)
    vit, clip = ours(model), frames(model.config.num_frames, model.config.image_size)
    piece = patches(clip, 1, 16)
    with torch.no_grad():
        assert error(run(vit, [piece]).out, model(clip[None]).logits) < TOLERANCE
    keep = subset(vit.config.tokens, 11)
    got, (want_patches, want_out) = run(vit, [piece], [keep]), theirs(model, clip, keep)
    assert error(got.patches, want_patches) < TOLERANCE and error(got.out, want_out) < TOLERANCE


@pytest.mark.slow
def test_equal_at_full_size():
    model = model_of(image_size=224, num_frames=8, hidden_size=768, num_hidden_layers=12, num_attention_heads=12,
                     intermediate_size=3072, num_labels=174)  # fmt: skip
    vit, clip = ours(model), frames(8, 224)
    with torch.no_grad():
        assert error(run(vit, [patches(clip, 1, 16)]).out, model(clip[None]).logits) < TOLERANCE


def test_mistakes_are_seen():
    model = model_of()
    vit, clip = ours(model), frames(4, 48)
    reference = theirs(model, clip, torch.arange(36))[1]

    def seen(other: ViT) -> bool:
        return error(run(other, [patches(clip, 1, 16)]).out, reference) > 10 * TOLERANCE

    assert not seen(mutant(vit))
    assert seen(mutant(vit, swap_norms))
    places_first = lambda s: s | {"position": s["position"].unflatten(0, (9, 4)).transpose(0, 1).flatten(0, 1)}  # noqa: E731
    assert seen(mutant(vit, places_first)), "their order is (y, x, t)"
    assert seen(mutant(vit, eps=1e-1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("timesformer")
    model = model_of()
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path / "model.safetensors")
    settings = model.config.to_dict() | {"id2label": {i: f"thing {i}" for i in range(7)}}
    (path / "config.json").write_text(json.dumps(settings))
    return path, model


def test_a_folder_loads_and_runs(folder):
    path, model = folder
    loaded = load_loaded("timesformer-base", str(path))
    assert loaded.classes[3] == "thing 3" and loaded.inputs.frames == 4 and loaded.inputs.size_hw == (48, 48)
    encoder = Encoder("timesformer-base", loaded, "cpu")
    assert encoder.segments == "clip" and "class_token" in encoder.offers
    torch.testing.assert_close(loaded.vit.head.weight, model.classifier.weight)


def test_the_original_names_load_too(folder):
    _, model = folder
    ours_of = {"timesformer.embeddings.patch_embeddings.projection": "patch_embed.proj", "timesformer.layernorm": "norm",
               "classifier": "head", "timesformer.embeddings.cls_token": "cls_token", "timesformer.encoder.layer": "blocks",
               "timesformer.embeddings.position_embeddings": "pos_embed",
               "timesformer.embeddings.time_embeddings": "time_embed",
               "layernorm_before": "norm1", "layernorm_after": "norm2", "attention.attention.qkv": "attn.qkv",
               "attention.output.dense": "attn.proj", "intermediate.dense": "mlp.fc1",
               "output.dense": "mlp.fc2"}  # fmt: skip
    state = {}
    for name, x in model.state_dict().items():
        for theirs_, original in ours_of.items():
            name = name.replace(theirs_, original)
        state[f"model.{name}"] = x
    config = config_of(model.config.to_dict(), 7)
    a, b = convert(state, config), convert(model.state_dict(), config)
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_divided_attention_is_refused_in_one_sentence(tmp_path):
    model = transformers.TimesformerForVideoClassification(
        transformers.TimesformerConfig(**SHAPE | {"attention_type": "divided_space_time"})
    )
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="its attention is divided into time and space, and then no token can be dropped"):
        load_loaded("timesformer-base", str(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    save_file({"x.weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="holds no classifier of a TimeSformer"):
        load_loaded("timesformer-base", str(tmp_path))


ROWS = [(1568, 180), (1411, 158), (1097, 117), (784, 79), (470, 45), (156, 15)]  # LITE, Table 6


@pytest.mark.parametrize(("kept", "paper"), ROWS)
def test_costs_of_lites_table_6(kept, paper):
    config = config_of({"attention_type": "joint_space_time"}, 174)
    cost = vit_cost(config, [kept], embedded=1568).total + norm_gmacs(config, [kept])
    assert cost == pytest.approx(paper, rel=0.02 if kept == 156 else 0.005)
    entry = CATALOG["timesformer-base"]
    assert vit_cost(entry, [kept], embedded=1568).total == pytest.approx(vit_cost(config, [kept], embedded=1568).total)
