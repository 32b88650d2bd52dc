"""VideoMAE ViT-S/B/L/H as our ViT, from Hugging Face files or the original release.

It knows both layouts and needs neither library. Facts that are easy to lose: positions are one fixed sin-cos
table over the flat token number and lie in no checkpoint; keys have no bias; Hugging Face's epsilons are
1e-12 in the blocks and 1e-5 behind the pooling, the original's 1e-6. Source: Tong et al. 2022 (VideoMAE).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from patchlens.encoders import weights as files
from patchlens.encoders.catalog import CATALOG, Entry, Weights
from patchlens.encoders.loaded import Inputs, Loaded
from patchlens.encoders.loading import Foreign, classes_of, fit, initialise, misfit, numbered, private_rng
from patchlens.encoders.vit import ViT, ViTConfig

HEADS = {384: 6, 768: 12, 1024: 16, 1280: 16}  # by width; the original files state none
ORIGINAL_EPS = 1e-6
NAMES = {  # ours: (Hugging Face, original), within a block
    "norm1": ("layernorm_before", "norm1"),
    "norm2": ("layernorm_after", "norm2"),
    "attention.proj": ("attention.output.dense", "attn.proj"),
    "mlp.fc1": ("intermediate.dense", "mlp.fc1"),
    "mlp.fc2": ("output.dense", "mlp.fc2"),
}


def load(name: str, weights: str | None = None, seed: int = 0) -> Loaded:
    """Load a VideoMAE of the catalogue.

    Raises ValueError where the weights are absent or do not fit, or hold no classifier.
    """
    entry = CATALOG[name]
    known = {w.tag: w for w in entry.weights}
    chosen = files.choose(name, weights, known, seed)
    if chosen.path is None:
        config = config_of({}, entry.outputs, entry)
        vit = _random(config, seed)
        return Loaded(vit, _inputs(config), numbered(entry.outputs), "random", chosen.facts)
    path = files.locate(chosen.path)
    settings = _settings(path, chosen.label, known.get(chosen.label))
    state = files.read(path)
    if not is_hugging_face(state):
        settings = {"layer_norm_eps": ORIGINAL_EPS, "post_eps": ORIGINAL_EPS} | settings
    config = config_of(settings, _outputs(state, chosen.label), entry)
    vit = fit(convert, state, config, chosen.label)
    facts = chosen.facts | {"sha256": files.digest(path)}
    return Loaded(vit, _inputs(config), classes_of(settings, config.outputs), chosen.label, facts)


def config_of(settings: dict[str, Any], outputs: int, entry: Entry | None = None) -> ViTConfig:
    """Shape from a Hugging Face `config.json`; what it leaves out comes from the catalogue's entry.

    Raises ValueError for a class-token head, another activation, or sizes that cannot be cut into patches.
    """
    width = settings.get("hidden_size", entry.width if entry else 768)
    side, patch = settings.get("image_size", 224), settings.get("patch_size", 16)
    frames, tubelet = settings.get("num_frames", 16), settings.get("tubelet_size", 2)
    what = "This VideoMAE"
    if not settings.get("use_mean_pooling", True):
        raise misfit(what, "it reads its first token instead of the mean over tokens")
    if settings.get("hidden_act", "gelu") != "gelu":
        raise misfit(what, f"its activation is {settings['hidden_act']}")
    if not isinstance(side, int) or not isinstance(patch, int) or side % patch or frames % tubelet:
        raise misfit(what, f"{frames} frames of {side} pixels do not divide into {tubelet} x {patch}")
    return ViTConfig(
        width=width,
        depth=settings.get("num_hidden_layers", entry.depth if entry else 12),
        heads=settings.get("num_attention_heads", HEADS.get(width, width // 64)),
        mlp=settings.get("intermediate_size", 4 * width),
        grid=(frames // tubelet, side // patch, side // patch),
        patch=patch,
        tubelet=tubelet,
        channels=settings.get("num_channels", 3),
        outputs=outputs,
        eps=settings.get("layer_norm_eps", 1e-12),
        eps_post=settings.get("post_eps", 1e-5),
    )


def is_hugging_face(state: dict[str, Tensor]) -> bool:
    """Whether the names are those of the Hugging Face files."""
    return any(name.startswith("videomae.") for name in state)


def convert(state: dict[str, Tensor], config: ViTConfig, what: str = "The state dict") -> dict[str, Tensor]:
    """Our state dict from either layout.

    Raises ValueError for names that are missing or left over.
    """
    foreign, hugging = Foreign(state, what), is_hugging_face(state)
    embed = "videomae.embeddings.patch_embeddings.projection" if hugging else "patch_embed.proj"
    out = foreign.layer("embedding", embed)
    for i in range(config.depth):
        block = f"videomae.encoder.layer.{i}." if hugging else f"blocks.{i}."
        qkv = _hugging_qkv if hugging else _original_qkv
        attention = f"{block}attention.attention." if hugging else f"{block}attn."
        out |= qkv(foreign, attention, f"blocks.{i}.attention.qkv")
        for ours, theirs in NAMES.items():
            out |= foreign.layer(f"blocks.{i}.{ours}", block + theirs[not hugging])
    out |= foreign.layer("norm_post", "fc_norm")
    out |= foreign.layer("head", "classifier" if hugging else "head")
    foreign.close()
    return out | {"prefix": torch.zeros(0, config.width), "position": sincos(config.tokens, config.width)}


def _hugging_qkv(foreign: Foreign, theirs: str, ours: str) -> dict[str, Tensor]:
    """Query, key and value layers in one; the bias is "q_bias" in older files, "query.bias" in newer."""
    weight = torch.cat([foreign.take(f"{theirs}{part}.weight") for part in ("query", "key", "value")])
    q, v = (
        foreign.take(theirs + (f"{part}.bias" if f"{theirs}{part}.bias" in foreign else f"{part[0]}_bias"))
        for part in ("query", "value")
    )
    return {f"{ours}.weight": weight, f"{ours}.bias": torch.cat([q, torch.zeros_like(q), v])}


def _original_qkv(foreign: Foreign, theirs: str, ours: str) -> dict[str, Tensor]:
    q, v = foreign.take(f"{theirs}q_bias"), foreign.take(f"{theirs}v_bias")
    weight = foreign.take(f"{theirs}qkv.weight")
    return {f"{ours}.weight": weight, f"{ours}.bias": torch.cat([q, torch.zeros_like(q), v])}


def sincos(positions: int, width: int) -> Tensor:
    """VideoMAE's fixed table (positions, width): sin at even and cos at odd columns, base 10000.

    Computed in float64, as the original is, and rounded once.
    """
    column = torch.arange(width, dtype=torch.float64)
    angle = torch.arange(positions, dtype=torch.float64)[:, None] / 10000 ** (2 * (column // 2) / width)
    return torch.where(column % 2 == 0, angle.sin(), angle.cos()).float()


def _random(config: ViTConfig, seed: int) -> ViT:
    with private_rng(seed), torch.no_grad():  # making layers draws numbers too
        vit = initialise(ViT(config), seed)
        vit.position.copy_(sincos(config.tokens, config.width))
    return vit


def _settings(path: Path, label: str, known: Weights | None) -> dict[str, Any]:
    """`config.json` beside the weights; for a tag it is fetched, and done without where it cannot be."""
    if known is None or (path.parent / "config.json").is_file():
        return files.read_json(path.parent / "config.json")
    try:
        return files.read_json(files.download(label, Weights(known.tag, known.repo, ("config.json",))))
    except ValueError:
        return {}


def _outputs(state: dict[str, Tensor], what: str) -> int:
    head = state.get("classifier.weight", state.get("head.weight"))
    if head is None:
        raise ValueError(
            f"{what} holds no classifier (a VideoMAE that was only pre-trained); take a fine-tuned one, such "
            "as MCG-NJU/videomae-base-finetuned-kinetics."
        )
    return len(head)


def _inputs(config: ViTConfig) -> Inputs:
    side = config.grid[1] * config.patch
    return Inputs((side, side), config.grid[0] * config.tubelet, config.tubelet, config.patch)
