"""Training `tiny-video`: what the loop needs of it, and the whole command, up to the card and the finished file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from patchlens.data.motions import batch
from patchlens.encoders.patches import cut, normalise
from patchlens.encoders.vit import ViT
from patchlens.training.loop import Loss, Training, ahead, fit
from patchlens.training.optimisers import fading, muon_and_adamw, remaining
from patchlens.training.precision import mixed, precision
from patchlens.training.ranks import own_device
from patchlens.training.tiny_video import (
    CONFIG,
    MEAN,
    MOST_TOKENS,
    NAMES,
    STD,
    VALIDATION_SEED,
    Clips,
    Recipe,
    choose,
    first_model,
    gather,
    losses,
    rate,
    tokens_at,
)


class TinyVideo(Training):
    """The space-time ViT on procedural motions, with random token drops."""

    figures, checks = ("task",), ("top1", "top1_half")
    recipe: Recipe

    def __init__(
        self, recipe: Recipe, device: torch.device, held_out: int = 256, start: dict[str, Tensor] | None = None
    ) -> None:
        super().__init__(recipe, device)
        self.vit, self.heads = (model.to(device) for model in first_model(recipe.seed, recipe.head))
        if start:
            self.vit.load_state_dict(with_class_token(start, self.vit))
        self.modules = {"vit": self.vit, "heads": self.heads}
        matrices = [p for p in self.vit.blocks.parameters() if p.ndim == 2]
        groups = [{"params": remaining(self.modules.values(), matrices)}]
        self.optimisers = muon_and_adamw(matrices, groups, recipe)
        self.held_out = held_out

    @property
    def steps(self) -> int:
        return self.recipe.steps

    def rate(self, step: int) -> float:
        return rate(step, self.recipe)

    def batches(self, start: int) -> Iterable[tuple[Tensor, ...]]:
        return ahead(Clips(self.recipe, start, self.share))

    def loss(self, step: int, data: tuple[Tensor, ...]) -> Loss:
        r, at = self.recipe, step / self.steps
        k = tokens_at(step, self.generator)
        seen = min(r.batch, max(16, MOST_TOKENS // k))  # clips of the whole batch
        noise = self.share.own(torch.rand(seen, CONFIG.tokens, generator=self.generator))
        fade = min(1.0, 3 * fading(at, r.token_losses_until))
        with mixed(self.device):
            loss, task = losses(self.vit, self.heads, data, k, at < r.biased_until, fade, r, noise)
        return Loss(loss, len(noise), {"task": task})

    def validate(self) -> dict[str, float]:
        kept = zip(self.checks, (1.0, 0.5), strict=True)
        return {name: self.right(self.held_out, VALIDATION_SEED, keep) / self.held_out for name, keep in kept}

    @torch.no_grad()
    def right(self, count: int, seed: int, keep: float = 1.0) -> int:
        """How many of `count` held-out clips of its own kind it names, with a random share `keep` of the tokens."""
        generator, right = torch.Generator().manual_seed(0), 0
        control = Clips(self.recipe, 0).control
        for start in range(0, count, 64):
            frames, labels, _ = batch(range(start, min(count, start + 64)), seed=seed)
            patches = cut(torch.from_numpy(control(frames, start)), CONFIG.tubelet, CONFIG.patch).flatten(2)
            noise = torch.rand(len(frames), CONFIG.tokens, generator=generator)
            index = choose(patches, int(keep * CONFIG.tokens), False, noise)
            patches = gather(patches, index).to(self.device)
            x = normalise(patches.reshape(-1, 3, CONFIG.patch_dim // 3), MEAN, STD)
            with mixed(self.device):
                x = self.vit.embed(x, index.flatten().to(self.device))
                out = self.vit(x, (index.shape[1],) * len(frames)).out
            right += int((out.argmax(1).cpu() == torch.from_numpy(labels)).sum())
        return right


def with_class_token(state: dict[str, Tensor], vit: ViT) -> dict[str, Tensor]:
    """Weights to start `vit` with: where it has one prefix token more than they, its own first one comes before theirs.

    The head stays: what it read off the mean of the patches the class token has to learn to gather.
    Raises ValueError where the numbers differ otherwise.
    """
    own, known = vit.prefix.detach(), state["prefix"].to(vit.prefix)
    if len(own) == len(known):
        return state
    if len(own) != len(known) + 1:
        raise ValueError(f"The weights have {len(known)} prefix tokens and the model {len(own)}; "
                         "go on from a class-token model with head cls.")  # fmt: skip
    return state | {"prefix": torch.cat([own[:1], known])}


def run_training(
    folder: Path,
    clips: int = Recipe.clips,
    seed: int = 0,
    device: str = "auto",
    control: str = "none",
    init: str | None = None,
    head: str = "mean",
) -> None:
    """The whole of `patchlens train tiny-video`: train (or resume), measure, and write model and card into `folder`.

    init: weights to go on from ("bundled" or a file), which need no start phase; without it the weights are random.
    head: "mean", or "cls" for `tiny-video-cls`, which reads a class token; that is new where `init` has none.
    A control gets no model file, but `control.json`: what it reached on held-out clips of its own kind.
    Raises ValueError for a control that is not none, shuffled or single, another head, or a file that is no tiny-video.
    """
    from patchlens.encoders.reference import load
    from patchlens.training.controls import measure_control
    from patchlens.training.tiny_video_card import finish

    if control not in ("none", "shuffled", "single"):
        raise ValueError(f"control is {control!r}; choose none, shuffled or single.")
    if head not in NAMES:
        raise ValueError(f"head is {head!r}; choose mean or cls.")
    controls: dict[str, Any] = dict(shuffled=control == "shuffled", single=control == "single")
    fields = dict(clips=clips, seed=seed, head=head, **controls)
    start = load("tiny-video", init) if init else None
    recipe = Recipe.going_on(start.facts["sha256"], **fields) if start else Recipe(**fields)
    on = own_device(device)
    training = TinyVideo(recipe, on, start=start.vit.state_dict() if start else None)
    fit(training, folder)
    if training.share.first and control != "none":
        print(f"wrote {measure_control(folder, control, training)}")
    elif training.share.first:
        print(f"wrote {finish(folder, training.vit.cpu(), recipe, precision(on))}")
