"""Train `tiny-clip`, the bundled dual encoder of procedural scenes and their captions: model, data and losses.

The recipe: frames and captions pull together by a symmetric contrastive loss whose positives are all captions
that are true of a frame, not only its own; captions with one claim changed are further negatives. Most steps drop
patches at random (FLIP); the last ones see all of them. Auxiliary heads (what is in this patch? what is in this
frame?) carry the first part. Knows no loop, file or evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import IterableDataset

from patchlens.data.claims import ATTRIBUTES, truth
from patchlens.data.stills import caption_batch
from patchlens.encoders.block import Attention
from patchlens.encoders.open_clip import config_of, convert
from patchlens.encoders.packing import Segments
from patchlens.encoders.patches import cut, normalise
from patchlens.encoders.tiny_clip import open_clip_model
from patchlens.encoders.vit import Output, ViT, ViTConfig
from patchlens.encoders.words import Words
from patchlens.training.contrast import contrast, flatness, parting
from patchlens.training.first_weights import initialise
from patchlens.training.optimisers import Fit, trapezoid
from patchlens.training.ranks import Share, gather

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
TRAIN_SEED = 1
NAMED = ("colour", "shape", "pattern", "size")
SIZES = tuple(len(ATTRIBUTES[name]) for name in NAMED)


@dataclass(frozen=True)
class Recipe(Fit):
    """All that decides the weights, beside the code. Shares are of the whole run."""

    frames: int = 256_000
    batch: int = 128
    warmup: float = 0.02
    decay_from: float = 0.5
    heads_until: float = 0.6
    whole_from: float = 0.93
    empty: float = 0.04
    negative_weight: float = 1.0
    parting_weight: float = 0.0
    most_scale: float = 40.0
    init: str = ""  # digest of the weights that the run went on from; "": a random start

    @classmethod
    def going_on(cls, init: str, **fields: Any) -> Recipe:
        """From weights that are trained (of digest `init`): no heads, and `parting` in place of `flatness`.

        Such weights rank frames well, but grounding cuts at the mean similarity, which half-true frames pass.
        """
        rates = dict(lr=0.6 * cls.lr, warmup=0.05, decay_from=0.4, heads_until=0.0, whole_from=0.8)
        return cls(init=init, negative_weight=0.0, parting_weight=6.0, most_scale=20.0, **rates, **fields)

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.frames // self.batch


class DenseAttention(Attention):
    """The same attention for segments of equal length by two batched products: on a CPU in bfloat16 its forward and
    backward take a fifth of the fused kernel's time."""

    def forward(self, x: Tensor, segments: Segments, backend: str | None = None) -> Tensor:
        (_, count, length), *others = segments.runs
        if others or x.is_cuda:
            return super().forward(x, segments, backend)
        q, k, v = self.qkv(x).unflatten(0, (count, length)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        weights = (q.flatten(0, 1) * q.shape[-1] ** -0.5 @ k.flatten(0, 1).transpose(1, 2)).softmax(-1)
        mixed = (weights.to(v.dtype) @ v.flatten(0, 1)).unflatten(0, (count, -1))
        return self.proj(mixed.transpose(1, 2).reshape(count * length, -1))


class DualEncoder(nn.Module):
    """Our ViT for frames and open_clip's text tower, random or from a file, with the heads that only training uses."""

    def __init__(self, seed: int, start: Path | None = None) -> None:
        super().__init__()
        text = open_clip_model(start, seed)
        config, towers = config_of(text.visual), text.visual.state_dict()
        del text.visual
        self.text = text.train()
        torch.manual_seed(seed)
        self.vit = ViT(config)
        for block in self.vit.blocks:
            block.attention = DenseAttention(config)
        if start is None:
            initialise(self.vit, picture_table(config))
        else:
            self.vit.load_state_dict(convert(towers, config))
        self.norm = nn.LayerNorm(config.width)
        self.token_head = nn.Linear(config.width, 1 + sum(SIZES))
        self.frame_head = nn.Linear(config.outputs, sum(SIZES) + 9)

    @property
    def scale(self) -> Tensor:
        """What cosines are multiplied by."""
        return self.text.logit_scale.exp()

    def encode_frames(self, frames: Tensor, index: Tensor) -> Output:
        """Encode uint8 frames (B,H,W,3) from their patches `index` (B,k)."""
        config = self.vit.config
        patches = cut(frames[:, None], 1, config.patch).flatten(2)
        patches = patches[torch.arange(len(frames))[:, None], index].reshape(-1, 3, config.patch**2)
        device = self.vit.position.device
        x = self.vit.embed(normalise(patches.to(device), MEAN, STD), index.flatten().to(device))
        return self.vit(x, (index.shape[1],) * len(frames))

    def encode_text(self, tokens: Tensor, buckets: int = 4) -> Tensor:
        """Features (n,D) of tokens (n,context), short texts apart from long ones: padding is not computed."""
        order = (tokens != 0).sum(1).argsort()
        parts = [self._text(tokens[rows]) for rows in order.chunk(buckets)]
        return torch.cat(parts)[order.argsort()]

    def _text(self, tokens: Tensor) -> Tensor:
        clip = self.text
        tokens = tokens[:, : int((tokens != 0).sum(1).max())]
        length = tokens.shape[1]
        x = clip.token_embedding(tokens) + clip.positional_embedding[:length]
        with sdpa_kernel(SDPBackend.MATH) if not x.is_cuda else nullcontext():  # the fused backward is slow on a CPU
            x = clip.ln_final(clip.transformer(x, attn_mask=clip.attn_mask[:length, :length]))
        return x[torch.arange(len(x)), tokens.argmax(1)] @ clip.text_projection


def picture_table(config: ViTConfig) -> Tensor:
    """Sines and cosines of y and x side by side, (N, width)."""
    _, h, w = config.grid
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    rates = math.pi * 2 ** torch.linspace(-4, 0, config.width // 4)
    angles = [axis.reshape(-1, 1) * rates for axis in (y, x)]
    return torch.cat([f(a) for a in angles for f in (torch.sin, torch.cos)], 1)


class Pairs(IterableDataset):
    """A process's share of each batch as tensors: frames uint8 (B,H,W,3), tokens (3B,context), claims, facts, boxes."""

    def __init__(self, recipe: Recipe, start: int, share: Share = Share()) -> None:
        self.recipe, self.start, self.share = recipe, start, share

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        import cv2

        cv2.setNumThreads(1)
        r, words = self.recipe, Words.bundled()
        for step in range(self.start, r.steps):
            index = self.share.own(range(step * r.batch, (step + 1) * r.batch))
            made = caption_batch(index, TRAIN_SEED + 1000 * r.seed, rounds=2, varied=True, empty=r.empty)
            arrays = {"frames": made.frames, "claims": made.claims, "facts": made.facts, "boxes": made.boxes}
            yield {name: torch.from_numpy(x) for name, x in arrays.items()} | {"tokens": words(made.captions)}


def patches_at(step: int, r: Recipe, tokens: int, generator: torch.Generator) -> int:
    """Patches of a frame in one step: 30 to 65 % of them, and all in the last part."""
    if step >= r.whole_from * r.steps:
        return tokens
    return int(torch.randint(round(0.3 * tokens), round(0.65 * tokens), (1,), generator=generator))


def token_targets(boxes: Tensor, index: Tensor, side: int) -> Tensor:
    """Which object (0 or 1) each patch `index` (B,k) of a `side` x `side` grid shows, or -1."""
    at = (torch.stack([index % side, index // side], -1) + 0.5) / side  # (B,k,2)
    far = (at[:, :, None] - boxes[:, None, :, :2]).norm(dim=-1) / boxes[:, None, :, 2].clamp_min(1e-6)
    near, which = far.min(-1)
    return torch.where(near < 0.48, which, -1)


def helping_loss(model: DualEncoder, output: Output, data: dict[str, Tensor], index: Tensor) -> Tensor:
    """The auxiliary heads' losses: per patch whether and what object, per frame which attributes and cells."""
    device = output.out.device
    facts, which = (
        data["facts"].to(device),
        token_targets(data["boxes"], index, model.vit.config.grid[1]).to(device),
    )
    objects = facts[:, :12].reshape(-1, 2, 6)
    found, *named = model.token_head(model.norm(output.patches)).float().split((1, *SIZES), -1)
    loss = 2 * F.binary_cross_entropy_with_logits(found.flatten(), (which >= 0).float().flatten())
    own = objects.gather(1, which.clamp_min(0)[..., None].expand(-1, -1, 6))[..., :4].flatten(0, 1)
    own = own.masked_fill((which < 0).flatten()[:, None], -1).clamp_min(-1)
    for logits, target in zip(named, own.T, strict=True):
        loss = loss + F.cross_entropy(logits, target, ignore_index=-1)
    return loss + frame_loss(model.frame_head(output.out).float(), objects)


def frame_loss(logits: Tensor, objects: Tensor) -> Tensor:
    """Binary cross-entropy of what is anywhere in a frame: colours, shapes, patterns, sizes, ninths."""
    cells = objects[..., 5] * 3 + objects[..., 4]
    cells = torch.where((objects[..., 4:] >= 0).all(-1), cells, -1)
    values = [*objects[..., :4].unbind(-1), cells]
    there = [F.one_hot(v.clamp_min(-1) + 1, n + 1)[..., 1:].amax(1) for v, n in zip(values, (*SIZES, 9), strict=True)]
    return 3 * F.binary_cross_entropy_with_logits(logits, torch.cat(there, 1).float())


def true_of(claims: Tensor, facts: Tensor) -> Tensor:
    """Which captions are true of which frames, float32 (C,B): 1, 0, or 0.5 where that is open."""
    small = (x.cpu().numpy().astype(np.int8) for x in (claims, facts))
    return torch.from_numpy(truth(*small).astype(np.float32))


def losses(model: DualEncoder, data: dict[str, Tensor], index: Tensor, fade: float, r: Recipe) -> tuple[Tensor, Tensor]:
    """(total loss, contrastive loss) of one batch seen through its patches `index` (B,k).

    Under torchrun frames and captions of all processes are each other's negatives, as in one process.
    """
    device = model.vit.position.device
    output = model.encode_frames(data["frames"], index)
    frames = gather(F.normalize(output.out.float(), dim=-1))
    texts = gather(F.normalize(model.encode_text(data["tokens"].to(device)).float(), dim=-1))
    true = true_of(*(gather(data[name].to(device)) for name in ("claims", "facts"))).to(device)
    with torch.autocast(device.type, enabled=False):
        task = contrast(frames, texts, true, model.scale.clamp(max=r.most_scale))
        loss = task + r.negative_weight * flatness(frames, texts, true) + r.parting_weight * parting(frames, texts, true)
    if fade > 0:
        loss = loss + fade * helping_loss(model, output, data, index)
    return loss, task


def rate(step: int, r: Recipe) -> float:
    """Learning-rate factor of a step."""
    return trapezoid((step + 1) / (r.steps + 1), r.warmup, r.decay_from)
