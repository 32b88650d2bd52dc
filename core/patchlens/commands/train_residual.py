"""`patchlens train residual`: arguments around `patchlens.training.residual_run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train_residual_command(
    encoder: Annotated[str, typer.Option(help="a CLIP model; see `patchlens list`")] = "tiny-clip",
    weights: Annotated[str | None, typer.Option(help="a tag, a file or folder, or random")] = None,
    data: Annotated[
        str, typer.Option(help="scenes, a folder of videos with captions, or a WebVid-layout CSV")
    ] = "scenes",
    videos: Annotated[Path | None, typer.Option(help="folder of a list's videos, its own folder without it")] = None,
    out: Annotated[Path, typer.Option(help="folder for checkpoint, log, tokenizer and card")] = Path("runs/residual"),
    pairs: Annotated[int, typer.Option(min=2, help="training pairs")] = 4096,
    epochs: Annotated[int, typer.Option(min=1, help="passes over them")] = 5,
    batch: Annotated[int, typer.Option(min=2, help="pairs of one step, over all processes (the paper: 2048)")] = 64,
    lr: Annotated[float, typer.Option(help="constant learning rate")] = 5e-4,
    drop: Annotated[float, typer.Option(help="share of a P-frame's patches that is dropped at random")] = 0.85,
    n_train: Annotated[int, typer.Option(min=1, max=10, help="P-frames behind each I-frame")] = 3,
    fps: Annotated[float, typer.Option(help="frames per second within a pair")] = 1.0,
    objective: Annotated[str, typer.Option(help="both, image-to-text, mse or mse+text")] = "both",
    layers: Annotated[int, typer.Option(min=1, max=4, help="of the tokenizer; more than one: ReLU between")] = 1,
    hidden: Annotated[int | None, typer.Option(min=1, help="width between its layers; the tower's without one")] = None,
    optimiser: Annotated[str, typer.Option(help="adamw (the paper) or muon (few steps; try --lr 0.02)")] = "adamw",
    strategy: Annotated[
        str, typer.Option(help="what ranks the patches of every other pair in training, as in motion; random: the paper")
    ] = "random",
    unfreeze: Annotated[
        bool, typer.Option("--unfreeze", help="fine-tune a copy of the visual tower for P-frames too")
    ] = False,
    seed: Annotated[int, typer.Option()] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
) -> None:
    """Distil a CLIP model's residual tokenizer (ResidualViT) from videos with sentences; resumes; torchrun works too."""
    from patchlens.data.pairs import open_pairs
    from patchlens.encoders.resident import load_encoder
    from patchlens.training.ranks import own_device
    from patchlens.training.residual import Recipe
    from patchlens.training.residual_run import run_training

    sizes, how = (batch, seed, lr, 0.0, pairs, epochs), (drop, n_train, fps, objective, layers, unfreeze)
    recipe = Recipe(*sizes, *how, optimiser, strategy, hidden)
    source = open_pairs(data, videos, 1 + 1000 * seed)
    model = load_encoder(encoder, weights, seed=seed, device=str(own_device(device)), dtype="float32")
    wide = f" --hidden {hidden}" if hidden else ""
    command = (
        f"patchlens train residual --encoder {encoder} --data {Path(data).name} --pairs {pairs} --epochs {epochs} "
        f"--batch {batch} --lr {lr:g} --drop {drop:g} --n-train {n_train} --fps {fps:g} --objective {objective} "
        f"--layers {layers}{wide} --optimiser {optimiser} --strategy {strategy}{' --unfreeze' * unfreeze} --seed {seed}"
    )
    path = run_training(out, model, source, recipe, command)
    if path is not None:
        typer.echo(path.with_suffix(".md").read_text("utf-8"))
        typer.echo(f"wrote {path}; used where it lies beside the encoder's weights, or with --residual {path}")
