"""Train LITE's selector: predict the oracle's map from the patch embeddings, the backbone frozen (arXiv 2411.13626, 4.2).

Binary cross-entropy to the map as soft targets in 0..1, mean over tokens. The map is any oracle's (label, block, gradient,
cleaning are its knobs); maps are made once, by `maps.py`. Knows no evaluation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from patchlens.data.datasets import open_set
from patchlens.data.samples import SampleSet
from patchlens.encoders.encoder import Encoder
from patchlens.evaluation.multiview import FRAMES
from patchlens.ranker import Ranker, RankerConfig, segment_grid
from patchlens.training.epochs import Epochs
from patchlens.training.loop import Loss, Training, fit
from patchlens.training.maps import Maps, make_maps
from patchlens.training.optimisers import Fit, half_cosine
from patchlens.training.ranks import Share, own_device
from patchlens.training.video import held_out

STREAM, HELD_STREAM = 4, 3  # of procedural clips: to learn on, and held out as everywhere
SCALED_BY = 16  # clips whose embeddings give mean and spread of each feature


@dataclass(frozen=True)
class Recipe(Fit):
    """All that decides the weights beside data and code; `oracle` is the target's spec."""

    batch: int = 16
    lr: float = 3e-3
    weight_decay: float = 0.01
    epochs: int = 12
    warmup: float = 0.05
    hidden: tuple[int, ...] = (256, 64)
    branch: str = "none"
    channels: int = 32
    oracle: str = "oracle"
    frames: int = FRAMES  # per clip, for encoders that take any number


class Selecting(Training):
    """A ranker on the maps of a set of clips."""

    figures = ("entropy", "spread")  # of the targets: the loss's floor, and how far values lie apart
    recipe: Recipe

    def __init__(self, recipe: Recipe, device: torch.device, encoder: Encoder, maps: Maps) -> None:
        super().__init__(recipe, device)
        torch.manual_seed(recipe.seed)
        self.epochs = Epochs(len(maps), recipe.batch, recipe.epochs, recipe.seed)
        self.encoder, self.maps = encoder, maps
        self.ranker = Ranker(RankerConfig(encoder.config.width, recipe.hidden, recipe.branch, recipe.channels))
        self._scale()
        self.ranker.to(device)
        self.modules = {"ranker": self.ranker}
        self.optimisers = [
            torch.optim.AdamW(self.ranker.parameters(), recipe.lr, (0.9, 0.98), weight_decay=recipe.weight_decay)
        ]

    def _scale(self) -> None:
        """Features are centred and scaled by the first clips, and the output starts at the targets' mean."""
        x = torch.cat([self.maps.embedded(i) for i in range(min(SCALED_BY, len(self.maps)))])
        self.ranker.mean.copy_(x.mean(0))
        self.ranker.scale.copy_(1 / x.std(0).clamp_min(1e-4))
        with torch.no_grad():
            self.ranker.out.bias.copy_(torch.logit(self.maps.targets.mean().clamp(0.01, 0.99)))

    @property
    def identity(self) -> dict[str, Any]:
        names = [s.name for s in self.maps.samples]
        return {**super().identity, "encoder": str(self.encoder.loaded.facts.get("sha256", "")), "clips": names}

    @property
    def steps(self) -> int:
        return self.epochs.steps

    def rate(self, step: int) -> float:
        return half_cosine((step + 1) / self.steps, self.recipe.warmup)

    def batches(self, start: int) -> Iterable[tuple[Tensor, Tensor]]:
        for step in range(start, self.steps):
            mine = self.share.own(self.epochs.members(step))
            yield torch.stack([self.maps.embedded(i) for i in mine]), self.maps.targets[mine]

    def loss(self, step: int, data: tuple[Tensor, Tensor]) -> Loss:
        x, y = (part.to(self.device) for part in data)
        segments, shape = segment_grid(self.encoder, self.maps.grid)
        logits = self.ranker(x.unflatten(1, (segments, -1)).flatten(0, 1), shape).reshape(y.shape)
        floor = F.binary_cross_entropy(y, y)
        return Loss(F.binary_cross_entropy_with_logits(logits, y), len(y), {"entropy": floor, "spread": y.std(1).mean()})


def parts_of(
    where: str, clips: int, held: int, seed: int = 0, videos: Path | None = None, split: str | None = None
) -> tuple[SampleSet, SampleSet]:
    """(to learn on, held out): two streams of a procedural set (of scenes also two splits); of a person's videos a fifth is
    held out, by source groups where labels name them. Where the encoder has classes labels are not needed: the oracle
    then explains the predicted one.

    Raises ValueError as `open_set` does.
    """
    if where in ("motions", "scenes"):
        return open_set(where, STREAM, clips, split="train"), open_set(where, HELD_STREAM, held)
    whole = open_set(where, seed, None, videos, split)
    if len(whole.classes) > 1 and all(s.label is not None for s in whole):
        train, test = held_out(whole, 5, 0, seed)
    else:
        apart = [tuple(s for i, s in enumerate(whole) if (i % 5 == 4) is side) for side in (False, True)]
        train, test = (replace(whole, samples=part) for part in apart)
    return train.first(min(clips, len(train))), test.first(min(held, len(test)))


def run_training(
    encoder: Encoder, data: SampleSet, held: SampleSet, folder: Path, recipe: Recipe, device: str = "auto"
) -> Path | None:
    """The whole of `patchlens train lite`: maps, training (or resuming either), measuring on `held`, and writing.

    Writes `lite.safetensors` and `lite.md` into `folder` and returns the first (None in the other processes of a
    torchrun). Raises ValueError where data or checkpoint do not fit.
    """
    from patchlens.training.lite_card import finish

    where = own_device(device)
    maps = make_maps(encoder, data, recipe.oracle, folder / "maps", Share.here(), recipe.frames)
    training = Selecting(recipe, where, encoder, maps)
    fit(training, folder, every=training.epochs.length)
    if not training.share.first:
        return None
    return finish(folder, training.ranker.cpu(), encoder, maps, held, recipe)
