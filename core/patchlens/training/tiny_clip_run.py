"""The training loop of `tiny-clip`: resumable, logged, with rate and time left; then the card and the finished file."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from patchlens.data.claims import truth
from patchlens.data.stills import caption_batch
from patchlens.encoders.encoder import pick_device
from patchlens.encoders.words import Words
from patchlens.training.checkpoints import Log, load_last, save_whole
from patchlens.training.tiny_clip import DualEncoder, Pairs, Recipe, losses, patches_at

COLUMNS = ("step", "frames", "loss", "task", "scale", "r1", "r1_true", "frames_per_s")
VALIDATION_SEED = 2


def optimisers(model: DualEncoder, r: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of both towers' blocks, AdamW for everything else; norms and scales do not decay."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "blocks" in name]
    taken = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in taken]
    groups = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": r.weight_decay},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    muon = torch.optim.Muon(matrices, lr=r.lr, weight_decay=r.weight_decay, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW(groups, lr=r.lr / 2, betas=(0.9, 0.98))]


def rate(step: int, r: Recipe) -> float:
    """Learning-rate factor: linear warm-up, flat, linear to zero from `decay_from` on."""
    at = (step + 1) / (r.steps + 1)
    return min(1.0, at / r.warmup, (1 - at) / (1 - r.decay_from))


@torch.no_grad()
def embed(model: DualEncoder, frames: Tensor, texts: list[str]) -> tuple[Tensor, Tensor]:
    """Normalised features of frames (B,D), all patches seen, and of texts (n,D)."""
    model.eval()
    device = model.vit.position.device
    index = torch.arange(model.vit.config.tokens).expand(len(frames), -1)
    with torch.autocast(device.type, torch.bfloat16):
        seen = torch.cat(
            [model.encode_frames(f, i).out.float() for f, i in zip(frames.split(64), index.split(64), strict=True)]
        )
        said = model.encode_text(Words.bundled()(texts).to(device)).float()
    model.train()
    return F.normalize(seen, dim=-1), F.normalize(said, dim=-1)


def validate(model: DualEncoder, frames: int = 256, split: str = "validation") -> tuple[float, float]:
    """R@1 of captions among held-out frames: by the caption's own frame, and by any frame that it is true of."""
    made = caption_batch(range(frames), VALIDATION_SEED, split)
    seen, said = embed(model, torch.from_numpy(made.frames), made.captions)
    best = (said @ seen.T).argmax(1).cpu().numpy()
    right = truth(made.claims, made.facts)[range(frames), best] == 1
    return float((best == range(frames)).mean()), float(right.mean())


@dataclass
class State:
    """What a checkpoint holds: model and training-only heads, optimisers, generator and step."""

    model: DualEncoder
    opts: list[torch.optim.Optimizer]
    generator: torch.Generator
    step: int = 0

    @classmethod
    def start(cls, folder: Path, r: Recipe, device: str) -> State:
        """A fresh start, or the last checkpoint in `folder`.

        Raises ValueError when that was made by another recipe.
        """
        model = DualEncoder(r.seed).to(device)
        state = cls(model, optimisers(model, r), torch.Generator().manual_seed(r.seed))
        if saved := load_last(folder / "last.pt", device):
            if saved["recipe"] != asdict(r):
                raise ValueError(
                    f"{folder} holds a training by another recipe; give another folder, or the same options."
                )
            model.load_state_dict(saved["model"])
            for opt, old in zip(state.opts, saved["opts"], strict=True):
                opt.load_state_dict(old)
            state.generator.set_state(saved["generator"].cpu())
            state.step = saved["step"]
        return state

    def save(self, folder: Path, r: Recipe) -> None:
        """Write a checkpoint, whole."""
        state = {"step": self.step, "model": self.model.state_dict(), "opts": [o.state_dict() for o in self.opts],
                 "generator": self.generator.get_state(), "recipe": asdict(r)}  # fmt: skip
        save_whole(state, folder / "last.pt")


def optimise(state: State, data: dict[str, Tensor], r: Recipe) -> tuple[float, float]:
    """One step; returns (loss, contrastive loss)."""
    model, device = state.model, state.model.vit.position.device
    k = patches_at(state.step, r, model.vit.config.tokens, state.generator)
    fade = min(1.0, 3 * (1 - state.step / r.steps / r.heads_until))
    for opt in state.opts:
        for group in opt.param_groups:
            group["lr"] = (r.lr if isinstance(opt, torch.optim.Muon) else r.lr / 2) * rate(state.step, r)
    with torch.autocast(device.type, torch.bfloat16):
        loss, task = losses(model, data, k, fade, r, state.generator)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for opt in state.opts:
        opt.step()
        opt.zero_grad(set_to_none=True)
    state.step += 1
    return loss.item(), task.item()


def train(
    folder: Path,
    r: Recipe,
    device: str = "cpu",
    every: int = 20,
    check: int = 100,
    until: int | None = None,
    held_out: int = 256,
) -> DualEncoder:
    """Run or resume a training in `folder`: `last.pt` and `log.csv` every `every` steps, validation every `check`
    on `held_out` frames.

    `until` stops early, after that many steps, with a checkpoint.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state, last = State.start(folder, r, device), min(until or r.steps, r.steps)
    log, begun, first = Log(folder / "log.csv", COLUMNS, state.step), time.time(), state.step
    # A forked worker would inherit OpenCV's thread pool without its threads, and wait for them.
    loader = DataLoader(
        Pairs(r, state.step), batch_size=None, num_workers=1, prefetch_factor=4, multiprocessing_context="spawn"
    )
    for data in loader if state.step < last else ():
        loss, task = optimise(state, data, r)
        done = state.step >= last
        if state.step % every == 0 or done:
            found = validate(state.model, held_out) if state.step % check == 0 or done else ("", "")
            speed = (state.step - first) * r.batch / (time.time() - begun)
            log.add(step=state.step, frames=state.step * r.batch, loss=loss, task=task, scale=state.model.scale.item(),
                    r1=found[0], r1_true=found[1], frames_per_s=speed)  # fmt: skip
            state.save(folder, r)
            shown = f" validation R@1 {found[0]:.3f} (true {found[1]:.3f})" if found[0] != "" else ""
            left = (r.steps - state.step) * r.batch / speed / 60
            print(f"step {state.step}/{r.steps} loss {loss:.3f} contrast {task:.3f}{shown} {speed:.0f} frames/s, "
                  f"{left:.0f} min left", flush=True)  # fmt: skip
        if done:
            break
    return state.model.eval()


def run_training(
    folder: Path, frames: int = Recipe.frames, seed: int = 0, device: str = "auto", queries: int = 2000
) -> None:
    """The whole of `patchlens train tiny-clip`: train (or resume), measure, and write model and card into `folder`."""
    from patchlens.training.tiny_clip_card import finish

    recipe = Recipe(frames=frames, seed=seed)
    model = train(folder, recipe, str(pick_device(device)))
    print(f"wrote {finish(folder, model.cpu(), recipe, queries)}")
