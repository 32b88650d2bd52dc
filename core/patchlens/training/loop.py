"""The training loop: resumable, logged, in one process or, under `torchrun`, in several.

A training says what it is by a subclass of `Training`; `fit` does the rest: steps, gradient averaging, clipping, the
learning rate, a checkpoint (`last.pt`) and a row (`log.csv`, TensorBoard) every `every` steps, validation, rate and time
left, going on after a kill, and refusing a checkpoint of another recipe.

    class Mine(Training):
        unit, figures, checks = "clips", ("task",), ("top1",)      # columns: what loss and validate report
        def __init__(self, recipe, device):
            super().__init__(recipe, device)
            self.modules = {"vit": vit.to(self.device)}            # all that is trained; state_dict keys of last.pt
            self.optimisers = muon_and_adamw(matrices, groups, recipe)   # each group's lr is multiplied by rate(step)
        steps = property(lambda self: ...)
        def rate(self, step): ...                                  # learning-rate factor
        def batches(self, start): return ahead(MyIterableDataset(self.recipe, start, self.share))
        def loss(self, step, data): return Loss(mean, samples, {"task": task})
        def validate(self): return {"top1": ...}                   # eval mode and no_grad are set

    fit(Mine(recipe, own_device("auto")), folder)

Several processes: `batches` yields this process's samples (`self.share.own(range of the batch)`); random choices that all
must share come from `self.generator`, drawn for the whole batch (then `self.share.own(...)` of them), so that it stays the
same everywhere. All processes see the same folder; after `fit`, the first one (`training.share.first`) measures and writes.
`fit_in_turns` runs several trainings step by step in one process, so that their times can be compared on a busy machine.
Knows no data, model or evaluation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from patchlens.training.checkpoints import Log, load_last, save_whole
from patchlens.training.clock import Clock
from patchlens.training.optimisers import Fit
from patchlens.training.ranks import Share, average, joined, summed

CLIP = 1.0  # norm of all gradients together


class Loss(NamedTuple):
    """What one step gives: the mean loss of `samples` samples (0: none could be had), and figures for the log."""

    mean: Tensor
    samples: int
    figures: dict[str, Tensor | float] = {}


class Training(ABC):
    """What differs between trainings; see the module's example."""

    unit = "clips"  # what the samples are
    figures: tuple[str, ...] = ()  # that `loss` gives beside the loss
    checks: tuple[str, ...] = ()  # that `validate` gives
    modules: dict[str, nn.Module]
    optimisers: list[torch.optim.Optimizer]

    def __init__(self, recipe: Fit, device: torch.device) -> None:
        self.recipe, self.device, self.share = recipe, device, Share.here()
        self.generator = torch.Generator().manual_seed(recipe.seed)

    @property
    def identity(self) -> dict[str, Any]:
        """Plain data that a checkpoint must agree in to be continued."""
        return asdict(self.recipe)

    @property
    @abstractmethod
    def steps(self) -> int:
        """Optimiser steps of the whole run."""

    @abstractmethod
    def rate(self, step: int) -> float:
        """Learning-rate factor of a step."""

    @abstractmethod
    def batches(self, start: int) -> Iterable[Any]:
        """This process's share of the batch of each step from `start` on."""

    @abstractmethod
    def loss(self, step: int, data: Any) -> Loss:
        """The loss of one batch."""

    def validate(self) -> dict[str, float]:
        """Figures on held-out data, by the names in `checks`."""
        return {}


def ahead(data: IterableDataset) -> DataLoader:
    """Batches made by one more process, a few ahead of the one in use."""
    # Spawned: a forked worker would inherit OpenCV's thread pool without its threads, and wait for them.
    return DataLoader(data, batch_size=None, num_workers=1, prefetch_factor=4, multiprocessing_context="spawn")


def fit(training: Training, folder: Path, every: int = 100, check: int = 500, until: int | None = None) -> None:
    """Run a training in `folder`, or go on from its checkpoint there: saved every `every` steps, validated every `check`.

    `until` stops early, after that many steps, with a checkpoint.
    Raises ValueError when the checkpoint is of another training, or a batch cannot be shared out evenly.
    """
    _check(training)
    with joined(training.device):
        for _ in _steps(training, folder, every, check, until):
            pass


def fit_in_turns(trainings: Sequence[Training], folders: Sequence[Path], every: int = 100, check: int = 500) -> None:
    """As `fit`, several trainings each in its own folder, one step of each in turn: a busy machine slows all alike.

    Raises ValueError under torchrun with several processes.
    """
    for training in trainings:
        _check(training)
        if training.share.ranks > 1:
            raise ValueError("Trainings that take turns run in one process; start them without torchrun.")
    left = [_steps(t, f, every, check) for t, f in zip(trainings, folders, strict=True)]
    while left:
        left = [steps for steps in left if next(steps, None) is not None]


def _check(training: Training) -> None:
    recipe, share = training.recipe, training.share
    if recipe.batch % share.ranks:
        raise ValueError(f"A batch of {recipe.batch} cannot be shared out evenly over {share.ranks} processes.")


def _steps(training: Training, folder: Path, every: int, check: int, until: int | None = None) -> Iterator[int]:
    """The steps of a training as they are done, each by its number."""
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(training, folder)
    stop = min(until or training.steps, training.steps)
    log = Log(folder, run.columns, run.step) if training.share.first else None
    data = iter(training.batches(run.step)) if run.step < stop else iter(())
    while run.step < stop:
        with run.clock.running():
            run.advance(next(data))
        done = run.step == stop
        if run.step % every == 0 or done:
            means = run.means()
            if log is not None:
                run.report(log, means, validated=run.step % check == 0 or done)
                save_whole(run.state(), folder / "last.pt")
        yield run.step
    for module in training.modules.values():
        module.eval()


class _Run:
    """A training on its way: the step it is at and what was seen since the last report."""

    def __init__(self, training: Training, folder: Path) -> None:
        self.training, self.step, self.clock = training, 0, Clock(training.device)
        self.parameters = [p for m in training.modules.values() for p in m.parameters() if p.requires_grad]
        self.rates = [[group["lr"] for group in opt.param_groups] for opt in training.optimisers]
        shown = ("loss", *training.figures, *training.checks)
        self.columns = ("step", training.unit, *shown, f"{training.unit}_per_s", "wall_s", "processor_s")
        self.load(folder)
        self.first, self.before, self.seen = self.step, self.clock.wall, 0
        self.sums: dict[str, Any] = dict.fromkeys(("loss", *training.figures), 0.0)

    def load(self, folder: Path) -> None:
        """Continue from the checkpoint where there is one."""
        t = self.training
        if saved := load_last(folder / "last.pt", t.device):
            if saved["recipe"] != t.identity:
                raise ValueError(
                    f"{folder} holds a training by another recipe, data or start; give another folder, or the same options."
                )
            for name, module in t.modules.items():
                module.load_state_dict(saved[name])
            for opt, old in zip(t.optimisers, saved["opts"], strict=True):
                opt.load_state_dict(old)
            t.generator.set_state(saved["generator"].cpu())
            self.step = saved["step"]
            self.clock.wall, self.clock.processor = saved.get("spent", (0.0, 0.0))
        if summed([self.step], t.device) != [self.step * t.share.ranks]:
            raise ValueError(f"The processes do not start from one checkpoint; all must see the same folder {folder}.")

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        t = self.training
        models = {name: module.state_dict() for name, module in t.modules.items()}
        opts = [opt.state_dict() for opt in t.optimisers]
        spent = [self.clock.wall, self.clock.processor]
        own = {"step": self.step, "recipe": t.identity, "generator": t.generator.get_state(), "spent": spent}
        return {**own, "opts": opts, **models}

    def advance(self, data: Any) -> None:
        """One step."""
        t = self.training
        for opt, rates in zip(t.optimisers, self.rates, strict=True):
            for group, rate in zip(opt.param_groups, rates, strict=True):
                group["lr"] = rate * t.rate(self.step)
        loss = t.loss(self.step, data)
        if loss.samples:
            loss.mean.backward()
            self.seen += loss.samples
            with torch.no_grad():
                for name, value in {"loss": loss.mean, **loss.figures}.items():
                    self.sums[name] += loss.samples * value
        if average(self.parameters, loss.samples):
            nn.utils.clip_grad_norm_(self.parameters, CLIP)
            for opt in t.optimisers:
                opt.step()
        for opt in t.optimisers:
            opt.zero_grad(set_to_none=True)
        self.step += 1

    def means(self) -> dict[str, float]:
        """Means over the samples that all processes saw since the last call."""
        *totals, seen = summed([*map(float, self.sums.values()), self.seen], self.training.device)
        means = {name: total / seen if seen else float("nan") for name, total in zip(self.sums, totals, strict=True)}
        self.sums, self.seen = dict.fromkeys(self.sums, 0.0), 0
        return means

    def report(self, log: Log, means: dict[str, float], validated: bool) -> None:
        """A row in the log and a line for whoever watches."""
        t, batch = self.training, self.training.recipe.batch
        speed = (self.step - self.first) * batch / max(self.clock.wall - self.before, 1e-9)
        shown = {**means, **(self.validate() if validated else {})}
        spent = {"wall_s": self.clock.wall, "processor_s": self.clock.processor}
        log.add(self.step, **{t.unit: self.step * batch}, **shown, **{f"{t.unit}_per_s": speed}, **spent)
        left = (t.steps - self.step) * batch / speed / 60
        said = " ".join(f"{name} {value:.3f}" for name, value in shown.items())
        print(f"step {self.step}/{t.steps} {said} {speed:.3g} {t.unit}/s, {left:.0f} min left", flush=True)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The training's own figures, its modules in eval mode."""
        modules = self.training.modules.values()
        for module in modules:
            module.eval()
        found = self.training.validate()
        for module in modules:
            module.train()
        return found
