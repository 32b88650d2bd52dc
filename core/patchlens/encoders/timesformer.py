"""TimeSformer with joint space-time attention as our ViT, from Hugging Face files or the original release.

It knows both layouts and needs neither library. Only joint attention is loaded: divided attention needs every token of a
frame and of a place, so none could be dropped alone. A token's position is that of its place plus that of its frame, and
the class token has the position of place 0. Source: Bertasius et al. 2021, sec. 3 (attention "ST").
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from patchlens.encoders import weights as files
from patchlens.encoders.catalog import CATALOG
from patchlens.encoders.loaded import Inputs, Loaded
from patchlens.encoders.loading import Foreign, classes_of, fit, initialise, misfit, numbered, private_rng
from patchlens.encoders.vit import ViT, ViTConfig

MEAN, STD = (0.45, 0.45, 0.45), (0.225, 0.225, 0.225)
NAMES = {  # ours: (Hugging Face, original), within a block
    "norm1": ("layernorm_before", "norm1"),
    "attention.qkv": ("attention.attention.qkv", "attn.qkv"),
    "attention.proj": ("attention.output.dense", "attn.proj"),
    "norm2": ("layernorm_after", "norm2"),
    "mlp.fc1": ("intermediate.dense", "mlp.fc1"),
    "mlp.fc2": ("output.dense", "mlp.fc2"),
}
OUTSIDE = {  # ours: (Hugging Face, original)
    "class": ("timesformer.embeddings.cls_token", "model.cls_token"),
    "place": ("timesformer.embeddings.position_embeddings", "model.pos_embed"),
    "time": ("timesformer.embeddings.time_embeddings", "model.time_embed"),
    "embedding": ("timesformer.embeddings.patch_embeddings.projection", "model.patch_embed.proj"),
    "blocks": ("timesformer.encoder.layer.", "model.blocks."),
    "norm_post": ("timesformer.layernorm", "model.norm"),
    "head": ("classifier", "model.head"),
}


def load(name: str, weights: str | None = None, seed: int = 0) -> Loaded:
    """A TimeSformer from a file or folder, or "random"; no joint weights are published.

    Raises ValueError where the weights are absent or do not fit, have divided attention, or no classifier.
    """
    entry = CATALOG[name]
    chosen = files.choose(name, weights, {w.tag: w for w in entry.weights}, seed)
    if chosen.path is None:
        config = config_of({"attention_type": "joint_space_time"}, entry.outputs)
        with private_rng(seed):  # making layers draws numbers too
            vit = initialise(ViT(config), seed)
        return Loaded(vit, inputs_of(config), numbered(entry.outputs), "random", chosen.facts)
    path = files.locate(chosen.path)
    state, settings = files.read(path), files.read_json(path.parent / "config.json")
    if any("temporal" in key for key in state):
        raise misfit(chosen.label, DIVIDED)
    settings = {"attention_type": "joint_space_time"} | settings
    config = config_of(settings, _outputs(state, chosen.label))
    vit = fit(convert, state, config, chosen.label)
    return Loaded(vit, inputs_of(config), classes_of(settings, config.outputs), chosen.label,
                  chosen.facts | {"sha256": files.digest(path)})  # fmt: skip


DIVIDED = "its attention is divided into time and space, and then no token can be dropped alone"


def config_of(settings: dict[str, Any], outputs: int) -> ViTConfig:
    """Shape from a Hugging Face `config.json`; what it leaves out is TimeSformer-B's.

    Raises ValueError for other attention, another activation, or sizes that cannot be cut into patches.
    """
    side, patch = settings.get("image_size", 224), settings.get("patch_size", 16)
    what, kind = "This TimeSformer", settings.get("attention_type", "divided_space_time")
    if kind != "joint_space_time":
        raise misfit(what, DIVIDED if kind.startswith("divided") else f"its attention is {kind}")
    if settings.get("hidden_act", "gelu") != "gelu":
        raise misfit(what, f"its activation is {settings['hidden_act']}")
    if not isinstance(side, int) or not isinstance(patch, int) or side % patch:
        raise misfit(what, f"{side} pixels do not divide into patches of {patch}")
    width = settings.get("hidden_size", 768)
    return ViTConfig(
        width=width,
        depth=settings.get("num_hidden_layers", 12),
        heads=settings.get("num_attention_heads", 12),
        mlp=settings.get("intermediate_size", 4 * width),
        grid=(settings.get("num_frames", 8), side // patch, side // patch),
        patch=patch,
        channels=settings.get("num_channels", 3),
        prefix=1,
        pool="cls",
        outputs=outputs,
        eps=settings.get("layer_norm_eps", 1e-6),
    )


def convert(state: dict[str, Tensor], config: ViTConfig, what: str = "The state dict") -> dict[str, Tensor]:
    """Our state dict from either layout.

    Raises ValueError for names that are missing or left over.
    """
    foreign = Foreign(state, what)
    original = OUTSIDE["class"][0] not in foreign
    names = {ours: pair[original] for ours, pair in OUTSIDE.items()}
    place, time = foreign.take(names["place"])[0], foreign.take(names["time"])[0]
    out = foreign.layer("embedding", names["embedding"])
    out["prefix"] = foreign.take(names["class"])[0] + place[:1]
    out["position"] = (time[:, None] + place[None, 1:]).flatten(0, 1)
    for i in range(config.depth):
        for ours, pair in NAMES.items():
            out |= foreign.layer_or_zero(f"blocks.{i}.{ours}", f"{names['blocks']}{i}.{pair[original]}")
    out |= foreign.layer("norm_post", names["norm_post"]) | foreign.layer("head", names["head"])
    foreign.close()
    return out


def _outputs(state: dict[str, Tensor], what: str) -> int:
    head = next((state[f"{name}.weight"] for name in OUTSIDE["head"] if f"{name}.weight" in state), None)
    if head is None:
        raise ValueError(f"{what} holds no classifier of a TimeSformer; give the file of a fine-tuned one.")
    return len(head)


def inputs_of(config: ViTConfig) -> Inputs:
    """Frames of the config's size, one per token, normalised as TimeSformer was trained."""
    side = config.grid[1] * config.patch
    return Inputs((side, side), config.grid[0], 1, config.patch, MEAN, STD)
