"""`patchlens study`: questions that the papers leave open, answered with tables."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

study = typer.Typer(help="Questions that the papers leave open, answered with tables.", no_args_is_help=True)


@study.command("camera")
def camera_command(
    encoder: Annotated[str, typer.Option(help="see `patchlens list`")] = "tiny-video",
    tau: Annotated[float, typer.Option(help="of plain RLT")] = 0.1,
    limit: Annotated[int, typer.Option(min=2, max=1024, help="panning clips")] = 128,
    seed: Annotated[int, typer.Option(help="which procedural clips (not 1: training's)")] = 3,
    json: Annotated[Path | None, typer.Option("--json", help="write everything here")] = None,
) -> None:
    """RLT on panning clips: how many of its tokens are left at equal fidelity once camera motion is undone."""
    from patchlens.cache import write_whole
    from patchlens.evaluation.panning import camera_study, panning_set, text
    from patchlens.evaluation.provenance import provenance, ran_on
    from patchlens.outputs import check_targets
    from patchlens.pipeline import load_encoder

    samples = panning_set(seed, limit)
    check_targets({"json": json}, Path(samples.name))
    model = load_encoder(encoder)
    found, made = camera_study(model, samples, tau), provenance()
    typer.echo(f"{text(found)}\n{ran_on(made)}")
    if json is not None:
        whole = {"encoder": model.facts, "data": samples.name, **found, "provenance": made}
        write_whole(json, (json_module.dumps(whole, indent=1, allow_nan=False) + "\n").encode())
