"""Grad-CAM over tokens: how much each patch's MLP output adds to a class logit, to first order.

Source: LITE (arXiv 2411.13626) eqs. 1-2. A is the MLP's output before the residual addition, in a named block;
alpha_k = mean over the tokens of dy/dA_ik, and the value of token i is ReLU(sum_k alpha_k A_ik). Means are taken within
each segment and over patches only (class and register tokens are excluded). Departure, by name: gradient="own" leaves
the mean out, so that each token is weighed by its own gradient (gradient times input, captum's LayerGradientXActivation
summed over features). In the last block under mean pooling all gradients are one vector, and the two are equal.

The gradient is taken by cutting the forward pass in two at the first block asked for, so no hook is set, earlier blocks
keep no graph, nothing is left on the model, and one backward serves all blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from patchlens.encoders.encoder import Encoder, held_rows
from patchlens.encoders.packing import Segments, segment_mean
from patchlens.encoders.vit import Check
from patchlens.flops import coefficients
from patchlens.types import Grid, Keep, Tokens

BACKWARD_ATTENTION = 2.5  # flash attention's backward recomputes QK^T and makes four more products
GRADIENTS = ("mean", "own")
SIGNS = ("positive", "either")  # what speaks for the answer (LITE's ReLU), or for or against it, by magnitude


Wanted = int | None | Tensor  # a class, the predicted one, or the feature (D,) of a text


@dataclass(frozen=True, eq=False)
class TokenValue:
    """One clip's maps: float32 (blocks, N) before the ReLU (0 where a token was dropped), the class, the logits (C,).

    Of a text: class 0, and one logit, the cosine of clip and text.
    """

    maps: Tensor
    label: int
    logits: Tensor

    @property
    def signed(self) -> Tensor:
        """The mean of the maps over the blocks asked for, float32 (N,); all are parts of the same logit."""
        return self.maps.mean(0)


def token_values(
    encoder: Encoder,
    tokens: Sequence[Tokens],
    labels: Sequence[Wanted],
    blocks: int | Sequence[int],
    keeps: Sequence[Keep] | None = None,
    check: Check | None = None,
    gradient: str = "mean",
) -> list[TokenValue]:
    """Grad-CAM maps of several clips in one packed pass; a label of None takes the predicted class.

    A label may also be a text's feature (D,), L2-normalised, for an encoder whose features share its space (CLIP): then
    the cosine of clip and text is explained.

    Always float32: bf16 gradients of a mean over a thousand tokens would underflow.
    Raises ValueError for a block that is not there, or another gradient than "mean" or "own".
    """
    if gradient not in GRADIENTS:
        raise ValueError(f"gradient is {gradient!r}; choose mean (LITE) or own.")
    return both_gradients(encoder, tokens, labels, blocks, keeps, check, (gradient,))[gradient]


def both_gradients(
    encoder: Encoder,
    tokens: Sequence[Tokens],
    labels: Sequence[Wanted],
    blocks: int | Sequence[int],
    keeps: Sequence[Keep] | None = None,
    check: Check | None = None,
    gradients: Sequence[str] = GRADIENTS,
) -> dict[str, list[TokenValue]]:
    """The maps of `token_values` by gradient, all from one pass."""
    numbers = [resolve_block(encoder, b) for b in ([blocks] if isinstance(blocks, int) else blocks)]
    keeps = keeps or [Keep(torch.ones(x.grid.n, dtype=torch.bool), x.grid) for x in tokens]
    counts = [encoder.counts(k) for k in keeps]
    embedded = [x.embed(None if k.count == k.grid.n else k) for x, k in zip(tokens, keeps, strict=True)]
    flat, shown = sum(counts, ()), _shown(encoder, keeps, counts)
    pairs, logits, labels = _cut_pass(encoder, torch.cat(embedded), flat, shown, numbers, labels, check)
    out = {}
    for way in gradients:
        maps = torch.stack([_contribution(a, g, Segments(flat), way) for a, g in pairs]).cpu()
        parts = zip(maps.split([k.count for k in keeps], 1), keeps, labels, logits, strict=True)
        out[way] = [TokenValue(_spread(p, k), c, y) for p, k, c, y in parts]
    return out


def _contribution(activation: Tensor, gradient: Tensor, segments: Segments, way: str) -> Tensor:
    """sum_k g_ik A_ik of every patch (K,), with each token's own gradient or its segment's mean one."""
    if way == "mean":
        gradient = segment_mean(gradient, segments)[segments.owner(gradient.device)]
    return (gradient * activation).sum(-1)


def _cut_pass(
    encoder: Encoder,
    x: Tensor,
    counts: tuple[int, ...],
    shown: list[Tensor],
    blocks: Sequence[int],
    labels: Sequence[Wanted],
    check: Check | None,
) -> tuple[list[tuple[Tensor, Tensor]], list[Tensor], list[int]]:
    """(A, dy/dA) at the patches of each block, the logits per clip (the mean of the segments it shows), the classes."""
    vit, first = encoder.vit, min(blocks)
    with torch.no_grad():
        x, segments, where = vit.assemble(x.to(encoder.device), counts)
        x = vit.blocks[first].mix(vit.trunk(x, segments, 0, first, check=check), segments)
        made = [vit.blocks[first].mlp_output(x)]
    with torch.enable_grad():
        x = x + made[0].requires_grad_()
        for block in vit.blocks[first + 1 :]:
            if check:
                check()
            x = block.mix(x, segments)
            made.append(block.mlp_output(x))
            x = x + made[-1]
        out = vit.finish(x, segments, where, counts).out
        logits = [answer(out[rows], want) for rows, want in zip(shown, labels, strict=True)]
        chosen = [chosen_class(y, want) for y, want in zip(logits, labels, strict=True)]
        target = sum(y[c] for y, c in zip(logits, chosen, strict=True))  # clips do not mix: one backward serves all
        watched = [made[b - first] for b in blocks]
        gradients = torch.autograd.grad(target, watched)
    pick = slice(None) if where is None else where
    pairs = [(a.detach()[pick], g[pick]) for a, g in zip(watched, gradients, strict=True)]
    return pairs, [y.detach().cpu() for y in logits], chosen


def answer(out: Tensor, wanted: Wanted) -> Tensor:
    """What is explained, from a clip's segments (G, outputs): mean logits (C,), or the mean cosine to a text, (1,)."""
    if not isinstance(wanted, Tensor):
        return out.mean(0)
    return (functional.normalize(out, dim=-1) @ wanted.to(out)).mean(0, keepdim=True)


def chosen_class(logits: Tensor, wanted: Wanted) -> int:
    """The number of the logit that is explained."""
    return 0 if isinstance(wanted, Tensor) else int(logits.argmax()) if wanted is None else wanted


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


def block_numbers(encoder: Encoder, blocks: str) -> tuple[int, ...]:
    """Blocks given as text: a number, "mean" (all of them) or "mean3" (the last three).

    Raises ValueError for anything else, or for blocks that this encoder has not.
    """
    depth = encoder.config.depth
    if not blocks.startswith("mean"):
        return (block_number(encoder, blocks),)
    last = blocks.removeprefix("mean") or str(depth)
    if not last.isdecimal() or not 1 <= int(last) <= depth:
        raise ValueError(f"block is {blocks!r}; give mean (all blocks) or mean1 to mean{depth} (so many last ones).")
    return tuple(range(depth - int(last), depth))


def _shown(encoder: Encoder, keeps: Sequence[Keep], counts: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """For each clip the packed segments that its frames show: an empty frame shows the one before it, as in `encode`."""
    out, first = [], 0
    for keep, segments in zip(keeps, counts, strict=True):
        rows = held_rows(keep) if encoder.segments == "frame" else torch.zeros(1, dtype=torch.long)
        out.append(first + rows)
        first += len(segments)
    return out


def _spread(values: Tensor, keep: Keep) -> Tensor:
    """Values of the kept tokens (..., K) at their places among all (..., N)."""
    full = torch.zeros(*values.shape[:-1], keep.grid.n)
    full[..., keep.mask] = values
    return full


def counted(signed: Tensor, sign: str) -> Tensor:
    """A map before eq. 2's ReLU under one of SIGNS: as it is, or its magnitude."""
    return signed.abs() if sign == "either" else signed


def unit_range(signed: Tensor) -> Tensor:
    """Eq. 2's ReLU, then min-max over the clip to 0..1; an all-zero map stays zero."""
    value = signed.clamp(min=0)
    low, high = value.min(), value.max()
    return (value - low) / (high - low) if high > low else torch.zeros_like(value)


def whole_segments(encoder: Encoder, grid: Grid) -> list[int]:
    """Patches of every segment that a full run of a clip has."""
    return [grid.n] if encoder.segments == "clip" else [grid.per_frame] * grid.t


def token_values_gmacs(encoder: Encoder, counts: Sequence[int], blocks: int | Sequence[int]) -> float:
    """Cost of a clip's maps in 1e9 MACs: a full forward, and the backward through what follows the first block's MLP.

    Frozen weights need no gradient, so a linear layer's backward costs what its forward did.
    """
    first = min(resolve_block(encoder, b) for b in ([blocks] if isinstance(blocks, int) else blocks))
    later = encoder.config.depth - 1 - first
    forward = coefficients(encoder.config)
    backward = coefficients(encoder.config, blocks=later, embed_kept=False)
    total = 0.0
    for kept in counts:
        back = backward.at(kept)
        total += forward.at(kept).total + back.linear + BACKWARD_ATTENTION * back.attention
    return total
