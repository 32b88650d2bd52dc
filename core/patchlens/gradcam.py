"""Grad-CAM over tokens: how much each patch's MLP output adds to a class logit, to first order.

Source: LITE (arXiv 2411.13626) eqs. 1-2. A is the MLP's output before the residual addition, in a named block;
alpha_k = mean over the tokens of dy/dA_ik, and the value of token i is ReLU(sum_k alpha_k A_ik). Means are taken within
each segment and over patches only (class and register tokens are excluded). The gradient is taken by cutting the forward
pass in two at the block, so no hook is set, earlier blocks keep no graph, and nothing is left on the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from patchlens.encoders.encoder import Encoder, held_rows
from patchlens.encoders.packing import Segments, segment_mean
from patchlens.encoders.vit import Check
from patchlens.flops import coefficients
from patchlens.types import Keep, Tokens

BACKWARD_ATTENTION = 2.5  # flash attention's backward recomputes QK^T and makes four more products


@dataclass(frozen=True, eq=False)
class TokenValue:
    """One clip's map: `signed` float32 (N,) before the ReLU (0 where a token was dropped), the class, the logits (C,)."""

    signed: Tensor
    label: int
    logits: Tensor


def token_values(
    encoder: Encoder,
    tokens: Sequence[Tokens],
    labels: Sequence[int | None],
    block: int,
    keeps: Sequence[Keep] | None = None,
    check: Check | None = None,
) -> list[TokenValue]:
    """Grad-CAM maps of several clips in one packed pass; a label of None takes the predicted class.

    Always float32: bf16 gradients of a mean over a thousand tokens would underflow.
    Raises ValueError for a block that is not there.
    """
    block = resolve_block(encoder, block)
    keeps = keeps or [Keep(torch.ones(x.grid.n, dtype=torch.bool), x.grid) for x in tokens]
    counts = [encoder.counts(k) for k in keeps]
    embedded = [x.embed(None if k.count == k.grid.n else k) for x, k in zip(tokens, keeps, strict=True)]
    flat, shown = sum(counts, ()), _shown(encoder, keeps, counts)
    activation, gradient, logits, labels = _cut_pass(encoder, torch.cat(embedded), flat, shown, block, labels, check)
    owner = Segments(flat)
    alpha = segment_mean(gradient, owner)
    signed = (alpha[owner.owner(alpha.device)] * activation).sum(-1).cpu()
    parts = signed.split([k.count for k in keeps])
    return [TokenValue(_spread(p, k), c, y) for p, k, c, y in zip(parts, keeps, labels, logits, strict=True)]


def _cut_pass(
    encoder: Encoder,
    x: Tensor,
    counts: tuple[int, ...],
    shown: list[Tensor],
    block: int,
    labels: Sequence[int | None],
    check: Check | None,
) -> tuple[Tensor, Tensor, Tensor, list[int]]:
    """(A, dy/dA) at the patches of `block`, the logits per clip (the mean of the segments it shows), the classes."""
    vit = encoder.vit
    with torch.no_grad():
        x, segments, where = vit.assemble(x.to(encoder.device), counts)
        x = vit.blocks[block].mix(vit.trunk(x, segments, 0, block, check=check), segments)
        activation = vit.blocks[block].mlp_output(x)
    with torch.enable_grad():
        activation.requires_grad_()
        x = vit.trunk(x + activation, segments, block + 1, check=check)
        out = vit.finish(x, segments, where, counts).out
        logits = torch.stack([out[rows].mean(0) for rows in shown])
        chosen = [int(y.argmax()) if want is None else want for y, want in zip(logits, labels, strict=True)]
        target = logits[torch.arange(len(shown)), chosen].sum()  # clips do not mix, so one backward serves all
        (gradient,) = torch.autograd.grad(target, activation)
    pick = slice(None) if where is None else where
    return activation.detach()[pick], gradient[pick], logits.detach().cpu(), chosen


def resolve_block(encoder: Encoder, block: int) -> int:
    """A block number from 0; negative ones count from the end.

    Raises ValueError naming the range.
    """
    depth = encoder.config.depth
    if not -depth <= block < depth:
        raise ValueError(
            f"block is {block}; {encoder.name} has blocks 0 to {depth - 1} (or -1 to {-depth} from the end)."
        )
    return block % depth


def block_number(encoder: Encoder, block: str) -> int:
    """A block given as text.

    Raises ValueError for what is no number, or no block of this encoder.
    """
    try:
        number = int(block)
    except ValueError:
        raise ValueError(f"block is {block!r}; give auto or a block number, negative from the end.") from None
    return resolve_block(encoder, number)


def _shown(encoder: Encoder, keeps: Sequence[Keep], counts: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """For each clip the packed segments that its frames show: an empty frame shows the one before it, as in `encode`."""
    out, first = [], 0
    for keep, segments in zip(keeps, counts, strict=True):
        rows = held_rows(keep) if encoder.segments == "frame" else torch.zeros(1, dtype=torch.long)
        out.append(first + rows)
        first += len(segments)
    return out


def _spread(values: Tensor, keep: Keep) -> Tensor:
    full = torch.zeros(keep.grid.n)
    full[keep.mask] = values
    return full


def unit_range(signed: Tensor) -> Tensor:
    """Eq. 2's ReLU, then min-max over the clip to 0..1; an all-zero map stays zero."""
    value = signed.clamp(min=0)
    low, high = value.min(), value.max()
    return (value - low) / (high - low) if high > low else torch.zeros_like(value)


def token_values_gmacs(encoder: Encoder, counts: Sequence[int], block: int) -> float:
    """Cost of one map in 1e9 MACs: a full forward, and the backward through what follows the block's MLP.

    Frozen weights need no gradient, so a linear layer's backward costs what its forward did.
    """
    later = encoder.config.depth - 1 - resolve_block(encoder, block)
    forward = coefficients(encoder.config)
    backward = coefficients(encoder.config, blocks=later, embed_kept=False)
    total = 0.0
    for kept in counts:
        back = backward.at(kept)
        total += forward.at(kept).total + back.linear + BACKWARD_ATTENTION * back.attention
    return total
