"""Several clips in one packed run: all frames alike, or I-frames first and then the P-frames that lean on them.

It knows which tokens go into which packed sequence and back; the encoder knows the rest.
Source: ResidualViT (arXiv 2509.13255) sec. 3; algorithms.md 2.1 (no loop over frames) and 2.2.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from patchlens.encoders.patches import cut, fit_frames
from patchlens.encoders.vit import Check, Output
from patchlens.interleave import blocks
from patchlens.merge import Merger
from patchlens.types import Keep, Tokens

if TYPE_CHECKING:
    from patchlens.encoders.encoder import Encoder


def packed(
    encoder: Encoder, tokens: Sequence[Tokens], keeps: Sequence[Keep],
    backend: str | None = None, check: Check | None = None, merger: Merger | None = None,
) -> list[Output]:  # fmt: skip
    """One Output per clip from one packed sequence of all kept tokens."""
    counts = [encoder.counts(k) for k in keeps]
    lengths = _runs(keeps) if encoder.fast.length is not None else None
    known = lengths is None and all(k.embeds_all for k in keeps)
    x = _taken(encoder, tokens, keeps) if known else _embedded(encoder, tokens, keeps, lengths)
    weighted = encoder.segments == "clip" and any(k.weighted for k in keeps)
    weights = _runs([k if k.weighted else replace(k, run_length=None) for k in keeps]).to(x.device) if weighted else None
    ways = dict(backend=backend, check=check, merger=merger, weights=weights)
    return _split(encoder.fast(x, sum(counts, ()), **ways), counts)


def _runs(keeps: Sequence[Keep]) -> Tensor:
    """Run lengths of all kept tokens in packed order, int64; 1 throughout a clip that has none."""
    return torch.cat(
        [torch.ones(k.count, dtype=torch.long) if k.run_length is None else k.run_length[k.index] for k in keeps]
    )


def _embedded(
    encoder: Encoder, tokens: Sequence[Tokens], keeps: Sequence[Keep], lengths: Tensor | None
) -> Tensor:
    """Embeddings of the kept patches of all clips; no other patch is embedded."""
    patches = [x.patches if k.count == x.grid.n else x.patches[k.index] for x, k in zip(tokens, keeps, strict=True)]
    return encoder.embed_with(encoder.fast, torch.cat(patches), torch.cat([k.index for k in keeps]), lengths)


def _taken(encoder: Encoder, tokens: Sequence[Tokens], keeps: Sequence[Keep]) -> Tensor:
    """The same, taken out of the embeddings of all patches, which a selector has asked for already."""
    kept = torch.cat([x.embed()[k.index] for x, k in zip(tokens, keeps, strict=True)])
    return kept.to(encoder.device, encoder.dtype)


def _split(output: Output, counts: list[tuple[int, ...]]) -> list[Output]:
    """One Output per clip."""
    sizes = [sum(c) for c in counts]
    pooled, out = (x.split([len(c) for c in counts]) for x in (output.pooled, output.out))
    if output.groups is None:
        return [Output(*parts) for parts in zip(output.patches.split(sizes), pooled, out, strict=True)]
    first = torch.tensor([0, *sizes]).cumsum(0)[:-1].tolist()
    groups = [torch.where(g >= 0, g - at, -1) for g, at in zip(output.groups.split(sizes), first, strict=True)]
    patches = output.patches.split([len(g[g >= 0].unique()) for g in groups])
    return [Output(*parts) for parts in zip(patches, pooled, out, groups, strict=True)]


def interleaved(
    encoder: Encoder, tokens: Sequence[Tokens], keeps: Sequence[Keep],
    backend: str | None = None, check: Check | None = None, merger: Merger | None = None,
) -> list[Output]:  # fmt: skip
    """One Output per clip: a packed sequence of all I-frames, then one of all P-frames with their residual tokens.

    A merger acts in the P-frames only.
    """
    run = functools.partial(_run, encoder, tokens, keeps, backend=backend, check=check)
    anchors = run(intra=True)
    known = [encoder.feature(output).float() for output in anchors]
    rest = run(intra=False, residual=_residuals(encoder, keeps, known), merger=merger)
    return [_woven(k, a, p) for k, a, p in zip(keeps, anchors, rest, strict=True)]


@torch.no_grad()
def predicted(
    encoder: Encoder, tokens: Tokens, keep: Keep, known: Tensor, check: Check | None = None, merger: Merger | None = None
) -> Tensor:
    """Features (t, D) of an interleaved clip whose I-frames are known: those rows of `known` (t, D), and new P-frames.

    As `encoder.encode` gives them; for whoever tries several schedules on the same frames.
    """
    residual = _residuals(encoder, [keep], [known[keep.intra].to(encoder.device)])
    (made,) = _run(encoder, [tokens], [keep], intra=False, residual=residual, check=check, merger=merger)
    features = encoder.feature(made).float().cpu()
    if encoder.loaded.normalise:
        features = torch.nn.functional.normalize(features, dim=-1)
    out = known.clone()
    out[~keep.intra] = features
    return out


def _run(
    encoder: Encoder, tokens: Sequence[Tokens], keeps: Sequence[Keep], intra: bool, **ways: Any
) -> list[Output]:
    """The I-frames (or the P-frames) of all clips as one sequence; every patch of these frames is embedded."""
    vit, counts, patches, index, kept = encoder.fast if intra else encoder.predictor, [], [], [], []
    coarse = None if intra else _coarse(keeps)
    for x, keep in zip(tokens, keeps, strict=True):
        frames = keep.intra if intra else ~keep.intra
        here = frames.repeat_interleave(keep.grid.per_frame).nonzero().squeeze(1)
        counts.append(tuple(k for k, yes in zip(keep.per_frame, frames.tolist(), strict=True) if yes))
        seen = (x.patches[here], here, keep.mask[here]) if coarse is None else _coarsely(x, keep, frames, coarse)
        for whole, part in zip((patches, index, kept), seen, strict=True):
            whole.append(part)
    if not any(counts):
        empty = torch.zeros(0, vit.config.width)
        return [Output(empty, empty, torch.zeros(0, vit.config.outputs or vit.config.width))] * len(counts)
    x = encoder.embed_with(vit, torch.cat(patches), torch.cat(index), grid=coarse)[torch.cat(kept).to(encoder.device)]
    return _split(vit(x, sum(counts, ()), **ways), counts)


def _coarse(keeps: Sequence[Keep]) -> tuple[int, int] | None:
    """Rows and columns of all P-frames where they are seen at a lower resolution."""
    grids = {k.coarse for k in keeps}
    if len(grids) > 1:
        raise ValueError("Clips whose P-frames differ in resolution cannot share one batch; encode them apart.")
    return grids.pop()


def _coarsely(tokens: Tokens, keep: Keep, frames: Tensor, coarse: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Patches of these frames at the lower resolution, their numbers in that grid, and which are kept."""
    grid, size = keep.grid, tuple(cells * keep.grid.patch for cells in coarse)
    small = fit_frames(tokens.frames[frames], size, "squash")[0] if frames.any() else tokens.frames.new_zeros(0, *size, 3)
    first = torch.from_numpy(blocks(grid.h, grid.w, coarse)).unique()
    patches = cut(small, 1, grid.patch)
    return patches, torch.arange(len(patches)), keep.mask.reshape(grid.t, -1)[frames][:, first].reshape(-1)


def _residuals(encoder: Encoder, keeps: Sequence[Keep], anchors: list[Tensor]) -> Tensor | None:
    """The residual token of every P-frame, in order, (G, D), from the features of each clip's I-frames; None: no token."""
    modes = {encoder.residual(k) for k in keeps}
    if len(modes) > 1:
        raise ValueError("Clips with and without residual tokens cannot share one batch; encode them apart.")
    if modes == {"off"}:
        return None
    leant = []
    for keep, features in zip(keeps, anchors, strict=True):
        row = keep.intra.cumsum(0)[keep.anchor] - 1
        leant.append(features[row[~keep.intra].to(features.device)])
    features = torch.cat(leant)
    if modes == {"on"}:
        return encoder.tokenizer(features)
    return features.new_zeros(len(features), encoder.config.width)


def _woven(keep: Keep, anchors: Output, rest: Output) -> Output:
    """I- and P-frames back in their order, with the P-frames' groups where tokens were merged."""
    owner = keep.intra.repeat_interleave(keep.grid.per_frame)[keep.index]
    pooled, out = (_merged(keep.intra, a, b) for a, b in ((anchors.pooled, rest.pooled), (anchors.out, rest.out)))
    if rest.groups is None:
        return Output(_merged(owner, anchors.patches, rest.patches), pooled, out)
    ours, theirs = owner.nonzero().squeeze(1), (~owner).nonzero().squeeze(1)
    groups, own = torch.arange(len(owner)), rest.groups.cpu()
    groups[theirs] = torch.where(own >= 0, theirs[own.clamp(min=0)], -1)
    survivors = torch.cat([ours, theirs[own[own >= 0].unique()]])
    patches = torch.cat([anchors.patches, rest.patches])[survivors.argsort().to(anchors.patches.device)]
    return Output(patches, pooled, out, groups)


def _merged(first: Tensor, ours: Tensor, theirs: Tensor) -> Tensor:
    """Rows of `ours` where `first` is True, and of `theirs` elsewhere, each in order."""
    out = ours.new_empty(len(first), ours.shape[1])
    out[first.to(ours.device)], out[~first.to(ours.device)] = ours, theirs.to(ours)
    return out
