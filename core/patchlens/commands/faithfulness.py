"""`patchlens faithfulness`: arguments and printing around `patchlens.evaluation.faithfulness`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def faithfulness_command(
    video: Annotated[Path, typer.Argument(help="a video file")],
    selector: Annotated[str, typer.Option(help="whose map: any plan; its first selector's scores are judged")] = "oracle",
    label: Annotated[str | None, typer.Option(help="the clip's class; the predicted one without it")] = None,
    encoder: Annotated[str, typer.Option(help="see `patchlens list`")] = "tiny-video",
    weights: Annotated[str | None, typer.Option(help="a tag, a file or folder, or random")] = None,
    draws: Annotated[int, typer.Option(min=3, max=100, help="random orders, and as many shuffled maps")] = 8,
    frames: Annotated[int, typer.Option(min=1, max=512, help="frames to sample")] = 16,
    seed: Annotated[int, typer.Option(help="of the random orders")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
    json: Annotated[str | None, typer.Option(help="write curves and areas here; - prints them")] = None,
) -> None:
    """Whether a token-value map is true on this clip: deletion and insertion against random and shuffled orders."""
    from patchlens.cache import write_whole
    from patchlens.evaluation import faithfulness as judge
    from patchlens.outputs import check_targets
    from patchlens.pipeline import load_encoder, run

    check_targets({"json": json}, video)
    model = load_encoder(encoder, weights, seed=seed, device=device)
    trace = run(video, encoder=model, selector=selector, label=label, frames=frames, seed=seed, isolate=True)
    found = judge.faithfulness(trace, model, draws)
    if json == "-":
        typer.echo(judge.dumps(found), nl=False)
        return
    if json is not None:
        write_whole(Path(json), judge.dumps(found).encode())
    for note in trace.notes:
        typer.echo(f"note: {note}")
    typer.echo(judge.text(found))
