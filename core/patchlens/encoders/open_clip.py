"""open_clip models: the visual tower as our ViT, the text tower and tokenizer as they are.

It knows open_clip's names and nothing else. Weights say whether they were trained with QuickGELU, and that is
obeyed whatever the model is called, because the wrong activation gives wrong features without an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from patchlens.encoders import weights as files
from patchlens.encoders.catalog import CATALOG, OPEN_CLIP_FILES, Weights
from patchlens.encoders.loaded import Inputs, Loaded
from patchlens.encoders.loading import Foreign, activation_of, eps_of, fit, misfit, private_rng
from patchlens.encoders.vit import ViTConfig

PREPROCESS = ("mean", "std", "interpolation", "resize_mode")
FITS = {"shortest": "crop", "squash": "squash"}


def load(name: str, weights: str | None = None, seed: int = 0) -> Loaded:
    """Load an open_clip model by its name there.

    Raises KeyError for a name that open_clip has not; ValueError where the model or the weights do not fit.
    """
    import open_clip

    if open_clip.get_model_config(name) is None:
        raise KeyError(f"open_clip has no model called {name!r}; open_clip.list_models() lists those it has.")
    known = _known(name)
    chosen = files.choose(name, weights, known, seed)
    path = files.locate(chosen.path, OPEN_CLIP_FILES) if chosen.path else None
    about = (open_clip.get_pretrained_cfg(name, chosen.label) or {}) if chosen.label in known else {}
    model = _build(name, path, about, seed)
    loaded = from_model(model, name, lambda: open_clip.get_tokenizer(name), chosen.label)
    loaded.facts |= {"library": f"open_clip {open_clip.__version__}", **chosen.facts}
    if path:
        loaded.facts["sha256"] = files.digest(path)
    return loaded


def _known(name: str) -> dict[str, Weights]:
    """The weights open_clip knows for a model."""
    import open_clip

    licences = {w.tag: w.licence for w in CATALOG[name].weights} if name in CATALOG else {}
    out = {}
    for tag in open_clip.list_pretrained_tags_by_model(name):
        repo, _, file = open_clip.get_pretrained_cfg(name, tag).get("hf_hub", "").rpartition("/")
        if repo:
            names = (file,) if file else OPEN_CLIP_FILES
            out[tag] = Weights(tag, repo, names, licences.get(tag, "see the hub's page"))
    return out


def _build(name: str, path: Any, about: dict[str, Any], seed: int) -> nn.Module:
    """open_clip's own model, with its own random start or the weights at `path`."""
    import open_clip

    config = open_clip.get_model_config(name)
    if config.get("quick_gelu", False) and about and not about.get("quick_gelu", False):
        raise ValueError(f"These weights of {name} were trained with plain GELU; take the model without -quickgelu.")
    try:
        with private_rng(seed):
            return open_clip.create_model(
                name,
                pretrained=str(path) if path else None,
                pretrained_text=False,
                force_quick_gelu=bool(about.get("quick_gelu", False)),
                force_preprocess_cfg={key: about[key] for key in PREPROCESS if key in about},
            ).eval()
    except Exception as error:  # the library raises many kinds, some from the hub
        raise ValueError(f"open_clip cannot make {name}: {_first_sentence(error)}") from error


def _first_sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}{'...' if len(text) > 200 else ''}"


def from_model(
    model: nn.Module,
    name: str,
    tokenizer: Callable[[], Callable[[list[str]], Tensor]],
    weights: str = "random",
) -> Loaded:
    """Adopt a model that open_clip has made; its visual tower moves out of it.

    `tokenizer` is called at the first text. Raises ValueError where the visual tower does not fit.
    """
    config = config_of(model.visual, name)
    about = dict(getattr(model.visual, "preprocess_cfg", {}))
    resize = about.get("resize_mode", "shortest")
    if resize not in FITS:
        raise misfit(name, f"it wants frames resized by {resize!r}")
    vit = fit(convert, model.visual.state_dict(), config, f"{name}'s visual tower")
    del model.visual
    side = (config.grid[1] * config.patch, config.grid[2] * config.patch)
    inputs = Inputs(
        side,
        None,
        1,
        config.patch,
        tuple(about.get("mean", (0.48145466, 0.4578275, 0.40821073))),
        tuple(about.get("std", (0.26862954, 0.26130258, 0.27577711))),
        FITS[resize],
        about.get("interpolation", "bicubic"),
    )
    return Loaded(vit, inputs, None, weights, {}, Text(model, tokenizer), normalise=True)


class Text:
    """The text side of a CLIP model; the tokenizer is made at the first call."""

    def __init__(self, model: nn.Module, tokenizer: Callable[[], Callable[[list[str]], Tensor]]) -> None:
        self.model, self._make, self._tokenizer = model.requires_grad_(False), tokenizer, None

    @torch.no_grad()
    def encode_text(self, texts: list[str]) -> Tensor:
        """Features (n, D) of n texts, float32 on the CPU, L2-normalised."""
        self._tokenizer = self._tokenizer or self._make()
        device = next(self.model.parameters()).device
        return F.normalize(self.model.encode_text(self._tokenizer(list(texts)).to(device)).float(), dim=-1).cpu()


def config_of(visual: nn.Module, name: str = "This model") -> ViTConfig:
    """The shape of a visual tower.

    Raises ValueError, saying what does not fit, for convolutional and timm trunks, attention pooling and the
    like.
    """
    from open_clip.transformer import VisionTransformer

    if type(visual) is not VisionTransformer:
        raise misfit(name, f"its visual tower is a {type(visual).__name__}")
    if why := _odd(visual):
        raise misfit(name, why)
    blocks = visual.transformer.resblocks
    pre = not isinstance(visual.ln_pre, nn.Identity)
    norms = [n for b in blocks for n in (b.ln_1, b.ln_2)] + ([visual.ln_pre] if pre else [])
    return ViTConfig(
        width=visual.conv1.out_channels,
        depth=len(blocks),
        heads=blocks[0].attn.num_heads,
        mlp=blocks[0].mlp.c_fc.out_features,
        grid=(1, *visual.grid_size),
        patch=visual.patch_size[0],
        prefix=1,
        pool="cls" if visual.pool_type == "tok" else "mean",
        outputs=visual.proj.shape[1],
        output_bias=False,
        embed_bias=False,
        norm_pre=pre,
        activation=activation_of(blocks[0].mlp.gelu, name),
        eps=eps_of(norms, name),
        eps_post=eps_of([visual.ln_post], name),
    )


def _odd(visual: Any) -> str:
    """What in the tower our ViT lacks, or ""."""
    from open_clip.transformer import LayerScale, ResidualAttentionBlock

    if visual.attn_pool is not None:
        return "it pools by attention"
    if visual.pool_type == "none" or (visual.pool_type == "avg" and not visual.final_ln_after_pool):
        return f"it pools by {visual.pool_type!r} behind its last norm"
    if visual.patch_size[0] != visual.patch_size[1]:
        return f"its patches are {visual.patch_size[0]} x {visual.patch_size[1]} pixels, not square"
    if visual.proj is None:
        return "it has no projection"
    for block in visual.transformer.resblocks:
        if type(block) is not ResidualAttentionBlock:
            return f"its blocks are {type(block).__name__}s"
        if any(not isinstance(s, nn.Identity | LayerScale) for s in (block.ls_1, block.ls_2)):
            return f"its blocks scale by {type(block.ls_1).__name__}"
    return ""


def convert(state: dict[str, Tensor], config: ViTConfig, what: str = "The state dict") -> dict[str, Tensor]:
    """Our state dict from that of a visual tower.

    Raises ValueError for names that are missing or left over.
    """
    foreign = Foreign(state, what)
    position = foreign.take("positional_embedding")
    out = foreign.layer("embedding", "conv1", bias=False)
    out |= {"prefix": (foreign.take("class_embedding") + position[0])[None], "position": position[1:]}
    if config.norm_pre:
        out |= foreign.layer("norm_pre", "ln_pre")
    for i in range(config.depth):
        ours, theirs = f"blocks.{i}.", f"transformer.resblocks.{i}."
        out |= foreign.layer(f"{ours}norm1", f"{theirs}ln_1") | foreign.layer(f"{ours}norm2", f"{theirs}ln_2")
        for part in ("weight", "bias"):
            out[f"{ours}attention.qkv.{part}"] = foreign.take(f"{theirs}attn.in_proj_{part}")
        out |= foreign.scaled(f"{ours}attention.proj", f"{theirs}attn.out_proj", f"{theirs}ls_1.gamma")
        out |= foreign.layer(f"{ours}mlp.fc1", f"{theirs}mlp.c_fc")
        out |= foreign.scaled(f"{ours}mlp.fc2", f"{theirs}mlp.c_proj", f"{theirs}ls_2.gamma")
    out |= foreign.layer("norm_post", "ln_post")
    out |= {"head.weight": foreign.take("proj").T}
    foreign.close()
    return out
