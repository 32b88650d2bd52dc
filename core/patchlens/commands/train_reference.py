"""`patchlens train tiny-video`, `train tiny-clip` and `card`: arguments around the training of the bundled models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Option(help="folder for checkpoints, log, card and the finished model")]
Seed = Annotated[int, typer.Option(help="of the training stream and the first weights")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps")]
Init = Annotated[str | None, typer.Option(help='weights to go on from: "bundled", or a file of this training')]
CONTROLS = "none, shuffled (frames in random order) or single (one frame)"


def tiny_video_command(
    out: Out = Path("runs/tiny-video"),
    clips: Annotated[int, typer.Option(min=64, help="training clips, drawn on the fly")] = 166_400,
    seed: Seed = 0,
    device: Device = "auto",
    control: Annotated[str, typer.Option(help=CONTROLS)] = "none",
    init: Init = None,
    head: Annotated[str, typer.Option(help="what it answers from: mean (of the patches) or cls (a class token)")] = "mean",
) -> None:
    """Train the bundled space-time model on procedural motions; resumes from its last checkpoint."""
    from patchlens.training.tiny_video_run import run_training

    run_training(out, clips=clips, seed=seed, device=device, control=control, init=init, head=head)


def card_command(
    weights: Annotated[Path, typer.Argument(help="a tiny-video.safetensors")],
    control: Annotated[list[Path] | None, typer.Option(help="folder of a finished control; repeatable")] = None,
) -> None:
    """Write the card of a trained tiny-video anew, with its control trainings."""
    from patchlens.training.controls import add_to_card

    typer.echo(f"wrote {add_to_card(weights, control or [])}")


def tiny_clip_command(
    out: Out = Path("runs/tiny-clip"),
    frames: Annotated[int, typer.Option(min=64, help="training frames with captions, drawn on the fly")] = 256_000,
    seed: Seed = 0,
    device: Device = "auto",
    init: Init = None,
) -> None:
    """Train the bundled dual encoder on procedural scenes and captions; resumes from its last checkpoint."""
    from patchlens.training.tiny_clip_run import run_training

    run_training(out, frames=frames, seed=seed, device=device, init=init)
