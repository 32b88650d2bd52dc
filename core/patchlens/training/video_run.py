"""Fine-tune a space-time model on a person's own clips, with random token drops, so that it stands subsets.

What the loop needs of `patchlens train video`, and the whole command. Knows no selector; the data is `video.py`'s, the
start `inflate.py`'s, and what was reached `video_card.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from patchlens.data.samples import SampleSet
from patchlens.encoders.patches import cut, normalise
from patchlens.encoders.vit import ViT
from patchlens.training.inflate import Start, settle, start_from
from patchlens.training.loop import Loss, Training, fit
from patchlens.training.optimisers import half_cosine
from patchlens.training.precision import mixed
from patchlens.training.ranks import own_device
from patchlens.training.video import Clips, Recipe, held_out

EVERY = 20  # steps


class FineTuning(Training):
    """A space-time ViT on labelled clips."""

    figures = ("right",)
    recipe: Recipe

    def __init__(
        self, recipe: Recipe, device: torch.device, start: Start, samples: SampleSet, classes: tuple[str, ...]
    ) -> None:
        super().__init__(recipe, device)
        self.start, self.classes = start, classes
        self.vit = start.vit.to(device)
        self.modules = {"vit": self.vit}
        self.optimisers = [torch.optim.AdamW(parameter_groups(self.vit, recipe), betas=(0.9, 0.98))]
        self.clips = Clips(samples, start.inputs, classes, recipe, self.share)

    @property
    def identity(self) -> dict[str, Any]:
        names = [s.name for s in self.clips.samples]
        return {**super().identity, "start": self.start.made_of, "classes": list(self.classes), "clips": names}

    @property
    def steps(self) -> int:
        return self.clips.epochs.steps

    def rate(self, step: int) -> float:
        return half_cosine((step + 1) / self.steps, self.recipe.warmup)

    def batches(self, start: int) -> Iterable[tuple[Tensor, Tensor]]:
        return self.clips.batches(start, self.steps)

    def loss(self, step: int, data: tuple[Tensor, Tensor]) -> Loss:
        """Every fourth step sees all tokens, the others a random share."""
        r, (frames, labels), config, inputs = self.recipe, data, self.vit.config, self.start.inputs
        drawn = r.least + (1 - r.least) * float(torch.rand(1, generator=self.generator))
        k = max(1, int((1.0 if step % 4 == 3 else drawn) * config.tokens))
        noise = self.share.own(torch.rand(r.batch, config.tokens, generator=self.generator))[: len(frames)]
        if not len(frames):
            return Loss(torch.zeros(()), 0)
        index = noise.topk(k, 1).indices.sort(1).values
        patches = cut(frames, inputs.tubelet, inputs.patch)  # (B, N, C, tubelet, p, p)
        patches = patches[torch.arange(len(frames))[:, None], index].flatten(0, 1).to(self.device)
        with mixed(self.device):
            x = self.vit.embed(normalise(patches, inputs.mean, inputs.std), index.flatten().to(self.device))
            out, labels = self.vit(x, (k,) * len(frames)).out.float(), labels.to(self.device)
        right = (out.argmax(1) == labels).float().mean()
        return Loss(F.cross_entropy(out, labels, label_smoothing=r.smoothing), len(frames), {"right": right})


def parameter_groups(vit: ViT, r: Recipe) -> list[dict[str, Any]]:
    """One group per depth and kind: rates fall from the head down to the patches, vectors have no weight decay."""
    depth = vit.config.depth
    groups: dict[tuple[int, float], dict[str, Any]] = {}
    for name, p in vit.named_parameters():
        layer = int(name.split(".")[1]) + 1 if name.startswith("blocks.") else depth + 1
        layer = 0 if name.startswith(("embedding", "prefix", "norm_pre")) or "position" in name else layer
        decay = r.weight_decay if p.ndim == 2 and layer else 0.0
        lr = r.lr * r.layer_decay ** (depth + 1 - layer)
        groups.setdefault((layer, decay), dict(params=[], weight_decay=decay, lr=lr))["params"].append(p)
    return list(groups.values())


def run_training(
    data: SampleSet, folder: Path, encoder: str, init: str | None, recipe: Recipe, frames: int, device: str = "auto"
) -> Path | None:
    """The whole of `patchlens train video`: train (or resume) on all but the held-out part, measure, and write.

    Writes `video.safetensors` (loads as `tiny-video` with these weights), `video.md` and `heldout.csv` into `folder` and
    returns the first (None in the other processes of a torchrun). Raises ValueError where data, start or checkpoint do
    not fit.
    """
    from patchlens.encoders.catalog import load_loaded
    from patchlens.training.video_card import finish

    train, test = held_out(data, recipe.folds, recipe.fold, recipe.seed)
    start = start_from(encoder, load_loaded(encoder, init), data.classes, frames, recipe.seed)
    training = FineTuning(recipe, own_device(device), start, train, data.classes)
    fit(training, folder, EVERY)
    if not training.share.first:
        return None
    return finish(folder, settle(training.vit.cpu()), start, (train, test), recipe, training.clips.broken, device)
