"""Train `tiny-video`, the bundled space-time ViT that names 16 procedural motions.

The recipe (measured, see the model card). The start: clips go from easy to the default difficulty, and tokens lean to
frame differences so that a small actor is found at all. After it, tokens are dropped at random only (full clips
included), so that the finished model favours no cue. Two per-token losses (is this the actor? which motion is it?) carry
most of the run and fade out. Knows the model and the data; knows no selector.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import IterableDataset

from patchlens.data.motions import CLASSES, batch
from patchlens.encoders.patches import cut, normalise
from patchlens.encoders.reference import CONFIG, MEAN, STD
from patchlens.encoders.vit import ViT, ViTConfig

TRAIN_SEED, VALIDATION_SEED, TEST_SEED = 1, 2, 3  # streams of procedural clips that never meet
MOST_TOKENS = 64 * 224  # in one step: long sequences get fewer clips


@dataclass(frozen=True)
class Recipe:
    """All that decides the weights, beside the code. Shares are of the whole run."""

    clips: int = 166_400
    batch: int = 64
    seed: int = 0
    lr: float = 2e-3
    weight_decay: float = 0.05
    smoothing: float = 0.05
    warmup: float = 0.0385
    decay_from: float = 0.5
    easy_until: float = 0.385
    biased_until: float = 0.385
    token_losses_until: float = 0.85
    token_weight: float = 1.5
    shuffled: bool = False  # control: frames in random order
    single: bool = False  # control: one frame repeated

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.clips // self.batch


class TokenHeads(nn.Module):
    """The two per-token heads that only training uses: actor or not, and which motion."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.actor = nn.Linear(width, 1)
        self.motion = nn.Linear(width, len(CLASSES))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.norm(x)
        return self.actor(x).squeeze(-1), self.motion(x)


def initialise(vit: ViT) -> ViT:
    """Truncated-normal weights, zero biases, a space-time sin-cos start for the learned positions."""
    for module in vit.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.normal_(vit.prefix, std=0.02)
    nn.init.trunc_normal_(vit.head.weight, std=0.01)
    with torch.no_grad():
        vit.position.copy_(0.3 * space_time_table(vit.config))
        for block in vit.blocks:  # residual branches start small
            block.attention.proj.weight.mul_(0.3)
            block.mlp.fc2.weight.mul_(0.3)
    return vit


def space_time_table(config: ViTConfig) -> Tensor:
    """Sines and cosines of t, y and x side by side, (N, width)."""
    axes = torch.meshgrid(*[torch.arange(n, dtype=torch.float32) for n in config.grid], indexing="ij")
    per_axis = config.width // 6
    rates = 2 ** torch.linspace(-4, 1.2, per_axis)
    angles = [a.reshape(-1, 1) * rates for a in axes]
    table = torch.cat([f(a) for a in angles for f in (torch.sin, torch.cos)], 1)
    return F.pad(table, (0, config.width - table.shape[1]))


class Clips(IterableDataset):
    """Batches of clip number b*batch onwards: (frames uint8 (B,T,H,W,3), labels (B,), actor share of tokens (B,N))."""

    def __init__(self, recipe: Recipe, start: int) -> None:
        self.recipe, self.start = recipe, start

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        import cv2

        cv2.setNumThreads(1)
        r = self.recipe
        for step in range(self.start, r.steps):
            ease = max(0.0, 1 - step / r.steps / r.easy_until)
            index = range(step * r.batch, (step + 1) * r.batch)
            frames, labels, actors = batch(index, seed=TRAIN_SEED + 1000 * r.seed, ease=ease)
            yield self.control(frames, step), labels, actor_share(actors)

    def control(self, frames: np.ndarray, step: int) -> np.ndarray:
        """Destroy time for the control runs: classes must need it."""
        rng = np.random.default_rng((self.recipe.seed, step))
        if self.recipe.shuffled:
            return np.stack([f[rng.permutation(f.shape[0])] for f in frames])
        if self.recipe.single:
            return np.stack([np.repeat(f[[rng.integers(f.shape[0])]], f.shape[0], 0) for f in frames])
        return frames


def actor_share(actors: np.ndarray) -> np.ndarray:
    """Share of each token that is actor, float32 (B, N), from masks (B, T, H, W)."""
    b, (t, h, w), p = len(actors), CONFIG.grid, CONFIG.patch
    return actors.reshape(b, t, -1, h, p, w, p).mean((2, 4, 6), dtype=np.float32).reshape(b, -1)


def choose(patches: Tensor, k: int, biased: bool, generator: torch.Generator) -> Tensor:
    """Token numbers (B, k) to train on: at random, or leaning to tokens that differ from their past."""
    b, n = patches.shape[:2]
    noise = torch.rand(b, n, generator=generator)
    if not biased:
        return noise.topk(k, 1).indices.sort(1).values
    grid = patches.reshape(b, CONFIG.grid[0], -1, patches.shape[-1]).float()
    change = torch.zeros(grid.shape[:3])
    change[:, 1:] = (grid[:, 1:] - grid[:, :-1]).abs().mean(-1)
    change[:, 0] = change[:, 1]
    rank = change.reshape(b, n).argsort(1).argsort(1) / n
    return (rank + noise).topk(k, 1).indices.sort(1).values


def tokens_at(step: int, generator: torch.Generator) -> int:
    """Tokens a clip in one step: 80 to 224, and every 12th step up to all of them."""
    low, high = (80, 225) if step % 12 else (320, CONFIG.tokens + 1)
    return int(torch.randint(low, high, (1,), generator=generator))


def gather(x: Tensor, index: Tensor) -> Tensor:
    """Rows `index` (B, k) of x (B, N, ...)."""
    return x[torch.arange(len(x))[:, None], index]


def losses(vit: ViT, heads: TokenHeads, data: tuple[Tensor, ...], k: int, biased: bool, fade: float,
           r: Recipe, generator: torch.Generator, device: str) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(total loss, task loss) of one batch seen through k tokens a clip."""
    frames, labels, share = (x[: max(16, MOST_TOKENS // k)] for x in data)
    patches = cut(frames, CONFIG.tubelet, CONFIG.patch).flatten(2)
    index = choose(patches, k, biased, generator)
    patches, share = gather(patches, index).to(device), gather(share, index).to(device).flatten()
    labels = labels.to(device)
    x = vit.embed(
        normalise(patches.reshape(-1, CONFIG.channels, CONFIG.patch_dim // 3), MEAN, STD),
        index.flatten().to(device),
    )
    output = vit(x, (k,) * len(frames))
    task = F.cross_entropy(output.out.float(), labels, label_smoothing=r.smoothing)
    if fade <= 0:
        return task, task
    actor, motion = heads(output.patches)
    per_token = labels.repeat_interleave(k)
    find = F.binary_cross_entropy_with_logits(actor.float(), (share > 0.1).float(), pos_weight=torch.tensor(4.0))
    name = F.cross_entropy(motion.float(), per_token, reduction="none") * share
    return task + fade * (2 * find + r.token_weight * name.sum() / share.sum().clamp_min(1)), task


def optimisers(vit: ViT, heads: nn.Module, r: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices, AdamW for everything else."""
    matrices = [p for p in vit.blocks.parameters() if p.ndim == 2]
    taken = {id(p) for p in matrices}
    rest = [p for m in (vit, heads) for p in m.parameters() if id(p) not in taken]
    muon = torch.optim.Muon(matrices, lr=r.lr, weight_decay=r.weight_decay, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW(rest, lr=r.lr / 2, betas=(0.9, 0.98), weight_decay=r.weight_decay)]


def rate(step: int, r: Recipe) -> float:
    """Learning-rate factor: linear warm-up, flat, linear to zero from `decay_from` on."""
    at = step / r.steps
    return min(1.0, at / r.warmup, (1 - at) / (1 - r.decay_from)) if at > 0 else 1 / (r.steps * r.warmup)
