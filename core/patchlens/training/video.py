"""Fine-tune a space-time model on a person's own labelled clips, with random token drops, so that it stands subsets.

`patchlens train video`: from an image ViT (inflated), a VideoMAE or `tiny-video`. What is held out is chosen by source
group where the set names groups. Knows no selector; the card is `video_card.py`'s.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from patchlens.data.samples import Sample, SampleSet, Wanted
from patchlens.encoders.loaded import Inputs
from patchlens.encoders.patches import cut, frame_choice, normalise
from patchlens.encoders.vit import ViT
from patchlens.limits import VideoError
from patchlens.training.checkpoints import Log, load_last, save_whole
from patchlens.training.inflate import Start

COLUMNS = ("step", "clips", "loss", "right", "clips_per_s")
LARGER = 8 / 7  # clips are read so much larger than the model wants, and cropped at random
HELD_BYTES = 2 << 30  # decoded clips kept in memory
THREADS = 4  # that decode


@dataclass(frozen=True)
class Recipe:
    """All that decides the weights, beside code, data and start."""

    epochs: int = 20
    batch: int = 8
    seed: int = 0
    lr: float = 5e-4
    layer_decay: float = 0.75
    weight_decay: float = 0.05
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
        raise ValueError(f"{samples.name} has {len(samples.classes)} classes; training needs 2, and a label for every video.")
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
    train, test = (replace(samples, samples=p, name=f"{samples.name}, {n}") for p, n in zip(parts, ("training", "held out"), strict=True))
    if not len(test) or train.classes != samples.classes:
        raise ValueError(f"{samples.name} is too small to hold out fold {fold} of {folds}; give more videos or fewer folds.")
    return train, test


class Clips:
    """Augmented batches of (frames uint8 (B, T, H, W, 3), labels (B,)), the same for the same seed and step."""

    def __init__(self, samples: SampleSet, inputs: Inputs, classes: tuple[str, ...], recipe: Recipe) -> None:
        self.samples, self.inputs, self.recipe = samples, inputs, recipe
        self.number = {c: i for i, c in enumerate(classes)}
        h, w = inputs.size_hw
        self.wanted = Wanted((round(h * LARGER), round(w * LARGER)), 2 * inputs.frames)
        self.held: dict[int, Tensor | None] = {}
        self.room = HELD_BYTES

    @property
    def per_epoch(self) -> int:
        """Steps in an epoch; the last, smaller batch is left out where there is another."""
        return max(1, len(self.samples) // self.recipe.batch)

    @property
    def broken(self) -> list[str]:
        """Names of the videos that could not be read so far."""
        return [self.samples[i].name for i, x in self.held.items() if x is None]

    def batches(self, start: int, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches number start to stop; the next one is read while one is used. A batch none of which can be read is left out.

        Raises ValueError when no video at all can be read.
        """
        with ThreadPoolExecutor(THREADS) as readers:
            ahead = [readers.submit(self.read, i) for i in self._members(start)] if start < stop else []
            for step in range(start, stop):
                ready = [(i, f.result()) for i, f in zip(self._members(step), ahead, strict=True)]
                ahead = [readers.submit(self.read, i) for i in self._members(step + 1)] if step + 1 < stop else []
                rng = np.random.default_rng((self.recipe.seed, step))
                made = [(self.augment(x, rng), self.number[self.samples[i].label]) for i, x in ready if x is not None]
                if made:
                    yield torch.stack([x for x, _ in made]), torch.tensor([y for _, y in made])
                elif len(self.broken) == len(self.samples):
                    raise ValueError(f"None of the {len(self.samples)} videos of {self.samples.name} could be read.")

    def _members(self, step: int) -> list[int]:
        epoch, place = divmod(step, self.per_epoch)
        order = np.random.default_rng((self.recipe.seed, 7, epoch)).permutation(len(self.samples))
        return order[place * self.recipe.batch : (place + 1) * self.recipe.batch].tolist()

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


def loss_of(vit: ViT, data: tuple[Tensor, Tensor], inputs: Inputs, keep: float, smoothing: float, rng: torch.Generator,
            device: str) -> tuple[Tensor, float]:  # fmt: skip
    """(loss, share right) of one batch seen through a random share `keep` of its tokens."""
    frames, labels = data
    patches = cut(frames, inputs.tubelet, inputs.patch)  # (B, N, C, tubelet, p, p)
    b, n = patches.shape[:2]
    k = max(1, int(keep * n))
    index = torch.rand(b, n, generator=rng).topk(k, 1).indices.sort(1).values
    patches = patches[torch.arange(b)[:, None], index].flatten(0, 1).to(device)
    x = vit.embed(normalise(patches, inputs.mean, inputs.std), index.flatten().to(device))
    out, labels = vit(x, (k,) * b).out.float(), labels.to(device)
    return F.cross_entropy(out, labels, label_smoothing=smoothing), float((out.argmax(1) == labels).float().mean())


def parameter_groups(vit: ViT, r: Recipe) -> list[dict]:
    """One group per depth and kind: rates fall from the head to the patches, vectors have no weight decay."""
    depth, groups = vit.config.depth, {}
    for name, p in vit.named_parameters():
        layer = int(name.split(".")[1]) + 1 if name.startswith("blocks.") else depth + 1
        layer = 0 if name.startswith(("embedding", "prefix", "norm_pre")) or "position" in name else layer
        decay = r.weight_decay if p.ndim == 2 and layer else 0.0
        scale = r.layer_decay ** (depth + 1 - layer)
        groups.setdefault((layer, decay), dict(params=[], weight_decay=decay, scale=scale))["params"].append(p)
    return list(groups.values())


def rate(step: int, steps: int, r: Recipe) -> float:
    """Learning-rate factor: linear warm-up, then half a cosine to zero."""
    at, warm = (step + 1) / steps, r.warmup
    return at / warm if at < warm else 0.5 * (1 + math.cos(math.pi * (at - warm) / (1 - warm)))


def fine_tune(folder: Path, start: Start, train: SampleSet, classes: Sequence[str], r: Recipe, device: str = "cpu",
              every: int = 20) -> tuple[ViT, Clips]:  # fmt: skip
    """Run or resume a training in `folder` (`last.pt`, `log.csv`); prints rate and time left.

    Raises ValueError when the folder's checkpoint is of another training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vit, clips = start.vit.to(device), Clips(train, start.inputs, tuple(classes), r)
    steps, rng = r.epochs * clips.per_epoch, torch.Generator().manual_seed(r.seed)
    opt = torch.optim.AdamW(parameter_groups(vit, r), lr=r.lr, betas=(0.9, 0.98))
    asked = {"recipe": asdict(r), "start": start.made_of, "classes": list(classes), "clips": [s.name for s in train]}
    done = 0
    if state := load_last(folder / "last.pt", device):
        if state["asked"] != asked:
            raise ValueError(f"{folder} holds a training of other data, start or recipe; give another folder with --out.")
        vit.load_state_dict(state["vit"])
        opt.load_state_dict(state["opt"])
        rng.set_state(state["rng"].cpu())
        done = state["step"]
    log, begun, since, right = Log(folder / "log.csv", COLUMNS, done), time.monotonic(), done, []
    for step, data in enumerate(clips.batches(done, steps), done):
        for group in opt.param_groups:
            group["lr"] = r.lr * group["scale"] * rate(step, steps, r)
        keep = 1.0 if step % 4 == 3 else r.least + (1 - r.least) * float(torch.rand(1, generator=rng))
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            loss, hit = loss_of(vit, data, start.inputs, keep, r.smoothing, rng, device)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vit.parameters(), 1.0)
        opt.step()
        opt.zero_grad(set_to_none=True)
        right.append(hit)
        if (step + 1) % every == 0 or step + 1 == steps:
            speed = (step + 1 - since) * r.batch / max(time.monotonic() - begun, 1e-9)
            share, right = float(np.mean(right)), []
            log.add(step=step + 1, clips=(step + 1) * r.batch, loss=loss.item(), right=share, clips_per_s=speed)
            left = (steps - step - 1) * r.batch / speed / 60
            print(f"step {step + 1}/{steps} loss {loss.item():.3f} right {share:.2f} {speed:.1f} clips/s, {left:.0f} min left",
                  flush=True)  # fmt: skip
            save_whole({"step": step + 1, "vit": vit.state_dict(), "opt": opt.state_dict(), "rng": rng.get_state(),
                        "asked": asked}, folder / "last.pt")  # fmt: skip
    return vit, clips
