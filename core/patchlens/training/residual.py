"""Distil a residual tokenizer: what a P-frame is told of its I-frame, so that its feature nears the full encoder's.

Both towers are frozen; only the tokenizer trains (with `unfreeze` also a copy of the visual tower, for P-frames: the
paper's open question). Which patches are dropped in training: `dropped.py`. Knows no command and no file.
Source: ResidualViT (arXiv 2509.13255) sec. 3.2, eq. 2; algorithms.md 2.6.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import IterableDataset

from patchlens.data.pairs import Pairs, Remembered, Take
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.patches import cut
from patchlens.encoders.residual import ResidualTokenizer, made_for
from patchlens.training.distilling import OBJECTIVES, distance, needs_texts
from patchlens.training.dropped import RANDOM, REMEMBERED, Dropped
from patchlens.training.loop import Loss, Training, ahead
from patchlens.training.optimisers import Fit, muon_and_adamw, trapezoid
from patchlens.training.ranks import Share, gather

Batch = tuple[list[int], Tensor, list[str]]
OPTIMISERS = ("adamw", "muon")
MOST_SCALE = 100.0
TOWER_RATE = 0.02  # learning rate of an unfrozen tower, in shares of the tokenizer's


@dataclass(frozen=True)
class Recipe(Fit):
    """All that decides the weights, beside encoder and data.

    objective: see `distilling.py`; "both" is the paper's. optimiser: "adamw" at a constant rate (the paper), or "muon",
    which learns in hundreds of steps what takes it thousands, falling to zero over the second half. strategy: what ranks
    the patches of every other pair; "random" (the paper) of all. hidden: how wide the layers between are, None as wide as
    the tower.
    """

    batch: int = 64
    lr: float = 5e-4
    weight_decay: float = 0.0
    pairs: int = 4096
    epochs: int = 5
    p: float = 0.85
    n_train: int = 3
    fps: float = 1.0
    objective: str = "both"
    layers: int = 1
    unfreeze: bool = False
    optimiser: str = "adamw"
    strategy: str = RANDOM
    hidden: int | None = None

    def __post_init__(self) -> None:
        if self.optimiser not in OPTIMISERS:
            raise ValueError(f"optimiser is {self.optimiser!r}; choose one of {', '.join(OPTIMISERS)}.")
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective is {self.objective!r}; choose one of {', '.join(OBJECTIVES)}.")
        if not (1 <= self.n_train <= 10 and 0 < self.p <= 0.95 and 1 <= self.layers <= 4 and self.fps > 0):
            raise ValueError("Give n_train from 1 to 10, p from above 0 to 0.95, layers from 1 to 4 and a positive fps.")
        if self.hidden is not None and (self.layers == 1 or self.hidden < 1):
            raise ValueError(f"hidden is {self.hidden}; give a positive width, with 2 to 4 layers.")
        if not 2 <= self.batch <= self.pairs:
            raise ValueError(f"batch is {self.batch}; give at least 2 and at most {self.pairs}, the pairs.")

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.epochs * (self.pairs // self.batch)

    def numbers(self, step: int) -> range:
        """The pairs of one step."""
        first = step % (self.pairs // self.batch) * self.batch
        return range(first, first + self.batch)


class Batches(IterableDataset):
    """One process's share of each batch: numbers, frames uint8 (b, 1+N, H, W, 3), sentences; bad pairs replaced."""

    def __init__(self, pairs: Pairs, take: Take, recipe: Recipe, start: int, share: Share, held_out: bool = False) -> None:
        self.pairs, self.take, self.recipe, self.start, self.share = pairs, take, recipe, start, share
        self.held_out = held_out

    def __iter__(self) -> Iterator[Batch]:
        import cv2

        cv2.setNumThreads(1)
        r = self.recipe
        for step in range(self.start, r.steps):
            numbers = list(self.share.own(r.numbers(step)))
            made = [self.one(number) for number in numbers]
            yield numbers, torch.stack([torch.from_numpy(frames) for frames, _ in made]), [text for _, text in made]

    def one(self, number: int) -> Any:
        """The pair of that number, or the next one that can be read.

        Raises ValueError when a hundred in a row cannot.
        """
        for again in range(100):
            pair = self.pairs.pair(number + again * 7919, self.take, self.held_out)
            if pair is not None:
                return pair
        raise ValueError(f"A hundred videos in a row of {self.pairs.name} could not be read.")


class Distillation(Training):
    """A tokenizer for one encoder."""

    unit, checks = "pairs", ("cosine", "cosine_off")
    recipe: Recipe

    def __init__(self, recipe: Recipe, encoder: Encoder, pairs: Pairs, held_out: int = 96) -> None:
        super().__init__(recipe, encoder.device)
        if encoder.segments != "frame" or encoder.loaded.text is None:
            raise ValueError(f"{encoder.name} has no text side for single frames; distil a CLIP model, such as tiny-clip.")
        self.encoder, self.pairs, self.held_out = encoder, pairs, held_out
        config = encoder.config
        torch.manual_seed(recipe.seed)
        self.tokenizer = ResidualTokenizer(config.outputs, config.width, recipe.layers, recipe.hidden).to(self.device)
        self.vit = copy.deepcopy(encoder.vit).requires_grad_(True) if recipe.unfreeze else encoder.vit
        self.modules: dict[str, nn.Module] = {"tokenizer": self.tokenizer}
        if recipe.unfreeze:
            self.modules["vit"] = self.vit
        slow = {"vit": TOWER_RATE}
        groups = [{"params": list(m.parameters()), "lr": recipe.lr * slow.get(n, 1)} for n, m in self.modules.items()]
        if recipe.optimiser == "muon":
            matrices = [layer.weight for layer in self.tokenizer.layers]
            groups[0]["params"] = [layer.bias for layer in self.tokenizer.layers]
            self.optimisers = muon_and_adamw(matrices, groups, recipe)
        else:
            self.optimisers = [torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6, weight_decay=recipe.weight_decay)]
        self.known: dict[int, Tensor] = {}
        self.dropped = Dropped(encoder, recipe.strategy, recipe.fps)
        text = encoder.loaded.text.model
        self.scale = min(float(text.logit_scale.exp()), MOST_SCALE)
        self.take = Take(1 + recipe.n_train, recipe.fps, encoder.inputs.size_hw, encoder.inputs.fit)

    @property
    def identity(self) -> dict[str, Any]:
        return {**super().identity, "encoder": self.encoder.name, "weights": made_for(self.encoder.loaded),
                "data": self.pairs.name}  # fmt: skip

    @property
    def steps(self) -> int:
        return self.recipe.steps

    def rate(self, step: int) -> float:
        if self.recipe.optimiser == "adamw":
            return 1.0  # constant, no warm-up: the paper's
        return trapezoid((step + 1) / (self.steps + 1), 0.02, 0.5)

    def batches(self, start: int) -> Iterable[Batch]:
        return ahead(Batches(Remembered(self.pairs), self.take, self.recipe, start, self.share))

    @property
    def kept(self) -> int:
        """Patches of a P-frame in training: rounded down, as in the released code."""
        return max(1, int(self.encoder.config.tokens * (1 - self.recipe.p) + 1e-9))

    @torch.no_grad()
    def teach(self, frames: Tensor) -> Tensor:
        """Normalised features (B, T, b) of every frame (B, T, H, W, 3) in full."""
        flat = frames.flatten(0, 1)
        config = self.encoder.config
        index = torch.arange(config.tokens).expand(len(flat), -1)
        parts = zip(flat.split(64), index.split(64), strict=True)
        seen = torch.cat([self._see(self.encoder.vit, f, i, None) for f, i in parts])
        return seen.unflatten(0, frames.shape[:2])

    def learn(self, frames: Tensor, anchors: Tensor, index: Tensor, told: bool = True) -> Tensor:
        """Normalised features (n, b) of P-frames (n, H, W, 3) from patches `index` (n, k) and their I-features (n, b)."""
        return self._see(self.vit, frames, index, self.tokenizer(anchors) if told else None)

    def _see(self, vit: nn.Module, frames: Tensor, index: Tensor, residual: Tensor | None) -> Tensor:
        config = self.encoder.config
        patches = cut(frames[:, None], 1, config.patch)
        patches = patches[torch.arange(len(frames))[:, None], index].flatten(0, 1)
        x = self.encoder.embed_with(vit, patches, index.flatten())
        with nullcontext() if residual is None or x.is_cuda else sdpa_kernel(SDPBackend.MATH):  # the fused backward is slow
            out = vit(x, (index.shape[1],) * len(frames), residual=residual).out
        return F.normalize(out.float(), dim=-1)

    def recalled(self, numbers: list[int], frames: Tensor) -> Tensor:
        """`teach`, of each pair once: the towers are frozen, and a pair's frames are the same in every epoch."""
        new = [i for i, number in enumerate(numbers) if number not in self.known]
        made = dict(zip((numbers[i] for i in new), self.teach(frames[new]), strict=True)) if new else {}
        if len(self.known) < REMEMBERED:
            self.known |= made
        return torch.stack([self.known[n] if n in self.known else made[n] for n in numbers])

    def said(self, texts: list[str]) -> Tensor:
        """Normalised features (B, b) of all processes' sentences."""
        return gather(self.encoder.loaded.text.encode_text(texts).to(self.device))

    def loss(self, step: int, data: Batch) -> Loss:
        numbers, frames, texts = data
        full = self.recalled(numbers, frames)
        said = self.said(texts) if needs_texts(self.recipe.objective) else None
        noise = torch.rand(self.recipe.batch, self.recipe.n_train, self.encoder.config.tokens, generator=self.generator)
        epoch = step // (self.recipe.pairs // self.recipe.batch)
        order = self.dropped.order(numbers, frames, self.share.own(noise), epoch)
        index = order.flatten(0, 1).topk(self.kept, -1).indices
        anchors = full[:, :1].expand(-1, self.recipe.n_train, -1).flatten(0, 1)
        fast = self.learn(frames[:, 1:].flatten(0, 1), anchors, index).unflatten(0, (len(frames), -1))
        full, fast = gather(full[:, 1:]), gather(fast)
        each = [distance(full[:, k], fast[:, k], said, self.scale, self.recipe.objective) for k in range(full.shape[1])]
        return Loss(torch.stack(each).mean(), len(frames))

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mean cosine to the full encoder on held-out pairs, with and without the residual token."""
        source = Batches(self.pairs, self.take, self.recipe, 0, Share(), held_out=True)
        frames = torch.stack([torch.from_numpy(source.one(number)[0]) for number in range(self.held_out)])
        full, n = self.teach(frames), self.recipe.n_train
        noise = torch.rand(len(frames) * n, self.encoder.config.tokens, generator=torch.Generator().manual_seed(1))
        index, anchors = noise.topk(self.kept, -1).indices, full[:, :1].expand(-1, n, -1).flatten(0, 1)
        pictures, goal = frames[:, 1:].flatten(0, 1), full[:, 1:].flatten(0, 1)
        found = {name: (self.learn(pictures, anchors, index, told) * goal).sum(-1).mean()
                 for name, told in (("cosine", True), ("cosine_off", False))}  # fmt: skip
        return {name: value.item() for name, value in found.items()}

