"""Training `tiny-clip`: what the loop needs of it, and the whole command, up to the card and the finished file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from patchlens.data.claims import truth
from patchlens.data.stills import caption_batch
from patchlens.encoders.tiny_clip import FILE
from patchlens.encoders.weights import digest
from patchlens.encoders.words import Words
from patchlens.training.loop import Loss, Training, ahead, fit
from patchlens.training.optimisers import fading, muon_and_adamw, remaining
from patchlens.training.precision import mixed, precision
from patchlens.training.ranks import own_device
from patchlens.training.tiny_clip import DualEncoder, Pairs, Recipe, losses, patches_at, rate

VALIDATION_SEED = 2
EVERY, CHECK = 20, 100  # steps


class TinyClip(Training):
    """The dual encoder of procedural scenes and their captions."""

    unit, figures, checks = "frames", ("task", "scale"), ("r1", "r1_true")
    recipe: Recipe

    def __init__(self, recipe: Recipe, device: torch.device, held_out: int = 256, start: Path | None = None) -> None:
        super().__init__(recipe, device)
        self.model = DualEncoder(recipe.seed, start).to(device)
        self.modules = {"model": self.model}
        matrices = [p for name, p in self.model.named_parameters() if p.ndim == 2 and "blocks" in name]
        rest = remaining([self.model], matrices)
        groups = [{"params": [p for p in rest if p.ndim > 1]}]
        groups += [{"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0}]  # norms and scales
        self.optimisers = muon_and_adamw(matrices, groups, recipe)
        self.held_out = held_out

    @property
    def steps(self) -> int:
        return self.recipe.steps

    def rate(self, step: int) -> float:
        return rate(step, self.recipe)

    def batches(self, start: int) -> Iterable[dict[str, Tensor]]:
        return ahead(Pairs(self.recipe, start, self.share))

    def loss(self, step: int, data: dict[str, Tensor]) -> Loss:
        r, tokens = self.recipe, self.model.vit.config.tokens
        k = patches_at(step, r, tokens, self.generator)
        noise = self.share.own(torch.rand(r.batch, tokens, generator=self.generator))
        fade = min(1.0, 3 * fading(step / r.steps, r.heads_until))
        with mixed(self.device):
            loss, task = losses(self.model, data, noise.topk(k, 1).indices.sort(1).values, fade, r)
        return Loss(loss, len(noise), {"task": task, "scale": self.model.scale})

    def embed(self, frames: Tensor, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Normalised features of frames (B,D), all patches seen, and of texts (n,D)."""
        index = torch.arange(self.model.vit.config.tokens).expand(len(frames), -1)
        parts = zip(frames.split(64), index.split(64), strict=True)
        with mixed(self.device):
            seen = torch.cat([self.model.encode_frames(f, i).out.float() for f, i in parts])
            said = self.model.encode_text(Words.bundled()(texts).to(self.device)).float()
        return F.normalize(seen, dim=-1), F.normalize(said, dim=-1)

    def validate(self) -> dict[str, float]:
        """R@1 of captions among held-out frames: by the caption's own frame, and by any frame that it is true of."""
        made = caption_batch(range(self.held_out), VALIDATION_SEED, "validation")
        seen, said = self.embed(torch.from_numpy(made.frames), made.captions)
        best = (said @ seen.T).argmax(1).cpu().numpy()
        right = truth(made.claims, made.facts)[range(self.held_out), best] == 1
        return {"r1": float((best == range(self.held_out)).mean()), "r1_true": float(right.mean())}


def run_training(
    folder: Path,
    frames: int = Recipe.frames,
    seed: int = 0,
    device: str = "auto",
    init: str | None = None,
    queries: int = 2000,
) -> None:
    """The whole of `patchlens train tiny-clip`: train (or resume), measure, and write model and card into `folder`.

    init: weights to go on from ("bundled" or a file); without it they are random.
    Raises ValueError for a file that is no tiny-clip.
    """
    from patchlens.training.tiny_clip_card import card_of, finish

    start = FILE if init == "bundled" else Path(init) if init else None
    before = card_of(start) if start else {}
    fields = {"frames": frames, "seed": seed}
    recipe = Recipe.going_on(digest(start), **fields) if start else Recipe(**fields)
    on = own_device(device)
    training = TinyClip(recipe, on, start=start)
    fit(training, folder, EVERY, CHECK)
    if training.share.first:
        print(f"wrote {finish(folder, training.model.cpu(), recipe, precision(on), queries, before=before)}")
