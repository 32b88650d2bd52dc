"""From any loaded ViT to a space-time classifier of a person's own classes.

An image model is inflated: each patch weight is shared out over the frames of a tubelet, each position is that of the
picture plus that of the time, which starts at zero, and the patches are averaged instead of reading a class token, so that
every token counts for itself. Knows no data and no training.
Source: I3D (Carreira & Zisserman 2017) for the repeated and rescaled weights; ViViT (Arnab et al. 2021) sec. 3.4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from patchlens.encoders.loaded import Inputs, Loaded
from patchlens.encoders.loading import private_rng
from patchlens.encoders.vit import ViT, ViTConfig

TUBELET, FRAMES = 2, 16
HEAD_STD = 0.02


@dataclass(frozen=True, eq=False)
class Start:
    """A model ready to be fine-tuned: the ViT (trainable), its input rules, and in words what it was made of."""

    vit: ViT
    inputs: Inputs
    made_of: str


class SpacePlusTime(nn.Module):
    """Positions (t*h*w, D) as a sum of space (h*w, D) and time (t, D)."""

    def forward(self, space: Tensor, time: Tensor) -> Tensor:
        return (time[:, None] + space[None]).flatten(0, 1)

    def right_inverse(self, table: Tensor) -> tuple[Tensor, Tensor]:
        """Space as the table has it at every time, and a time of zeros."""
        return table[: self.places].clone(), table.new_zeros(len(table) // self.places, table.shape[1])

    def __init__(self, places: int) -> None:
        super().__init__()
        self.places = places


def start_from(name: str, loaded: Loaded, classes: tuple[str, ...], frames: int = FRAMES, seed: int = 0) -> Start:
    """A trainable space-time ViT for `classes`: the loaded one where it is one already, else inflated to `frames` frames.

    The head is kept where the classes are the same ones, else drawn anew.
    Raises ValueError for a number of frames that tubelets do not fill.
    """
    inputs, config = loaded.inputs, replace(loaded.vit.config, outputs=len(classes), output_bias=True)
    if inputs.frames is not None:
        vit, made = with_head(loaded, classes, seed), f"{name} ({loaded.weights})"
    else:
        if frames < TUBELET or frames % TUBELET:
            raise ValueError(f"frames is {frames}; an inflated model has tubelets of {TUBELET}, so give a multiple.")
        _, h, w = config.grid
        config = replace(config, grid=(frames // TUBELET, h, w), tubelet=TUBELET, pool="mean")
        vit = _inflated(loaded.vit, config, seed)
        made = f"{name} ({loaded.weights}), inflated to {frames} frames"
    inputs = replace(inputs, frames=config.grid[0] * config.tubelet, tubelet=config.tubelet, fit="squash")
    return Start(vit.float().train().requires_grad_(True), inputs, made)


def with_head(loaded: Loaded, classes: tuple[str, ...], seed: int = 0) -> ViT:
    """A copy of the loaded ViT with a head for `classes`: its own where they are the same ones, else a new one."""
    config = replace(loaded.vit.config, outputs=len(classes), output_bias=True)
    state = {k: v.detach().clone() for k, v in loaded.vit.state_dict().items()}
    if loaded.classes != classes or "head.bias" not in state:
        state |= _new_head(config, seed)
    vit = ViT(config)
    vit.load_state_dict(state)
    return vit


def _new_head(config: ViTConfig, seed: int) -> dict[str, Tensor]:
    with private_rng(seed):
        weight = torch.randn(config.outputs, config.width) * HEAD_STD
    return {"head.weight": weight, "head.bias": torch.zeros(config.outputs)}


def _inflated(image: ViT, config: ViTConfig, seed: int) -> ViT:
    state = {k: v.detach().clone() for k, v in image.state_dict().items() if not k.startswith("head.")}
    state["embedding.weight"] = inflate_patches(state["embedding.weight"], config)
    state["position"] = state["position"].repeat(config.grid[0], 1)
    vit = ViT(config)
    vit.load_state_dict(state | _new_head(config, seed))
    parametrize.register_parametrization(vit, "position", SpacePlusTime(config.grid[1] * config.grid[2]))
    return vit


def inflate_patches(weight: Tensor, config: ViTConfig) -> Tensor:
    """Patch weights (D, C*p*p) for tubelets, (D, C*tubelet*p*p): a still tubelet embeds as its frame did."""
    width, c, p = len(weight), config.channels, config.patch
    still = weight.reshape(width, c, 1, p * p) / config.tubelet
    return still.expand(-1, -1, config.tubelet, -1).reshape(width, -1)


def settle(vit: ViT) -> ViT:
    """The ViT with its positions as one plain table again, ready to be written."""
    if parametrize.is_parametrized(vit, "position"):
        parametrize.remove_parametrizations(vit, "position", leave_parametrized=True)
    return vit.eval().requires_grad_(False)
