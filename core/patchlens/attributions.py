"""Other explanations of the same answer on the same tokens, by captum: to hold the Grad-CAM oracle against.

All see the clip as its token embeddings. "Nothing" is a grey patch at its place: the embedding of the mean colour, with its
position. captum is imported when asked, and its hooks are gone afterwards, also after an error.
Sources: Sundararajan et al. 2017 (integrated gradients), Zeiler & Fergus 2014 (occlusion).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from patchlens.encoders.encoder import Encoder
from patchlens.encoders.vit import Check
from patchlens.flops import coefficients
from patchlens.gradcam import BACKWARD_ATTENTION, Wanted, answer, chosen_class, resolve_block, token_values_gmacs
from patchlens.types import Tokens

METHODS = ("gradient x activation", "integrated gradients", "occlusion")
TOGETHER = 4  # clips in one packed pass


@dataclass(frozen=True, eq=False)
class Attribution:
    """A map float32 (N,), signed; the class that it explains (0 for a text); what it cost in 1e9 multiply-accumulates."""

    signed: Tensor
    label: int
    gmacs: float


def attribute(
    encoder: Encoder,
    tokens: Tokens,
    wanted: Wanted,
    method: str,
    block: int = -1,
    steps: int = 16,
    check: Check | None = None,
) -> Attribution:
    """Attribute an answer to the tokens of a clip.

    method  one of METHODS: at a block's MLP output (`block`); along `steps` points from nothing to the clip; or by
            putting nothing in the place of one token after the other, a full run each
    Raises ValueError for another method, or a block that is not there.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; choose one of {', '.join(METHODS)}.")
    x = tokens.embed().to(encoder.device)
    counts = (tokens.grid.n,) if encoder.segments == "clip" else (tokens.grid.per_frame,) * tokens.grid.t
    with torch.no_grad():
        label = chosen_class(answer(encoder.vit(x, counts).out, wanted), wanted)

    def forward(batch: Tensor) -> Tensor:
        if check:
            check()
        out = encoder.vit(batch.flatten(0, 1), counts * len(batch)).out.unflatten(0, (len(batch), -1))
        return torch.stack([answer(part, wanted)[label] for part in out])

    run, both = _costs(encoder, counts)
    if method == METHODS[0]:
        made = _at_block(encoder, forward, x, counts, block)
        return Attribution(made, label, run + token_values_gmacs(encoder, counts, block))
    nothing = encoder.vit.embed(torch.zeros(len(x), encoder.config.patch_dim, device=x.device), torch.arange(len(x)))
    if method == METHODS[1]:
        return Attribution(_integrated(forward, x, nothing, steps), label, run + steps * both)
    return Attribution(_occluded(forward, x, nothing), label, (2 + len(x)) * run)


def _at_block(
    encoder: Encoder, forward: Callable[[Tensor], Tensor], x: Tensor, counts: tuple[int, ...], block: int
) -> Tensor:
    from captum.attr import LayerGradientXActivation

    layer = encoder.vit.blocks[resolve_block(encoder, block)].mlp
    made = LayerGradientXActivation(forward, layer).attribute(x[None])  # (S, D), packed with the prefix tokens
    _, _, where = encoder.vit.assemble(x, counts)
    return (made if where is None else made[where]).sum(-1).detach().float().cpu()


def _integrated(forward: Callable[[Tensor], Tensor], x: Tensor, nothing: Tensor, steps: int) -> Tensor:
    from captum.attr import IntegratedGradients

    with torch.enable_grad():
        made = IntegratedGradients(forward).attribute(
            x[None], baselines=nothing[None], n_steps=steps, method="gausslegendre", internal_batch_size=TOGETHER
        )
    return made[0].sum(-1).detach().float().cpu()


def _occluded(forward: Callable[[Tensor], Tensor], x: Tensor, nothing: Tensor) -> Tensor:
    from captum.attr import FeatureAblation

    mask = torch.arange(len(x), device=x.device)[None, :, None].expand(1, -1, x.shape[1])
    with torch.no_grad():
        made = FeatureAblation(forward).attribute(
            x[None], baselines=nothing[None], feature_mask=mask, perturbations_per_eval=TOGETHER
        )
    return made[0, :, 0].float().cpu()


def _costs(encoder: Encoder, counts: tuple[int, ...]) -> tuple[float, float]:
    """1e9 multiply-accumulates of one run, and of one run with its way back to the embeddings."""
    run = both = 0.0
    each = coefficients(encoder.config, embed_kept=False)
    for kept in counts:
        cost = each.at(kept)
        run += cost.total
        both += cost.total + cost.linear + BACKWARD_ATTENTION * cost.attention
    return run, both
