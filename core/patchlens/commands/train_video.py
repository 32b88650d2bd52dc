"""`patchlens train video`: arguments around `patchlens.training.video_run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train_video_command(
    data: Annotated[
        str, typer.Option(help="a folder of class sub-folders (or with labels.csv), or a .csv or .json list")
    ],
    init: Annotated[
        str | None, typer.Option(help="weights to start from: a file, a folder or a tag; the first on disk without it")
    ] = None,
    encoder: Annotated[
        str, typer.Option(help="what they are of: tiny-video, videomae-base, deit_tiny_patch16_224 (inflated), ...")
    ] = "tiny-video",
    out: Annotated[Path, typer.Option(help="folder for checkpoint, log, weights and card")] = Path("runs/video"),
    videos: Annotated[Path | None, typer.Option(help="folder of a list's videos, its own folder without it")] = None,
    split: Annotated[str | None, typer.Option(help="only this split of a list")] = None,
    frames: Annotated[int, typer.Option(min=2, max=64, help="frames per clip of an inflated image model")] = 16,
    epochs: Annotated[int, typer.Option(min=1)] = 20,
    batch: Annotated[int, typer.Option(min=1)] = 8,
    lr: Annotated[float, typer.Option(help="learning rate of the head; earlier layers have less")] = 5e-4,
    flip: Annotated[
        bool, typer.Option("--flip", help="swap left and right at random: only where no class cares")
    ] = False,
    folds: Annotated[int, typer.Option(min=2, help="parts that source groups (or videos) are dealt into")] = 5,
    fold: Annotated[int, typer.Option(min=0, help="which part is held out")] = 0,
    seed: Annotated[int, typer.Option()] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
) -> None:
    """Fine-tune a space-time model on your own labelled clips; resumes from its last checkpoint."""
    from patchlens.data.datasets import open_set
    from patchlens.training.video import Recipe
    from patchlens.training.video_run import run_training

    recipe = Recipe(epochs=epochs, batch=batch, seed=seed, lr=lr, flip=flip, folds=folds, fold=fold)
    samples = open_set(data, seed, None, videos, split)
    for note in samples.notes:
        typer.echo(f"note: {note}")
    path = run_training(samples, out, encoder, init, recipe, frames, device)
    if path is not None:
        typer.echo((out / "video.md").read_text())
        typer.echo(f"wrote {path}; use it with --encoder tiny-video --weights {path}")
