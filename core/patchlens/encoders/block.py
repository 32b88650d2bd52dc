"""One pre-norm transformer block over a packed sequence: attention within segments, then an MLP; the halves run apart.

Letters: S packed length, D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from patchlens.encoders.packing import Segments, attend

if TYPE_CHECKING:
    from patchlens.encoders.vit import ViTConfig


class Attention(nn.Module):
    """Multi-head self-attention within segments, with one fused qkv layer."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.proj = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor, segments: Segments, backend: str | None = None) -> Tensor:
        return self.join(attend(*self.split(x), segments, backend))

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, each (S, heads, dh)."""
        return self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(1)

    def join(self, heads: Tensor) -> Tensor:
        """The output layer over attended values (S, heads, dh)."""
        return self.proj(heads.flatten(1))


class MLP(nn.Module):
    """Two layers with GELU, or CLIP's QuickGELU x*sigmoid(1.702x)."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.quick = config.activation == "quick_gelu"
        self.fc1 = nn.Linear(config.width, config.mlp)
        self.fc2 = nn.Linear(config.mlp, config.width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.activated(self.fc1(x)))

    def activated(self, x: Tensor) -> Tensor:
        """GELU or QuickGELU of `x`; without gradients in its place, because the widest tensor is dear to allocate."""
        if torch.is_grad_enabled():
            return x * torch.sigmoid(1.702 * x) if self.quick else F.gelu(x)
        return torch.sigmoid_(1.702 * x).mul_(x) if self.quick else torch.ops.aten.gelu_(x)


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); the two halves can be run apart."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, config.eps)
        self.attention = Attention(config)
        self.norm2 = nn.LayerNorm(config.width, config.eps)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, segments: Segments, backend: str | None = None) -> Tensor:
        x = self.mix(x, segments, backend)
        return x + self.mlp_output(x)

    def mix(self, x: Tensor, segments: Segments, backend: str | None = None) -> Tensor:
        """First half: x + attention(norm1(x))."""
        return x + self.attention(self.norm1(x), segments, backend)

    def mlp_output(self, x: Tensor) -> Tensor:
        """Second half before its residual addition: mlp(norm2(x)), what Grad-CAM watches."""
        return self.mlp(self.norm2(x))
