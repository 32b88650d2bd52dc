"""The training loop of `tiny-video`: resumable, logged, with rate and time left; then the card and the finished file."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from patchlens.data.motions import batch
from patchlens.encoders.encoder import pick_device
from patchlens.encoders.patches import cut, normalise
from patchlens.encoders.vit import ViT
from patchlens.training.checkpoints import Log, load_last, save_whole
from patchlens.training.tiny_video import (
    CONFIG,
    MEAN,
    STD,
    VALIDATION_SEED,
    Clips,
    Recipe,
    TokenHeads,
    choose,
    gather,
    initialise,
    losses,
    optimisers,
    rate,
    tokens_at,
)

COLUMNS = ("step", "clips", "loss", "task", "top1", "top1_half", "clips_per_s")


@torch.no_grad()
def accuracy(
    vit: ViT, clips: int, seed: int, keep: float = 1.0, device: str = "cpu", recipe: Recipe | None = None
) -> float:
    """Top-1 on held-out clips of the default difficulty, with a random share `keep` of the tokens."""
    vit.eval()
    generator, right = torch.Generator().manual_seed(0), 0
    control = Clips(recipe or Recipe(), 0).control
    for start in range(0, clips, 64):
        frames, labels, _ = batch(range(start, min(clips, start + 64)), seed=seed)
        patches = cut(torch.from_numpy(control(frames, start)), CONFIG.tubelet, CONFIG.patch).flatten(2)
        index = choose(patches, int(keep * CONFIG.tokens), False, generator)
        patches = gather(patches, index).to(device)
        x = normalise(patches.reshape(-1, 3, CONFIG.patch_dim // 3), MEAN, STD)
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            out = vit(vit.embed(x, index.flatten().to(device)), (index.shape[1],) * len(frames)).out
        right += int((out.argmax(1).cpu() == torch.from_numpy(labels)).sum())
    vit.train()
    return right / clips


@dataclass
class State:
    """What a checkpoint holds: the model, the training-only heads, the optimisers, the generator and the step."""

    vit: ViT
    heads: nn.Module
    opts: list[torch.optim.Optimizer]
    generator: torch.Generator
    step: int = 0

    def load(self, path: Path, device: str) -> None:
        """Continue from a checkpoint where there is one."""
        if saved := load_last(path, device):
            self.vit.load_state_dict(saved["vit"])
            self.heads.load_state_dict(saved["heads"])
            for opt, state in zip(self.opts, saved["opts"], strict=True):
                opt.load_state_dict(state)
            self.generator.set_state(saved["generator"].cpu())
            self.step = saved["step"]

    def save(self, path: Path, recipe: Recipe) -> None:
        """Write a checkpoint, whole."""
        save_whole(
            {
                "step": self.step,
                "vit": self.vit.state_dict(),
                "heads": self.heads.state_dict(),
                "opts": [o.state_dict() for o in self.opts],
                "generator": self.generator.get_state(),
                "recipe": asdict(recipe),
            },
            path,
        )


def train(folder: Path, r: Recipe, device: str = "cpu", every: int = 100, check: int = 500) -> ViT:
    """Run or resume a training in `folder`: `last.pt` and `log.csv` every `every` steps, validation every `check`."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(r.seed)
    vit, heads = initialise(ViT(CONFIG)).to(device), TokenHeads(CONFIG.width).to(device)
    state = State(vit, heads, optimisers(vit, heads, r), torch.Generator().manual_seed(r.seed))
    state.load(folder / "last.pt", device)
    log, begun, first = Log(folder / "log.csv", COLUMNS, state.step), time.time(), state.step
    ways = dict(num_workers=1, prefetch_factor=6, multiprocessing_context="spawn")  # a fork may inherit a held lock
    loader = DataLoader(Clips(r, state.step), batch_size=None, **ways)
    for data in loader:
        loss, task = optimise(state, data, r, device)
        state.step += 1
        if state.step % every == 0 or state.step == r.steps:
            whole = (0.0, 0.0)
            if state.step % check == 0 or state.step == r.steps:
                whole = tuple(accuracy(vit, 256, VALIDATION_SEED, keep, device, r) for keep in (1.0, 0.5))
            speed = (state.step - first) * r.batch / (time.time() - begun)
            row = dict(
                step=state.step,
                clips=state.step * r.batch,
                loss=loss,
                task=task,
                top1=whole[0],
                top1_half=whole[1],
            )
            log.add(**row, clips_per_s=speed)
            left = (r.steps - state.step) * r.batch / speed / 60
            print(f"step {state.step}/{r.steps} loss {loss:.3f} task {task:.3f} top1 {whole[0]:.3f} half {whole[1]:.3f} "
                  f"{speed:.0f} clips/s, {left:.0f} min left", flush=True)  # fmt: skip
            state.save(folder / "last.pt", r)
    return vit.eval()


def optimise(state: State, data: tuple[Any, ...], r: Recipe, device: str) -> tuple[float, float]:
    """One step; returns (loss, task loss)."""
    at = state.step / r.steps
    k = tokens_at(state.step, state.generator)
    fade = min(1.0, 3 * (1 - at / r.token_losses_until))
    for opt in state.opts:
        for group in opt.param_groups:
            group["lr"] = (r.lr if isinstance(opt, torch.optim.Muon) else r.lr / 2) * rate(state.step, r)
    with torch.autocast(torch.device(device).type, torch.bfloat16):
        loss, task = losses(state.vit, state.heads, data, k, at < r.biased_until, fade, r, state.generator, device)
    loss.backward()
    torch.nn.utils.clip_grad_norm_([*state.vit.parameters(), *state.heads.parameters()], 1.0)
    for opt in state.opts:
        opt.step()
        opt.zero_grad(set_to_none=True)
    return loss.item(), task.item()


def run_training(
    folder: Path, clips: int = Recipe.clips, seed: int = 0, device: str = "auto", control: str = "none"
) -> None:
    """The whole of `patchlens train tiny-video`: train (or resume), measure, and write model and card into `folder`.

    Raises ValueError for a control that is not none, shuffled or single.
    """
    from patchlens.training.tiny_video_card import finish

    if control not in ("none", "shuffled", "single"):
        raise ValueError(f"control is {control!r}; choose none, shuffled or single.")
    recipe = Recipe(clips=clips, seed=seed, shuffled=control == "shuffled", single=control == "single")
    vit = train(folder, recipe, str(pick_device(device)))
    print(f"wrote {finish(folder, vit.cpu(), recipe)}")
