"""`patchlens train pruner`: arguments around `patchlens.training.pruner_run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train_pruner_command(
    data: Annotated[str, typer.Option(help="motions, a folder of class sub-folders, or a .csv or .json list")] = "motions",
    encoder: Annotated[str, typer.Option(help="the frozen backbone: space-time attention, classes")] = "tiny-video",
    weights: Annotated[str | None, typer.Option(help="its weights: a tag, a file or folder, or random")] = None,
    out: Annotated[Path, typer.Option(help="folder for checkpoint, log, weights and card")] = Path("runs/pruner"),
    rho: Annotated[float, typer.Option(help="share of the tokens kept at each of three stages")] = 0.6,
    clips: Annotated[int, typer.Option(min=16, help="at most so many clips to train on")] = 4800,
    held: Annotated[int, typer.Option(min=8, help="at most so many held-out clips to measure on")] = 256,
    epochs: Annotated[int, typer.Option(min=1)] = 1,
    batch: Annotated[int, typer.Option(min=1, help="clips in a step, over all processes")] = 16,
    lr: Annotated[float, typer.Option(help="learning rate")] = 2e-3,
    videos: Annotated[Path | None, typer.Option(help="folder of a list's videos, its own folder without it")] = None,
    split: Annotated[str | None, typer.Option(help="only this split of a list")] = None,
    seed: Annotated[int, typer.Option(help="of the first weights, the order, and what is dropped in training")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
) -> None:
    """Train DynamicViT's token pruner for an encoder, which stays frozen. Resumes; also under torchrun."""
    from patchlens.pipeline import load_encoder
    from patchlens.training.lite import parts_of
    from patchlens.training.pruner import Recipe
    from patchlens.training.pruner_run import run_training

    recipe = Recipe(batch=batch, seed=seed, lr=lr, epochs=epochs, rho=rho)
    train, test = parts_of(data, clips, held, seed, videos, split)
    for note in train.notes:
        typer.echo(f"note: {note}")
    path = run_training(load_encoder(encoder, weights, device=device, dtype="float32"), train, test, out, recipe)
    if path is not None:
        typer.echo((out / "pruner.md").read_text())
        typer.echo(f"wrote {path}; use it as --merger pruner:rho={rho},weights={path}")
