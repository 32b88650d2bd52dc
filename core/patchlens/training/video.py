"""What `patchlens train video` trains on: the recipe, what is held out, and augmented batches of a person's own clips.

Held out is by source group where the set names groups, so that no scene is on both sides. Knows no model beyond the frames
that it wants; the loop is `video_run.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from patchlens.data.samples import SampleSet, Wanted
from patchlens.encoders.loaded import Inputs
from patchlens.encoders.patches import frame_choice
from patchlens.limits import VideoError
from patchlens.training.epochs import Epochs
from patchlens.training.optimisers import Fit
from patchlens.training.ranks import Share

LARGER = 8 / 7  # clips are read so much larger than the model wants, and cropped at random
HELD_BYTES = 2 << 30  # decoded clips kept in memory
THREADS = 4  # that decode


@dataclass(frozen=True)
class Recipe(Fit):
    """All that decides the weights, beside code, data and start."""

    epochs: int = 20
    batch: int = 8
    lr: float = 5e-4
    layer_decay: float = 0.75
    smoothing: float = 0.1
    warmup: float = 0.1
    least: float = 0.25  # keep ratios are drawn from here to 1; every fourth step keeps all
    flip: bool = False  # left and right may be swapped: not where they are the classes
    folds: int = 5
    fold: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.fold < self.folds or self.folds < 2:
            raise ValueError(f"fold is {self.fold} of {self.folds}; give at least 2 folds and one of 0 to folds - 1.")
        if min(self.epochs, self.batch) < 1:
            raise ValueError(f"epochs is {self.epochs} and batch {self.batch}; give at least 1 of each.")


def held_out(samples: SampleSet, folds: int, fold: int, seed: int) -> tuple[SampleSet, SampleSet]:
    """(training, held-out) sets: fold `fold` of `folds` by group where every sample has one, else by class in turn.

    Raises ValueError where a side or a class of the training set would be empty, and for unlabelled samples.
    """
    if len(samples.classes) < 2 or any(s.label is None for s in samples):
        count = len(samples.classes)
        raise ValueError(f"{samples.name} has {count} classes; training needs 2, and a label for every video.")
    if all(s.group is not None for s in samples):
        groups = sorted({s.group for s in samples})
        order = np.random.default_rng(seed).permutation(len(groups))
        out = {groups[i] for i in order[fold::folds]}
        picked = [s.group in out for s in samples]
    else:
        seen: dict[str, int] = {}
        picked = []
        for sample in samples:  # classes already take turns in a seeded order
            seen[sample.label] = seen.get(sample.label, -1) + 1
            picked.append(seen[sample.label] % folds == fold)
    parts = [tuple(s for s, p in zip(samples, picked, strict=True) if p is side) for side in (False, True)]
    train = replace(samples, samples=parts[0], name=f"{samples.name}, training")
    test = replace(samples, samples=parts[1], name=f"{samples.name}, held out")
    if not len(test) or train.classes != samples.classes:
        raise ValueError(
            f"{samples.name} is too small to hold out fold {fold} of {folds}; give more videos or other folds."
        )
    return train, test


class Clips:
    """A process's share of augmented batches, (frames uint8 (B, T, H, W, 3), labels (B,)); the same for seed and step."""

    def __init__(
        self, samples: SampleSet, inputs: Inputs, classes: tuple[str, ...], recipe: Recipe, share: Share = Share()
    ) -> None:
        self.samples, self.inputs, self.recipe, self.share = samples, inputs, recipe, share
        self.number = {c: i for i, c in enumerate(classes)}
        h, w = inputs.size_hw
        self.wanted = Wanted((round(h * LARGER), round(w * LARGER)), 2 * inputs.frames)
        self.epochs = Epochs(len(samples), recipe.batch, recipe.epochs, recipe.seed)
        self.held: dict[int, Tensor | None] = {}
        self.room = HELD_BYTES

    @property
    def broken(self) -> list[str]:
        """Names of the videos that could not be read so far."""
        return [self.samples[i].name for i, x in self.held.items() if x is None]

    def batches(self, start: int, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches number start to stop, without what cannot be read; the next one is read while one is used.

        Raises ValueError when no video at all can be read.
        """
        with ThreadPoolExecutor(THREADS) as readers:
            ahead = [readers.submit(self.read, i) for i in self._members(start)] if start < stop else []
            for step in range(start, stop):
                ready = [(i, f.result()) for i, f in zip(self._members(step), ahead, strict=True)]
                ahead = [readers.submit(self.read, i) for i in self._members(step + 1)] if step + 1 < stop else []
                read = [(i, x) for i, x in ready if x is not None]
                if not read and len(self.broken) == len(self.samples):
                    raise ValueError(f"None of the {len(self.samples)} videos of {self.samples.name} could be read.")
                made = [self.augment(x, np.random.default_rng((self.recipe.seed, step, i))) for i, x in read]
                labels = [self.number[self.samples[i].label] for i, _ in read]
                yield torch.stack(made) if made else torch.empty(0), torch.tensor(labels)

    def _members(self, step: int) -> list[int]:
        return self.share.own(self.epochs.members(step))

    def read(self, index: int) -> Tensor | None:
        """Frames of one video, larger and more than the model wants; None where it cannot be read."""
        if index in self.held:
            return self.held[index]
        try:
            frames = self.samples[index].make(self.wanted).clip.frames
        except (VideoError, OSError):
            frames = None
        if frames is None or frames.numel() <= self.room:
            self.room -= 0 if frames is None else frames.numel()
            self.held[index] = frames
        return frames

    def augment(self, frames: Tensor, rng: np.random.Generator) -> Tensor:
        """A random crop and, where there are enough frames, one of each two neighbours; (T, H, W, 3)."""
        (h, w), t = self.inputs.size_hw, self.inputs.frames
        index = frame_choice(len(frames), t, self.inputs.tubelet)
        if len(frames) == 2 * t:
            index = 2 * torch.arange(t) + torch.from_numpy(rng.integers(0, 2, t))
        y, x = (int(rng.integers(0, a - b + 1)) for a, b in zip(frames.shape[1:3], (h, w), strict=True))
        out = frames[index, y : y + h, x : x + w]
        return out.flip(2) if self.recipe.flip and rng.random() < 0.5 else out
