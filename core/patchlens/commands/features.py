"""`patchlens features`: per-frame features of a video or a folder of videos, to files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from patchlens.commands.ground import (
    Device,
    Drop,
    Dtype,
    Encoder,
    Fps,
    Interleave,
    NoCuts,
    NoResidual,
    Residual,
    Strategy,
    Weights,
    schedule,
)


def features_command(
    where: Annotated[Path, typer.Argument(help="a video, or a folder of videos")],
    out: Annotated[Path | None, typer.Option(help="folder for the files; beside each video without it")] = None,
    kind: Annotated[str, typer.Option("--format", help="npz or parquet (needs pyarrow)")] = "npz",
    encoder: Encoder = "tiny-clip",
    weights: Weights = None,
    interleave: Interleave = 2,
    drop: Drop = 0.85,
    strategy: Strategy = "motion",
    no_residual: NoResidual = False,
    no_cuts: NoCuts = False,
    residual: Residual = None,
    fps: Fps = 3.0,
    seed: Annotated[int, typer.Option(help="of random draws")] = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Features of every sampled frame, streamed: times, features and which are I-frames; a killed run goes on.

    Files that are there already are left alone.
    """
    from patchlens.encoders.resident import load_encoder
    from patchlens.evaluation.features import check_kind, extract, videos_of

    check_kind(ending := f".{kind.lstrip('.')}")
    videos = videos_of(where)
    if out is not None and not out.is_dir():
        raise ValueError(f"The folder {out} is not there; make it or choose another.")
    model = load_encoder(encoder, weights, seed=seed, device=device, dtype=dtype, residual=residual)
    plan = schedule(interleave, drop, strategy, no_residual, no_cuts)
    root = where if where.is_dir() else where.parent
    for number, video in enumerate(videos, 1):
        name = "-".join(video.relative_to(root).parts) + ending
        target = (out or video.parent) / (name if out else video.name + ending)
        head = f"{number} of {len(videos)}"
        if target.exists():
            typer.echo(f"{head}: {target.name} is there already")
            continue
        made = extract(video, target, model, plan, fps, seed, _told(head))
        saved = 100 * (1 - made["gmacs"] / made["full"])
        typer.echo(f"{head}: {target.name}, {made['frames']} frames, {made['gmacs']:.4g} GMACs ({saved:.0f} % saved)")


def _told(head: str):
    """Share done and time left on stderr: kept on one line where somebody watches, now and then where nobody does."""
    live, said = sys.stderr.isatty(), [-1.0]

    def told(name: str, share: float, left: float) -> None:
        if live or share - said[0] >= 0.05:
            said[0] = share
            text = f"{head}: {name}, {100 * share:.0f} %, {left:.0f} s left"
            print(f"\r{text:<78}" if live else text, end="" if live else "\n", file=sys.stderr, flush=True)

    return told
