"""`patchlens evaluate grounding` and `patchlens ground`: sentences to moments, in full and interleaved."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

Encoder = Annotated[str, typer.Option(help="a CLIP model; see `patchlens list`")]
Weights = Annotated[str | None, typer.Option(help="a tag, a file or folder, or random")]
Interleave = Annotated[int, typer.Option(min=0, max=10, help="P-frames behind each I-frame; 0: every frame in full")]
Drop = Annotated[float, typer.Option(min=0.0, max=0.95, help="share of patches that each P-frame drops")]
Strategy = Annotated[str, typer.Option(help="selector that ranks them: motion, random, uniform, center, residuals, ...")]
NoResidual = Annotated[bool, typer.Option("--no-residual", help="no residual token in P-frames")]
NoCuts = Annotated[bool, typer.Option("--no-cuts", help="no I-frame at shot cuts, as in the paper")]
Residual = Annotated[str | None, typer.Option(help="a tokenizer's file, instead of the one beside the weights")]
Fps = Annotated[float, typer.Option(min=0.01, help="frames per second (Charades-STA 3, ActivityNet 1, MAD 5)")]
Shift = Annotated[float, typer.Option(help="threshold over the mean similarity (ActivityNet: 0.95)")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16")]
Seed = Annotated[int, typer.Option(help="which scenes, file order, and random draws")]


def schedule(interleave: int, drop: float, strategy: str, no_residual: bool, no_cuts: bool) -> Any:
    """The plan that the options ask for; None for every frame in full."""
    from patchlens.selectors.residualvit import ResidualViT

    if interleave == 0:
        return None
    return ResidualViT(interleave, drop, strategy, "off" if no_residual else "auto", "off" if no_cuts else "on")


def grounding_command(
    where: Annotated[
        str, typer.Argument(help="scenes, a folder with annotations.csv, or a .txt, .json or .csv list")
    ] = "scenes",
    encoder: Encoder = "tiny-clip",
    weights: Weights = None,
    interleave: Interleave = 2,
    drop: Drop = 0.85,
    strategy: Strategy = "motion",
    no_residual: NoResidual = False,
    no_cuts: NoCuts = False,
    also: Annotated[
        list[str] | None,
        typer.Option(help="a further plan, as in residualvit:n=3,p=0.9 or residualvit:p=0+tome:r=8; repeatable"),
    ] = None,
    against: Annotated[
        list[str] | None, typer.Option(help="also a table of the others minus this plan, or minus full; repeatable")
    ] = None,
    residual: Residual = None,
    videos: Annotated[Path | None, typer.Option(help="folder of a list's videos, its own folder without it")] = None,
    fps: Fps = 3.0,
    shift: Shift = 1.0,
    seed: Seed = 3,
    limit: Annotated[int, typer.Option(min=1, help="queries at least (the last video counts whole)")] = 2000,
    device: Device = "auto",
    dtype: Dtype = "auto",
    json: Annotated[
        Path | None, typer.Option(help="write everything here; a killed run goes on from FILE.parts")
    ] = None,
) -> None:
    """R@{1,5} at IoU .3/.5/.7 with every frame in full and interleaved (ResidualViT), paired; ceiling, GMACs per second.

    The JSON pairs every two ways. Dropping in every frame alike, without I-frames, is `--also motion:keep=0.15,per=frame`.
    """
    from patchlens.data.asked import open_asked
    from patchlens.encoders.resident import load_encoder
    from patchlens.evaluation.grounding import EVERY, FULL, Question, ground
    from patchlens.evaluation.grounding_table import against as minus
    from patchlens.evaluation.grounding_table import markdown, result
    from patchlens.outputs import check_targets
    from patchlens.specs import parse_way, way_spec

    check_targets({"json": json}, Path(where))
    model = load_encoder(encoder, weights, seed=seed, device=device, dtype=dtype, residual=residual)
    plan = schedule(interleave, drop, strategy, no_residual, no_cuts)
    bases = [spec for spec in against or () if spec != FULL]
    asked = [*([(plan, None)] if plan else []), *(_one(*parse_way(spec)) for spec in [*(also or ()), *bases])]
    ways = {way_spec(selector, merger): selector for selector, merger in asked}
    mergers = {way_spec(selector, merger): merger for selector, merger in asked if merger}
    parts = None if json is None else json.with_name(json.name + ".parts")
    question = Question(fps, shift, seed, limit)
    found = ground(model, open_asked(where, videos, seed), ways, question, parts, mergers, _progress("queries"))
    whole = result(found, model, where, question)
    typer.echo(markdown(whole))
    for base in against or ():
        typer.echo("\n" + minus(whole, EVERY if base == FULL else way_spec(*parse_way(base))))
    if json is not None:
        from patchlens.cache import write_whole
        from patchlens.evaluation.parts import forget

        write_whole(json, (json_module.dumps(whole, indent=1, allow_nan=False) + "\n").encode())
        forget(parts)


def _one(plan: Any, merger: Any) -> tuple[Any, Any]:
    """The one selector of a plan, and the merger.

    Raises ValueError for a plan of several.
    """
    if len(plan.selectors) > 1:
        raise ValueError(f"Grounding takes one selector at a time, with a merger behind it or none, not {plan}.")
    return plan.selectors[0], merger


def zeroshot_command(
    where: Annotated[str, typer.Argument(help="a folder of class sub-folders (or with labels.csv), or a list")],
    template: Annotated[
        list[str] | None, typer.Option(help='sentence with {} for the class, as in "a video of {}"; repeatable')
    ] = None,
    encoder: Encoder = "ViT-B-32",
    weights: Weights = None,
    plan: Annotated[str, typer.Option(help="as in residualvit:n=3,p=0.9,drop=random, or motion:keep=0.3")] = "residualvit",
    residual: Residual = None,
    frames: Annotated[int, typer.Option(min=1, max=512, help="frames per clip")] = 16,
    seed: Seed = 3,
    limit: Annotated[int | None, typer.Option(min=1, help="at most so many clips")] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Zero-shot accuracy by prompts, with every frame in full and by a plan (ResidualViT's), as JSON."""
    from patchlens.data.datasets import open_set
    from patchlens.encoders.resident import load_encoder
    from patchlens.evaluation.zeroshot import TEMPLATE, classify
    from patchlens.specs import parse_plugin

    way = parse_plugin(plan)
    model = load_encoder(encoder, weights, seed=seed, device=device, dtype=dtype, residual=residual)
    found = classify(
        model, open_set(where, seed, limit), way, template or [TEMPLATE], frames, seed, _progress("clips")
    )
    typer.echo(json_module.dumps(found.as_dict(), indent=2))


def ground_command(
    video: Annotated[Path, typer.Argument(help="a video file")],
    sentence: Annotated[str, typer.Argument(help="what to look for")],
    encoder: Encoder = "tiny-clip",
    weights: Weights = None,
    interleave: Interleave = 2,
    drop: Drop = 0.85,
    strategy: Strategy = "motion",
    no_residual: NoResidual = False,
    no_cuts: NoCuts = False,
    residual: Residual = None,
    fps: Fps = 3.0,
    shift: Shift = 1.0,
    top: Annotated[int, typer.Option(min=1, max=100, help="moments to show")] = 5,
    seed: Seed = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
    json: Annotated[str | None, typer.Option(help="write moments and similarities here; - prints them")] = None,
) -> None:
    """Find the moments of a video that a sentence describes, ranked, in seconds of the video."""
    from patchlens.data.asked import file_pieces
    from patchlens.encoders.resident import load_encoder
    from patchlens.evaluation.grounding import answer, filming_for
    from patchlens.outputs import check_targets

    check_targets({"json": json}, video)
    model = load_encoder(encoder, weights, seed=seed, device=device, dtype=dtype, residual=residual)
    plan = schedule(interleave, drop, strategy, no_residual, no_cuts)
    pieces = file_pieces(video)(filming_for(model, plan, fps))
    found = answer(model, pieces, sentence, plan, fps, shift, top, seed)
    text = json_module.dumps({"video": video.name, **found}, indent=2, sort_keys=True, allow_nan=False)
    if json == "-":
        typer.echo(text)
        return
    if json is not None:
        from patchlens.cache import write_whole

        write_whole(Path(json), (text + "\n").encode())
    for line in _lines(found):
        typer.echo(line)


def _lines(found: dict[str, Any]) -> Iterator[str]:
    cost = f"{found['gmacs_per_s']:.3g} GMACs per second of video ({100 * found['saved']:.0f} % saved), {found['plan']}"
    yield f"{found['sentence']!r} in {found['frames']} frames: {cost}"
    for rank, moment in enumerate(found["moments"], 1):
        score = "the whole video fills this rank" if moment["score"] is None else f"similarity {moment['score']:.3f}"
        yield f"{rank}. {moment['start']:.2f} to {moment['end']:.2f} s  {score}"


def _progress(unit: str) -> Any:
    """A meter on a terminal's stderr; nothing where nobody watches."""
    if not sys.stderr.isatty():
        return None
    return lambda done, wanted: print(f"\r{done} of {wanted} {unit}", end="\r", file=sys.stderr, flush=True)
