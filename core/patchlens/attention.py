"""Attention received by each patch in one block: QK^T is recomputed there, since fused attention never shows it."""

from __future__ import annotations

import torch
from torch import Tensor

from patchlens.encoders.encoder import Encoder
from patchlens.encoders.vit import Check
from patchlens.flops import coefficients
from patchlens.types import Grid, Tokens


@torch.no_grad()
def attention_received(encoder: Encoder, tokens: Tokens, block: int, check: Check | None = None) -> Tensor:
    """Attention mass per token, float32 (N,): the class token's row, or the mean over all queries; mean over heads."""
    vit, grid = encoder.vit, tokens.grid
    counts = (grid.n,) if encoder.segments == "clip" else (grid.per_frame,) * grid.t
    x, segments, _ = vit.assemble(tokens.embed().to(encoder.device), counts)
    x = vit.trunk(x, segments, 0, block, check=check)
    attention = vit.blocks[block].attention
    q, k, _ = attention.qkv(vit.blocks[block].norm1(x)).unflatten(-1, (3, attention.heads, -1)).unbind(1)
    front, length = vit.config.prefix, segments.lengths[0]
    received = []
    for start in range(0, segments.total, length):
        rows = q[start : start + (1 if encoder.config.pool == "cls" else length)]
        keys = k[start : start + length]
        mean = torch.zeros(length, device=q.device)
        for head in range(attention.heads):  # one head at a time: L x L floats, not heads x L x L
            scores = rows[:, head] @ keys[:, head].T * q.shape[-1] ** -0.5
            mean += scores.softmax(-1).mean(0) / attention.heads
        received.append(mean[front:])
    return torch.cat(received).float().cpu()


def attention_gmacs(encoder: Encoder, grid: Grid, block: int) -> float:
    """1e9 MACs spent: everything before the block, its qkv layer, and QK^T once more."""
    config = encoder.config
    count, kept = (1, grid.n) if encoder.segments == "clip" else (grid.t, grid.per_frame)
    before = coefficients(config, blocks=block, head=False).at(kept).total
    length = kept + config.prefix
    queries = 1 if config.pool == "cls" else length
    here = 3 * length * config.width**2 + queries * length * config.width
    return count * (before + here / 1e9)
