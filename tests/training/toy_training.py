"""A training of milliseconds, and what other processes of the tests do: `torchrun toy_training.py FOLDER [bundled]`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from patchlens.training import tiny_clip, tiny_video
from patchlens.training.loop import Loss, Training, fit
from patchlens.training.optimisers import Fit, trapezoid
from patchlens.training.ranks import Share, average, gather, joined
from patchlens.training.tiny_clip import contrast
from patchlens.training.tiny_clip_run import TinyClip
from patchlens.training.tiny_video_run import TinyVideo
from torch import nn

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Recipe(Fit):
    """Of the toys."""

    batch: int = 8
    lr: float = 0.05
    steps: int = 40


class Toy(Training):
    """A line through noisy points, with random drops; `ballast` numbers make checkpoints take their time."""

    figures, checks = ("size",), ("error",)

    def __init__(self, recipe: Recipe = Recipe(), ballast: int = 1, pause: float = 0.0) -> None:
        super().__init__(recipe, CPU)
        torch.manual_seed(recipe.seed)
        self.model = nn.Linear(6, 1)
        self.unused = nn.Linear(ballast, 1)
        self.modules = {"model": self.model, "unused": self.unused}
        parameters = [p for m in self.modules.values() for p in m.parameters()]
        self.optimisers = [torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=0.1)]
        self.pause = pause

    @property
    def steps(self) -> int:
        return self.recipe.steps

    def rate(self, step: int) -> float:
        return trapezoid((step + 1) / (self.steps + 1), 0.2, 0.5)

    def batches(self, start: int) -> Iterator[torch.Tensor]:
        for step in range(start, self.steps):
            time.sleep(self.pause)
            x = torch.randn(self.recipe.batch, 6, generator=torch.Generator().manual_seed(step))
            yield self.share.own(x[: {5: 0, 7: 3}.get(step)])  # once nothing can be read, once little

    def loss(self, step: int, x: torch.Tensor) -> Loss:
        noise = self.share.own(torch.rand(self.recipe.batch, 6, generator=self.generator))[: len(x)]
        if not len(x):
            return Loss(torch.zeros(()), 0)
        error = self.model(x * (noise > 0.2)).squeeze(1) - x.sum(1)
        return Loss(error.square().mean(), len(x), {"size": x.square().mean()})

    def validate(self) -> dict[str, float]:
        assert not self.model.training and not torch.is_grad_enabled()
        return {"error": float((self.model.weight - 1).abs().mean())}


def contrastive_gradients() -> dict[str, torch.Tensor]:
    """Averaged gradients of tiny-clip's contrastive loss: this process has its share of frames and captions."""
    toy = Toy()
    towers = nn.ModuleDict({"frames": nn.Linear(6, 4), "texts": nn.Linear(6, 4)})
    scale = nn.Parameter(torch.tensor(3.0))
    x = torch.randn(8, 6, generator=torch.Generator().manual_seed(3))
    own = toy.share.own(x)
    frames, texts = (gather(F.normalize(towers[name](y), dim=-1)) for name, y in
                     (("frames", own), ("texts", torch.cat([own, -own]))))  # fmt: skip
    true = torch.cat([torch.eye(8), torch.zeros(8, 8)])
    contrast(frames, texts, true, scale).backward()
    named = {"scale": scale, **dict(towers.named_parameters())}
    average(list(named.values()), len(own))
    return {name: p.grad for name, p in named.items()}


def say_and_train(folder: Path, said: Path) -> None:
    """What the killed process does."""
    torch.set_num_threads(1)
    with said.open("w") as out, redirect_stdout(out):
        fit(Toy(Recipe(steps=400), ballast=5_000_000, pause=0.01), folder, every=5, check=50)


def bundled(folder: Path) -> list[dict[str, torch.Tensor]]:
    """Weights of tiny-video and tiny-clip after two small steps."""
    clip = TinyClip(tiny_clip.Recipe(frames=16, batch=8), CPU, held_out=8)
    video = TinyVideo(tiny_video.Recipe(clips=16, batch=8), CPU, held_out=8)
    for training in (video, clip):
        fit(training, folder / training.unit, every=1)
    return [training.modules[name].state_dict() for training, name in ((video, "vit"), (clip, "model"))]


def main(folder: Path, what: str = "toy") -> None:
    """What each process under torchrun does: train halfway, go on from the checkpoint, and leave its weights."""
    torch.set_num_threads(1)
    if what == "bundled":
        torch.save(bundled(folder), folder / f"rank{Share.here().rank}.pt")
        return
    with joined(CPU):
        gradients = contrastive_gradients()
    fit(Toy(), folder, every=5, check=20, until=20)
    toy = Toy()
    fit(toy, folder, every=5, check=20)
    torch.save((gradients, toy.model.state_dict()), folder / f"rank{toy.share.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
