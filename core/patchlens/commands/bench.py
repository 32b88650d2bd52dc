"""`patchlens bench`: wall time against token counts, on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer


def bench_command(
    context: typer.Context,
    video: Annotated[list[Path], typer.Option(help="a video file; repeatable, used in turn to fill the batch")],
    encoder: Annotated[str, typer.Option(help="see `patchlens list`")] = "videomae-base",
    weights: Annotated[str, typer.Option(help="a tag, a file or folder, or random")] = "random",
    selector: Annotated[
        list[str] | None, typer.Option(help="as in random or rlt:tau=0.1; repeatable (random, rlt, lite if none is named)")
    ] = None,
    merger: Annotated[
        list[str] | None, typer.Option(help="as in tome or tome:r=65; repeatable (tome, sta if none is named)")
    ] = None,
    keep_ratio: Annotated[
        list[float] | None, typer.Option(help="keep ratio K/N that tau and r are solved for; repeatable (0.5)")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=1024, help="clips per run")] = 4,
    frames: Annotated[int, typer.Option(min=1, max=4096, help="frames of a clip, for encoders that fix none")] = 16,
    repeats: Annotated[int, typer.Option(min=1, max=1000, help="timed runs of each, interleaved")] = 5,
    seed: Annotated[int, typer.Option(help="for random choices and random weights")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16")] = "auto",
    profile: Annotated[bool, typer.Option(help="also say by kind of operation where the time goes")] = False,
    json: Annotated[Path | None, typer.Option("--json", help="write rows and where they come from")] = None,
    plot: Annotated[Path | None, typer.Option(help="write the figure here, one HTML file that opens offline")] = None,
) -> None:
    """Encode throughput: full, random, RLT, LITE, ToMe, STA, interleaved; efficiency = speed-up / GMAC ratio.

    In parentheses the same by processor time, the better witness where others use the machine too.
    """
    from patchlens.cache import write_whole
    from patchlens.commands.evaluate import command_line
    from patchlens.evaluation.operations import operations_table
    from patchlens.evaluation.provenance import provenance, ran_on
    from patchlens.evaluation.shipped import dumps
    from patchlens.evaluation.throughput import bench, table
    from patchlens.outputs import check_targets
    from patchlens.pipeline import load_encoder

    check_targets({"json": json, "plot": plot}, video[0])
    ratios = keep_ratio or [0.5]
    model = load_encoder(encoder, weights, seed=seed, device=device, dtype=dtype)
    plans = [*(selector or []), *(merger or [])] or [*_selectors(model), *_mergers(model)]
    clips = _clips(video, batch, frames, model, plans)
    rows = bench(model, clips, plans, keep_ratio=ratios, repeats=repeats, seed=seed, progress=_told, profiled=profile)
    made = provenance()
    typer.echo(table(rows))
    if profile:
        typer.echo(f"\n{operations_table(rows)}")
    for row in rows:
        for clip, found in zip(clips, row.get("solved", []), strict=False):
            knob, value = next(iter(found.items()))
            kept = f"{found['kept']:.3f} (asked {row['asked']:g})"
            typer.echo(f"{row['selector']} on {clip.source.name}: {knob} {value:.4g} keeps {kept}")
    typer.echo(f"{batch} clips, {model.facts['device']}, {model.facts['dtype']}; {ran_on(made)}")
    asked = {"batch": batch, "frames": len(clips[0].frames), "keep_ratios": ratios, "repeats": repeats}
    asked |= {"videos": [v.name for v in video]}
    result = {"encoder": model.facts, **asked, "command": command_line(context), "provenance": made, "rows": rows}
    if json is not None:
        write_whole(json, dumps(result).encode())
    if plot is not None:
        from patchlens.views.study_figures import bench_figure, page

        write_whole(plot, page(bench_figure(result)))


def _clips(videos: list[Path], batch: int, frames: int, model: Any, plans: list[str]) -> list[Any]:
    """As many clips as asked for, at the encoder's size, with the motion that plans look at: the videos in turn."""
    from patchlens import video as reader
    from patchlens.evaluation.budgets import contender
    from patchlens.registry import reading_of

    ways = reading_of(s for plan in plans for s in contender(plan).plan.selectors)
    ways |= dict(frames=model.inputs.frames or frames, size=model.inputs.size_hw, fit=model.inputs.fit)
    clips = [reader.read(v, **ways) for v in videos[:batch]]
    return [clips[i % len(clips)] for i in range(batch)]


def _selectors(model: Any) -> list[str]:
    from patchlens.registry import misfit, plugins

    known = plugins()
    return [n for n in ("random", "rlt", "lite") if n in known and not misfit(known[n], model.offers, model.name)]


def _mergers(model: Any) -> list[str]:
    from patchlens.registry import misfit, plugins

    return [n for n in ("tome", "sta") if not misfit(plugins("merger")[n], model.offers, model.name)]


def _told(name: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {total}: {name:<40}", end="\r", file=sys.stderr, flush=True)
