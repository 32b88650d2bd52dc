"""`patchlens train lite` and `train glance`: arguments around `patchlens.training.lite` and `.glance`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train_lite_command(
    data: Annotated[str, typer.Option(help="motions, scenes, a folder of videos, or a .csv or .json list")] = "motions",
    encoder: Annotated[str, typer.Option(help="the frozen backbone, see `patchlens list`")] = "tiny-video",
    weights: Annotated[str | None, typer.Option(help="its weights: a tag, a file or folder, or random")] = None,
    out: Annotated[Path, typer.Option(help="folder for maps, checkpoint, log, weights and card")] = Path("runs/lite"),
    oracle: Annotated[
        str, typer.Option(help="whose maps to learn: oracle, oracle:gradient=mean, oracle:clean=peaks, ...")
    ] = "oracle",
    hidden: Annotated[str, typer.Option(help="hidden sizes of the MLP; more of them make it deeper")] = "256,64",
    branch: Annotated[
        str, typer.Option(help="beside the MLP: none, block (transformer) or global (3-D convolutions, attention)")
    ] = "none",
    channels: Annotated[int, typer.Option(min=4, help="width of the branch, a multiple of 4")] = 32,
    clips: Annotated[int, typer.Option(min=16, help="at most so many clips to train on")] = 1024,
    held: Annotated[int, typer.Option(min=8, help="at most so many held-out clips to measure on")] = 256,
    frames: Annotated[int, typer.Option(min=1, max=512, help="per clip, for encoders that take any number")] = 16,
    epochs: Annotated[int, typer.Option(min=1)] = 12,
    batch: Annotated[int, typer.Option(min=1, help="clips in a step, over all processes")] = 16,
    lr: Annotated[float, typer.Option(help="learning rate")] = 3e-3,
    videos: Annotated[Path | None, typer.Option(help="folder of a list's videos, its own folder without it")] = None,
    split: Annotated[str | None, typer.Option(help="only this split of a list")] = None,
    seed: Annotated[int, typer.Option(help="of the first weights, the order, and which clips are held out")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
) -> None:
    """Train LITE's token selector for an encoder: it learns the oracle's maps. Resumes; also under torchrun."""
    from patchlens.pipeline import load_encoder
    from patchlens.ranker import parse_sizes
    from patchlens.training.lite import Recipe, parts_of, run_training

    recipe = Recipe(batch=batch, seed=seed, lr=lr, epochs=epochs, hidden=parse_sizes(hidden), branch=branch,
                    channels=channels, oracle=oracle, frames=frames)  # fmt: skip
    train, test = parts_of(data, clips, held, seed, videos, split)
    for note in train.notes:
        typer.echo(f"note: {note}")
    path = run_training(load_encoder(encoder, weights, device=device), train, test, out, recipe, device)
    if path is not None:
        typer.echo((out / "lite.md").read_text())
        typer.echo(f"wrote {path}; use it as --selector lite:keep=0.5,weights={path}")


def train_glance_command(
    data: Annotated[str, typer.Option(help="motions, a folder of class sub-folders, or a .csv or .json list")] = "motions",
    encoder: Annotated[str, typer.Option(help="the backbone it is distilled from, see `patchlens list`")] = "tiny-video",
    weights: Annotated[str | None, typer.Option(help="its weights: a tag, a file or folder, or random")] = None,
    out: Annotated[Path, typer.Option(help="folder for frames, checkpoint, log, weights and card")] = Path("runs/glance"),
    clips: Annotated[int, typer.Option(min=32, help="at most so many clips to train on")] = 8192,
    taught: Annotated[int, typer.Option(min=0, help="so many of them with the backbone's answer, a full run each")] = 512,
    held: Annotated[int, typer.Option(min=8, help="at most so many held-out clips to measure on")] = 512,
    epochs: Annotated[int, typer.Option(min=1)] = 12,
    batch: Annotated[int, typer.Option(min=1, help="clips in a step, over all processes")] = 32,
    lr: Annotated[float, typer.Option(help="learning rate")] = 4e-3,
    videos: Annotated[Path | None, typer.Option(help="folder of a list's videos, its own folder without it")] = None,
    split: Annotated[str | None, typer.Option(help="only this split of a list")] = None,
    seed: Annotated[int, typer.Option(help="of the first weights, the order, and which clips are held out")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
) -> None:
    """Distil the small network whose confidence sets LITE++'s budget. Resumes; also under torchrun."""
    from patchlens.pipeline import load_encoder
    from patchlens.training.glance import Recipe, run_training
    from patchlens.training.lite import parts_of

    recipe = Recipe(batch=batch, seed=seed, lr=lr, epochs=epochs, taught=taught)
    train, test = parts_of(data, clips, held, seed, videos, split)
    path = run_training(load_encoder(encoder, weights, device=device), train, test, out, recipe, device)
    if path is not None:
        typer.echo((out / "glance.md").read_text())
        typer.echo(f"wrote {path}; use it as --selector litepp:keep=0.5,glance={path}")
