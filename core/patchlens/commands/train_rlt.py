"""`patchlens train rlt`: arguments around `patchlens.training.rlt_run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train_rlt_command(
    out: Annotated[Path, typer.Option(help="folder for checkpoints, logs and the table")] = Path("runs/rlt"),
    steps: Annotated[int, typer.Option(min=3, help="of every arm")] = 40,
    batch: Annotated[int, typer.Option(min=1, help="clips of one step")] = 16,
    lr: Annotated[float, typer.Option(help="learning rate, falling linearly to zero")] = 7e-4,
    tau: Annotated[
        float, typer.Option(help="of RLT; 0.2 to 0.3 keeps half to a quarter of static-camera clips")
    ] = 0.25,
    along: Annotated[
        float, typer.Option(min=0, max=1, help="where the start is between first (0) and trained (1) weights")
    ] = 0.55,
    test: Annotated[int, typer.Option(min=8, help="held-out clips")] = 1024,
    seed: Annotated[int, typer.Option(help="of the first weights and of random dropping")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
) -> None:
    """Fine-tune with all tokens, with RLT and with random dropping, from one half-trained start; resumes."""
    from patchlens.training.rlt import Recipe
    from patchlens.training.rlt_run import run_training

    recipe = Recipe(batch=batch, seed=seed, lr=lr, steps=steps)
    typer.echo(f"wrote {run_training(out, recipe, tau, along, test, device)}")
