"""Fine-tune a space-time model on a person's own clips, with random token drops, so that it stands subsets.

The loop of `patchlens train video`: resumable, logged, with rate and time left. Knows no selector; the data is
`video.py`'s, the start `inflate.py`'s, and what was reached `video_card.py`'s.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from patchlens.data.samples import SampleSet
from patchlens.encoders.encoder import pick_device
from patchlens.encoders.loaded import Inputs
from patchlens.encoders.patches import cut, normalise
from patchlens.encoders.vit import ViT
from patchlens.training.checkpoints import Log, load_last, save_whole
from patchlens.training.inflate import Start, settle, start_from
from patchlens.training.precision import mixed
from patchlens.training.video import Clips, Recipe, held_out

COLUMNS = ("step", "clips", "loss", "right", "clips_per_s")


def run_training(
    data: SampleSet, folder: Path, encoder: str, init: str | None, recipe: Recipe, frames: int, device: str = "auto"
) -> Path:
    """The whole of `patchlens train video`: train (or resume) on all but the held-out part, measure, and write.

    Writes `video.safetensors` (loads as `tiny-video` with these weights), `video.md` and `heldout.csv` into `folder` and
    returns the first. Raises ValueError where data, start or checkpoint do not fit.
    """
    from patchlens.encoders.catalog import load_loaded
    from patchlens.training.video_card import finish

    train, test = held_out(data, recipe.folds, recipe.fold, recipe.seed)
    start = start_from(encoder, load_loaded(encoder, init), data.classes, frames, recipe.seed)
    vit, clips = fine_tune(folder, start, train, data.classes, recipe, str(pick_device(device)))
    return finish(folder, settle(vit.cpu()), start, (train, test), recipe, clips.broken, device)


def loss_of(
    vit: ViT, data: tuple[Tensor, Tensor], inputs: Inputs, keep: float, smoothing: float, rng: torch.Generator
) -> tuple[Tensor, float]:
    """(loss, share right) of one batch seen through a random share `keep` of its tokens."""
    frames, labels = data
    patches = cut(frames, inputs.tubelet, inputs.patch)  # (B, N, C, tubelet, p, p)
    b, n = patches.shape[:2]
    k = max(1, int(keep * n))
    index = torch.rand(b, n, generator=rng).topk(k, 1).indices.sort(1).values
    device = vit.prefix.device
    patches = patches[torch.arange(b)[:, None], index].flatten(0, 1).to(device)
    with mixed(device):
        x = vit.embed(normalise(patches, inputs.mean, inputs.std), index.flatten().to(device))
        out, labels = vit(x, (k,) * b).out.float(), labels.to(device)
    return F.cross_entropy(out, labels, label_smoothing=smoothing), float((out.argmax(1) == labels).float().mean())


def parameter_groups(vit: ViT, r: Recipe) -> list[dict[str, Any]]:
    """One group per depth and kind: rates fall from the head down to the patches, vectors have no weight decay."""
    depth = vit.config.depth
    groups: dict[tuple[int, float], dict[str, Any]] = {}
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


@dataclass
class State:
    """What a checkpoint holds, and the question it answers (`asked`)."""

    vit: ViT
    opt: torch.optim.Optimizer
    rng: torch.Generator
    asked: dict[str, Any]
    step: int = 0
    right: list[float] = field(default_factory=list)

    def load(self, path: Path, device: str) -> None:
        """Continue from a checkpoint where there is one.

        Raises ValueError when it is of another training.
        """
        saved = load_last(path, device)
        if saved is None:
            return
        if saved["asked"] != self.asked:
            raise ValueError(f"{path.parent} holds a training of other data, start or recipe; give another --out.")
        self.vit.load_state_dict(saved["vit"])
        self.opt.load_state_dict(saved["opt"])
        self.rng.set_state(saved["rng"].cpu())
        self.step = saved["step"]

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole."""
        state = {"step": self.step, "vit": self.vit.state_dict(), "opt": self.opt.state_dict()}
        save_whole({**state, "rng": self.rng.get_state(), "asked": self.asked}, path)


def fine_tune(
    folder: Path,
    start: Start,
    train: SampleSet,
    classes: tuple[str, ...],
    r: Recipe,
    device: str = "cpu",
    every: int = 20,
) -> tuple[ViT, Clips]:
    """Run or resume a training in `folder`: `last.pt` and `log.csv` every `every` steps.

    Raises ValueError when the folder's checkpoint is of another training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vit, clips = start.vit.to(device), Clips(train, start.inputs, classes, r)
    opt = torch.optim.AdamW(parameter_groups(vit, r), lr=r.lr, betas=(0.9, 0.98))
    asked = {"recipe": asdict(r), "start": start.made_of, "classes": list(classes), "clips": [s.name for s in train]}
    state = State(vit, opt, torch.Generator().manual_seed(r.seed), asked)
    state.load(folder / "last.pt", device)
    steps, first, begun = r.epochs * clips.per_epoch, state.step, time.monotonic()
    log = Log(folder / "log.csv", COLUMNS, state.step)
    for data in clips.batches(state.step, steps):
        loss = optimise(state, data, start.inputs, steps, r) if data is not None else float("nan")
        state.step += 1
        if state.step % every == 0 or state.step == steps:
            speed = (state.step - first) * r.batch / max(time.monotonic() - begun, 1e-9)
            right = float(np.mean(state.right)) if state.right else 0.0
            log.add(step=state.step, clips=state.step * r.batch, loss=loss, right=right, clips_per_s=speed)
            left = (steps - state.step) * r.batch / speed / 60
            print(f"step {state.step}/{steps} loss {loss:.3f} right {right:.2f} {speed:.1f} clips/s, {left:.0f} min left",
                  flush=True)  # fmt: skip
            state.right = []
            state.save(folder / "last.pt")
    return vit, clips


def optimise(state: State, data: tuple[Tensor, Tensor], inputs: Inputs, steps: int, r: Recipe) -> float:
    """One step; every fourth sees all tokens, the others a random share. Returns the loss."""
    for group in state.opt.param_groups:
        group["lr"] = r.lr * group["scale"] * rate(state.step, steps, r)
    drawn = r.least + (1 - r.least) * float(torch.rand(1, generator=state.rng))
    keep = 1.0 if state.step % 4 == 3 else drawn
    loss, right = loss_of(state.vit, data, inputs, keep, r.smoothing, state.rng)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.vit.parameters(), 1.0)
    state.opt.step()
    state.opt.zero_grad(set_to_none=True)
    state.right.append(right)
    return loss.item()
