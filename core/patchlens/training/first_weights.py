"""How the bundled models' ViTs start before training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from patchlens.encoders.vit import ViT


def initialise(vit: ViT, positions: Tensor) -> ViT:
    """Truncated-normal weights, zero biases, `positions` (N, width) as a start for the learned ones."""
    for module in vit.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.normal_(vit.prefix, std=0.02)
    with torch.no_grad():
        vit.position.copy_(0.3 * positions)
        for block in vit.blocks:  # residual branches start small
            block.attention.proj.weight.mul_(0.3)
            block.mlp.fc2.weight.mul_(0.3)
    return vit
