"""The residual tokenizer: what a P-frame is told of its I-frame, as one token.

It knows the module and its file, and no encoder family: `attach` looks for the file that lies beside an encoder's weights.
Source: ResidualViT (arXiv 2509.13255) sec. 3.1; algorithms.md 2.2.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from patchlens.encoders import carded
from patchlens.encoders import weights as files
from patchlens.encoders.catalog import BUNDLED
from patchlens.encoders.loaded import Loaded
from patchlens.encoders.loading import adopt
from patchlens.encoders.vit import ViT

ENDING = ".residual.safetensors"
VIT = "vit."  # of a fine-tuned tower's tensors in the file


class ResidualTokenizer(nn.Module):
    """Linear map of the L2-normalised, projected feature (b) of an I-frame to a token (d).

    layers > 1 puts ReLU and one more linear layer behind it, once per further layer; those between are `hidden` wide,
    which is d in the paper.
    """

    def __init__(self, features: int, width: int, layers: int = 1, hidden: int | None = None) -> None:
        super().__init__()
        sizes = [features, *[hidden or width] * (layers - 1), width]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False))

    def forward(self, features: Tensor) -> Tensor:
        """Features (..., b), of any length, to tokens (..., d)."""
        first, *rest = self.layers
        x = first(F.normalize(features, dim=-1))
        for layer in rest:
            x = layer(F.relu(x))
        return x

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one token."""
        return sum(layer.weight.numel() for layer in self.layers)


def write(path: Path, tokenizer: ResidualTokenizer, card: dict[str, Any], vit: ViT | None = None) -> None:
    """Write weights (with `vit`, also those of the tower fine-tuned for P-frames) and card, whole or not at all."""
    state = {**tokenizer.state_dict(), **{f"{VIT}{name}": x for name, x in (vit.state_dict() if vit else {}).items()}}
    carded.write(path, state, card)


def read(path: Path) -> tuple[ResidualTokenizer, dict[str, Any], dict[str, Tensor]]:
    """A tokenizer, its card, and the tensors of a tower fine-tuned with it (or none).

    Raises ValueError for a file that is absent or that `patchlens train residual` did not write.
    """
    with carded.expected(path, "residual tokenizer", "patchlens train residual"):
        state, card = carded.read(path)
        tower = {name.removeprefix(VIT): state.pop(name) for name in list(state) if name.startswith(VIT)}
        layers = len(state) // 2
        (hidden, features), width = state["layers.0.weight"].shape, len(state[f"layers.{layers - 1}.weight"])
        made = ResidualTokenizer(features, width, layers, hidden)
        made.load_state_dict(state)
    return made.eval().requires_grad_(False), card, tower


def beside(name: str, weights: str | None) -> Path | None:
    """Where the tokenizer of an encoder's weights would lie: beside the file, in the folder, or among the bundled ones."""
    if weights in (None, "bundled"):
        return BUNDLED / f"{name}{ENDING}"
    path = Path(weights).expanduser()
    if path.is_dir():
        return path / ENDING[1:]
    return path.with_name(path.stem + ENDING) if path.is_file() else None


def attach(loaded: Loaded, name: str, weights: str | None, given: str | None = None) -> Loaded:
    """Give an encoder the tokenizer in the file `given`, or else the one beside its weights, where that one fits.

    Raises ValueError where the given one was made for another encoder or for other weights.
    """
    path = Path(given).expanduser() if given else beside(name, weights)
    if path is None or not (given or path.exists()):
        return loaded
    tokenizer, card, tower = read(path)
    if problem := _misfit(loaded, name, tokenizer, card):
        if given:
            raise ValueError(f"{path.name} {problem}")
        return loaded
    loaded.residual_tokenizer = tokenizer
    loaded.predictor = adopt(loaded.vit.config, tower, path.name) if tower else None
    loaded.facts["residual_tokenizer"] = files.digest(path)
    return loaded


def _misfit(loaded: Loaded, name: str, tokenizer: ResidualTokenizer, card: dict[str, Any]) -> str | None:
    config, first, last = loaded.vit.config, tokenizer.layers[0], tokenizer.layers[-1]
    wanted = (config.outputs if loaded.classes is None and config.outputs else config.width, config.width)
    if (first.in_features, last.out_features) != wanted:
        return f"maps {first.in_features} numbers to {last.out_features}; {name} needs {wanted[0]} to {wanted[1]}."
    if card.get("encoder_weights") != made_for(loaded):
        return f"was trained for other weights of {name}; train one for these."
    return None


def made_for(loaded: Loaded) -> str:
    """What identifies a visual tower's weights: a digest of its tensors, whatever file they came in."""
    digest = hashlib.sha256()
    for name, x in sorted(loaded.vit.state_dict().items()):
        digest.update(name.encode() + x.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]
