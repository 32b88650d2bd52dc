"""Train `tiny-video`, the bundled space-time ViT that names 16 procedural motions.

The recipe (measured, see the model card). The start: clips go from easy to the default difficulty, and tokens lean to
frame differences so that a small actor is found at all. After it, tokens are dropped at random only (full clips
included), so that the finished model favours no cue. Two per-token losses (is this the actor? which motion is it?) carry
most of the run and fade out. Knows the model and the data; knows no selector.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import IterableDataset

from patchlens.data.motions import CLASSES, batch
from patchlens.encoders.patches import cut, normalise
from patchlens.encoders.reference import CONFIG, CONFIGS, MEAN, STD
from patchlens.encoders.vit import ViT, ViTConfig
from patchlens.training.first_weights import initialise
from patchlens.training.optimisers import Fit, fading, trapezoid
from patchlens.training.ranks import Share

TRAIN_SEED, VALIDATION_SEED, TEST_SEED = 1, 2, 3  # streams of procedural clips that never meet
NAMES = {"mean": "tiny-video", "cls": "tiny-video-cls"}  # by what the head reads
MOST_TOKENS = 64 * 224  # in one step: long sequences get fewer clips


@dataclass(frozen=True)
class Recipe(Fit):
    """All that decides the weights, beside the code. Shares are of the whole run."""

    clips: int = 166_400
    smoothing: float = 0.05
    warmup: float = 0.0385
    decay_from: float = 0.5
    easy_until: float = 0.385
    biased_until: float = 0.385
    token_losses_until: float = 0.85
    token_weight: float = 1.5
    shuffled: bool = False  # control: frames in random order
    single: bool = False  # control: one frame repeated
    init: str = ""  # digest of the weights that the run went on from; "": a random start
    head: str = "mean"  # what it reads: the mean over the patches, or "cls", a class token

    @classmethod
    def going_on(cls, init: str, **fields: Any) -> Recipe:
        """From weights that are trained (of digest `init`): a third of the rate, and no start that helps to find actors."""
        return cls(init=init, lr=cls.lr / 3, easy_until=0.0, biased_until=0.0, token_losses_until=0.0, **fields)

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


def first_model(seed: int, head: str = "mean") -> tuple[ViT, TokenHeads]:
    """The untrained model and its training-only heads."""
    torch.manual_seed(seed)
    vit = initialise(ViT(CONFIGS[NAMES[head]]), space_time_table(CONFIG))
    nn.init.trunc_normal_(vit.head.weight, std=0.01)
    return vit, TokenHeads(CONFIG.width)


def space_time_table(config: ViTConfig) -> Tensor:
    """Sines and cosines of t, y and x side by side, (N, width)."""
    axes = torch.meshgrid(*[torch.arange(n, dtype=torch.float32) for n in config.grid], indexing="ij")
    per_axis = config.width // 6
    rates = 2 ** torch.linspace(-4, 1.2, per_axis)
    angles = [a.reshape(-1, 1) * rates for a in axes]
    table = torch.cat([f(a) for a in angles for f in (torch.sin, torch.cos)], 1)
    return F.pad(table, (0, config.width - table.shape[1]))


class Clips(IterableDataset):
    """A process's share of each batch: (frames uint8 (B,T,H,W,3), labels (B,), actor share of tokens (B,N))."""

    def __init__(self, recipe: Recipe, start: int, share: Share = Share()) -> None:
        self.recipe, self.start, self.share = recipe, start, share

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        import cv2

        cv2.setNumThreads(1)
        r = self.recipe
        for step in range(self.start, r.steps):
            ease = fading(step / r.steps, r.easy_until)
            index = self.share.own(range(step * r.batch, (step + 1) * r.batch))
            frames, labels, actors = batch(index, seed=TRAIN_SEED + 1000 * r.seed, ease=ease)
            yield self.control(frames, step), labels, actor_share(actors)

    def control(self, frames: np.ndarray, step: int) -> np.ndarray:
        """Destroy time for the control runs: classes must need it."""
        r, t, rng = self.recipe, frames.shape[1], np.random.default_rng((self.recipe.seed, step))
        if not (r.shuffled or r.single):
            return frames
        count = len(frames) * self.share.ranks
        orders = [rng.permutation(t) if r.shuffled else np.full(t, rng.integers(t)) for _ in range(count)]
        return np.stack([f[order] for f, order in zip(frames, self.share.own(orders), strict=True)])


def actor_share(actors: np.ndarray) -> np.ndarray:
    """Share of each token that is actor, float32 (B, N), from masks (B, T, H, W)."""
    b, (t, h, w), p = len(actors), CONFIG.grid, CONFIG.patch
    return actors.reshape(b, t, -1, h, p, w, p).mean((2, 4, 6), dtype=np.float32).reshape(b, -1)


def choose(patches: Tensor, k: int, biased: bool, noise: Tensor) -> Tensor:
    """Token numbers (B, k) by uniform `noise` (B, N): at random, or leaning to tokens that differ from their past."""
    b, n = patches.shape[:2]
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
           r: Recipe, noise: Tensor) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(total loss, task loss) of as many clips as `noise` (B, N) has rows, seen through k tokens each."""
    frames, labels, share = (x[: len(noise)] for x in data)
    device = vit.prefix.device
    patches = cut(frames, CONFIG.tubelet, CONFIG.patch).flatten(2)
    index = choose(patches, k, biased, noise)
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


def rate(step: int, r: Recipe) -> float:
    """Learning-rate factor: a trapezoid, above zero from the first step on."""
    at = step / r.steps
    return trapezoid(at, r.warmup, r.decay_from) if at > 0 else 1 / (r.steps * r.warmup)
