"""timm image ViTs as our ViT: class-token or mean pooling, registers, pre-norm, layer scale.

It knows timm's names and nothing else. Layer scale multiplies a layer's output by a vector, so it is folded
into that layer without loss. Rotary positions, gated MLPs, q/k norms, attention pooling and other trunks are
refused.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from patchlens.encoders import weights as files
from patchlens.encoders.catalog import HUB_FILES, Weights
from patchlens.encoders.loaded import Inputs, Loaded
from patchlens.encoders.loading import Foreign, activation_of, eps_of, fit, misfit, numbered, private_rng
from patchlens.encoders.vit import ViTConfig


def load(name: str, weights: str | None = None, seed: int = 0) -> Loaded:
    """Load a timm ViT; `name` may carry its tag ("vit_small_patch16_224.dino").

    Raises KeyError for a name that timm has not; ValueError where the model or the weights do not fit.
    """
    import timm

    name, _, tag = name.partition(".")
    if not timm.is_model(name):
        raise KeyError(f"timm has no model called {name!r}; timm.list_models('*vit*') lists those it has.")
    known = _known(name)
    chosen = files.choose(name, weights or tag or None, known, seed)
    path = files.locate(chosen.path) if chosen.path else None
    state = files.read(path) if path else None
    model = _build(name, state, seed)
    config = config_of(model)
    vit = fit(convert, state or model.state_dict(), config, chosen.label)
    about = timm.get_pretrained_cfg(f"{name}.{chosen.label}" if chosen.label in known else name)
    about = about.to_dict() if about else dict(model.pretrained_cfg)
    facts = {"library": f"timm {timm.__version__}", **chosen.facts, "crop_pct": about.get("crop_pct", 1.0)}
    if path:
        facts["sha256"] = files.digest(path)
    classes = _classes(config.outputs, named=path is not None)
    return Loaded(vit, _inputs(config, about), classes, chosen.label, facts)


def _known(name: str) -> dict[str, Weights]:
    """The weights timm knows for a model, its default first."""
    import timm

    default = timm.get_pretrained_cfg(name)
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{name}.*")]
    tags.sort(key=lambda tag: default is None or tag != default.tag)
    out = {}
    for tag in tags:
        about = timm.get_pretrained_cfg(f"{name}.{tag}")
        if about is not None and about.hf_hub_id:
            names = (about.hf_hub_filename,) if about.hf_hub_filename else HUB_FILES
            out[tag] = Weights(tag, about.hf_hub_id, names, about.license or "not stated")
    return out


def _build(name: str, state: dict[str, Tensor] | None, seed: int) -> nn.Module:
    """timm's own model with its own random start; its head is as wide as that of `state`."""
    import timm

    sizes: dict[str, Any] = {}
    if state is not None:
        sizes["num_classes"] = len(state["head.weight"]) if "head.weight" in state else 0
    with private_rng(seed):
        return timm.create_model(name, pretrained=False, **sizes).eval()


def config_of(model: nn.Module) -> ViTConfig:
    """The shape of a timm model.

    Raises ValueError, saying what does not fit, for anything but a plain pre-norm ViT.
    """
    from timm.models.vision_transformer import VisionTransformer

    name = (getattr(model, "pretrained_cfg", None) or {}).get("architecture") or type(model).__name__
    if type(model) is not VisionTransformer:
        raise misfit(name, f"it is a {type(model).__name__}")
    if why := _odd_parts(model) or _odd_pooling(model):
        raise misfit(name, why)
    norms = [n for b in model.blocks for n in (b.norm1, b.norm2)]
    pre = not isinstance(model.norm_pre, nn.Identity)
    first, embed = model.blocks[0], model.patch_embed
    head = isinstance(model.head, nn.Linear)
    return ViTConfig(
        width=model.embed_dim,
        depth=len(model.blocks),
        heads=first.attn.num_heads,
        mlp=first.mlp.fc1.out_features,
        grid=(1, *embed.grid_size),
        patch=embed.patch_size[0],
        prefix=model.num_prefix_tokens,
        pool="cls" if model.global_pool == "token" else "mean",
        outputs=model.head.out_features if head else 0,
        output_bias=not head or model.head.bias is not None,
        embed_bias=embed.proj.bias is not None,
        norm_pre=pre,
        activation=activation_of(first.mlp.act, name),
        eps=eps_of(norms + ([model.norm_pre] if pre else []), name),
        eps_post=eps_of([_norm_post(model)], name),
    )


def _odd_parts(model: Any) -> str:
    """What in the trunk our ViT lacks, or ""."""
    from timm.layers import Attention, Mlp, PatchEmbed
    from timm.layers.layer_scale import LayerScale
    from timm.models.vision_transformer import Block

    embed = model.patch_embed
    if type(embed) is not PatchEmbed or not isinstance(embed.norm, nn.Identity):
        return f"its patch embedding is a {type(embed).__name__}"
    if embed.patch_size[0] != embed.patch_size[1]:
        return f"its patches are {embed.patch_size[0]} x {embed.patch_size[1]} pixels, not square"
    if model.pos_embed is None:
        return "it has no learned positions"
    for block in model.blocks:
        if type(block) is not Block or type(block.attn) is not Attention or type(block.mlp) is not Mlp:
            parts = (block, getattr(block, "attn", None), getattr(block, "mlp", None))
            return f"its blocks are made of {', '.join(type(part).__name__ for part in parts)}"
        if not isinstance(block.attn.q_norm, nn.Identity):
            return "its queries and keys are normalised"
        if getattr(block.attn, "gate", None) is not None or block.attn.proj.in_features != model.embed_dim:
            return "its attention is gated or of another width"
        inner = (getattr(block.attn, "norm", nn.Identity()), block.mlp.norm)
        if any(not isinstance(norm, nn.Identity) for norm in inner):
            return "its blocks hold norms inside attention or MLP"
        if any(not isinstance(s, nn.Identity | LayerScale) for s in (block.ls1, block.ls2)):
            return f"its blocks scale by {type(block.ls1).__name__}"
    return ""


def _odd_pooling(model: Any) -> str:
    if model.attn_pool is not None or model.global_pool not in ("token", "avg"):
        return f"it pools by {model.global_pool!r}"
    if isinstance(_norm_post(model), nn.Identity):
        return "it has no norm at its end"
    if model.global_pool == "avg" and isinstance(model.fc_norm, nn.Identity):
        return "it normalises tokens before it averages them"
    if model.global_pool == "avg" and model.pool_include_prefix:
        return "it averages over prefix tokens too"
    return ""


def _norm_post(model: Any) -> nn.Module:
    return model.norm if isinstance(model.fc_norm, nn.Identity) else model.fc_norm


def convert(state: dict[str, Tensor], config: ViTConfig, what: str = "The state dict") -> dict[str, Tensor]:
    """Our state dict from timm's.

    Raises ValueError for names that are missing or left over, and positions of another grid.
    """
    foreign = Foreign(state, what)
    out = foreign.layer("embedding", "patch_embed.proj", config.embed_bias)
    out |= _positions(foreign, config)
    if config.norm_pre:
        out |= foreign.layer("norm_pre", "norm_pre")
    for i in range(config.depth):
        b = f"blocks.{i}."
        out |= foreign.layer(f"{b}norm1", f"{b}norm1") | foreign.layer(f"{b}norm2", f"{b}norm2")
        out |= foreign.layer_or_zero(f"{b}attention.qkv", f"{b}attn.qkv")
        out |= foreign.scaled(f"{b}attention.proj", f"{b}attn.proj", f"{b}ls1.gamma")
        out |= foreign.layer_or_zero(f"{b}mlp.fc1", f"{b}mlp.fc1")
        out |= foreign.scaled(f"{b}mlp.fc2", f"{b}mlp.fc2", f"{b}ls2.gamma")
    mean = config.pool == "mean"
    out |= foreign.layer("norm_post", "fc_norm" if mean or "fc_norm.weight" in foreign else "norm")
    if config.outputs:
        out |= foreign.layer("head", "head", config.output_bias)
    foreign.close()
    return out


def _positions(foreign: Foreign, config: ViTConfig) -> dict[str, Tensor]:
    """Positions of patches, and prefix tokens with their own positions (where they have any) added."""
    position = foreign.take("pos_embed")[0]
    tokens = [foreign.take(name)[0] for name in ("cls_token", "reg_token") if name in foreign]
    prefix = torch.cat([position.new_zeros(0, config.width), *tokens])
    extra = len(position) - config.tokens
    if extra not in (0, len(prefix)):
        raise ValueError(
            f"{foreign.what} has {len(position)} positions for {config.tokens} patches and {len(prefix)} "
            "prefix tokens; was it trained at another size?"
        )
    return {"prefix": prefix + position[:extra] if extra else prefix, "position": position[extra:]}


def _inputs(config: ViTConfig, about: dict[str, Any]) -> Inputs:
    size = (config.grid[1] * config.patch, config.grid[2] * config.patch)
    norm = {key: tuple(about[key]) for key in ("mean", "std") if about.get(key)}
    return Inputs(size, None, 1, config.patch, **norm, interpolation=about.get("interpolation") or "bicubic")


def _classes(count: int, named: bool) -> tuple[str, ...] | None:
    """ImageNet's names where the head has one of its sizes and the weights are real."""
    from timm.data import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset({"num_classes": count}) if named else None
    if subset is None:
        return numbered(count) or None
    info = ImageNetInfo(subset)
    return tuple(info.index_to_description(i) for i in range(count))
