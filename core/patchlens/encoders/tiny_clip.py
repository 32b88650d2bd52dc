"""The bundled dual encoder `tiny-clip`: an open_clip model of our own config, for procedural scenes and captions.

It knows where config, weights and words lie, and how our ViT's tensors go back under open_clip's names, so that
open_clip itself can load the file. Everything else is `open_clip.py`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from patchlens.encoders import weights as files
from patchlens.encoders.catalog import BUNDLED
from patchlens.encoders.loaded import Loaded
from patchlens.encoders.loading import private_rng
from patchlens.encoders.open_clip import from_model
from patchlens.encoders.vit import ViT
from patchlens.encoders.words import Words

NAME = "tiny-clip"
CONFIG = BUNDLED / "tiny-clip.json"
FILE = BUNDLED / "tiny-clip.safetensors"


def open_clip_model(weights: Path | None = None, seed: int = 0) -> nn.Module:
    """The model as open_clip makes it from our config, with its random start (from `seed`) or a file's weights.

    Raises FileNotFoundError where `weights` is not there.
    """
    import open_clip

    if NAME not in open_clip.list_models():
        open_clip.add_model_config(CONFIG)
    if weights is not None and not weights.exists():
        raise FileNotFoundError(f"There is no file {weights}; make it by `patchlens train tiny-clip`.")
    with private_rng(seed):
        return open_clip.create_model(
            NAME,
            pretrained=None if weights is None else str(weights),
            force_preprocess_cfg={"resize_mode": "squash"},
        ).eval()


def load_tiny_clip(weights: Path | str | None = None, seed: int = 0) -> Loaded:
    """Load `tiny-clip`: the bundled weights (None), a file, or "random" (from `seed`).

    `.text.encode_text` names unknown words in a ValueError. Raises FileNotFoundError for a file that is not
    there.
    """
    random = weights == "random"
    path = None if random else FILE if weights in (None, "bundled") else Path(weights)
    label = "random" if random else "bundled" if path == FILE else path.name
    loaded = from_model(open_clip_model(path, seed), NAME, Words.bundled, label)
    facts: dict[str, Any] = {"seed": seed} if random else {"sha256": files.digest(path)}
    loaded.facts |= {"library": "open_clip config of PatchLens", "licence": "Apache-2.0", **facts}
    return loaded


def load(name: str, weights: str | None = None, seed: int = 0) -> Loaded:
    """What `loading.load` calls; `name` is always "tiny-clip".

    Raises ValueError where the weights are absent.
    """
    try:
        return load_tiny_clip(weights, seed)
    except FileNotFoundError as error:
        raise ValueError(str(error)) from error


def to_open_clip(vit: ViT) -> dict[str, Tensor]:
    """Our ViT's tensors under the names of open_clip's visual tower: the inverse of `open_clip.convert`."""
    state, config = {name: x.detach().float().cpu() for name, x in vit.state_dict().items()}, vit.config
    prefix = state["prefix"]
    out = {
        "class_embedding": prefix[0] * 0,  # open_clip adds position 0 to it, and ours holds their sum
        "positional_embedding": torch.cat([prefix, state["position"]]),
        "conv1.weight": state["embedding.weight"].reshape(-1, config.channels, config.patch, config.patch),
        "proj": state["head.weight"].T,
    }
    names = {"norm_pre": "ln_pre", "norm_post": "ln_post"}
    for i in range(config.depth):
        ours, theirs = f"blocks.{i}.", f"transformer.resblocks.{i}."
        names |= {
            f"{ours}norm1": f"{theirs}ln_1", f"{ours}norm2": f"{theirs}ln_2",
            f"{ours}attention.proj": f"{theirs}attn.out_proj",
            f"{ours}mlp.fc1": f"{theirs}mlp.c_fc", f"{ours}mlp.fc2": f"{theirs}mlp.c_proj",
        }  # fmt: skip
        for part in ("weight", "bias"):
            out[f"{theirs}attn.in_proj_{part}"] = state[f"{ours}attention.qkv.{part}"]
    for ours, theirs in names.items():
        out |= {f"{theirs}.{part}": state[f"{ours}.{part}"] for part in ("weight", "bias")}
    return {name: x.contiguous() for name, x in out.items()}
