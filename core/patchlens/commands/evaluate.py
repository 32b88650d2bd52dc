"""`patchlens sweep` and `patchlens principles`: arguments, progress and files around `patchlens.evaluation`."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from patchlens.data.samples import SampleSet
    from patchlens.encoders.encoder import Encoder

SWEPT = ["rlt", "rlt-topk", "motion", "saliency", "uniform", "center"]
BUDGETS = [0.15, 0.3, 0.5, 0.7, 0.9]
PLACES = "motions, scenes, a folder (of class sub-folders, or with labels.csv), or a .csv or .json list"

Where = Annotated[str, typer.Argument(help=PLACES)]
EncoderName = Annotated[str, typer.Option(help="see `patchlens list`")]
Weights = Annotated[str | None, typer.Option(help="a tag, a file or folder, or random")]
Budgets = Annotated[list[float] | None, typer.Option("--budget", help="keep ratio K/N; repeatable")]
ViewsText = Annotated[str, typer.Option(help="temporal clips x spatial crops, as in 2x3")]
Seed = Annotated[int, typer.Option(help="which procedural clips (not 1: training's), file order, and random draws")]
Seeds = Annotated[int, typer.Option(min=1, max=100, help="runs of each random selector")]
Limit = Annotated[int | None, typer.Option(min=1, help="at most so many videos (procedural sets: 1024)")]
Videos = Annotated[Path | None, typer.Option(help="folder of a list's videos, its own folder without it")]
Split = Annotated[str | None, typer.Option(help="only this split of a list")]
Probe = Annotated[int | None, typer.Option(min=2, help="fit a linear probe on the frozen encoder, over so many folds")]
Trained = Annotated[
    list[Path] | None,
    typer.Option(help="a folder that `train video` wrote, measured on what it held out; one per fold"),
]
Frames = Annotated[int, typer.Option(min=1, max=512, help="frames per clip, for encoders that take any number")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16")]
Json = Annotated[
    Path | None, typer.Option("--json", help="write everything here; a killed run goes on from FILE.parts")
]


def sweep_command(
    context: typer.Context,
    where: Where,
    encoder: EncoderName = "tiny-video",
    weights: Weights = None,
    selector: Annotated[
        list[str] | None, typer.Option(help="a plan, as in motion, rlt or rlt:tau=0.1+random:keep=0.5; repeatable")
    ] = None,
    budget: Budgets = None,
    views: ViewsText = "1x1",
    seed: Seed = 3,
    seeds: Seeds = 3,
    limit: Limit = None,
    videos: Videos = None,
    split: Split = None,
    probe: Probe = None,
    trained: Trained = None,
    frames: Frames = 16,
    device: Device = "auto",
    dtype: Dtype = "auto",
    by: Annotated[str | None, typer.Option(help="also a table by class, difficulty or camera")] = None,
    against: Annotated[str | None, typer.Option(help="a plan to set every row against, as in lite:keep=0.5")] = None,
    json: Json = None,
) -> None:
    """Accuracy (fidelity where there are no labels) against GMACs, for any selectors and budgets, paired with random.

    A selector that names its knob (rlt:tau=0.1) runs as written; RLT without one has tau solved for every budget.
    """
    from patchlens.data.datasets import open_set
    from patchlens.evaluation.budgets import contender
    from patchlens.evaluation.markdown import by_group, check_group, table_of
    from patchlens.evaluation.provenance import provenance
    from patchlens.evaluation.rows import swept
    from patchlens.evaluation.sweep import measure_runs
    from patchlens.outputs import check_targets

    check_targets({"json": json}, Path(where))
    check_group(by)
    rival = contender(against) if against else None
    if rival and rival.knob:
        raise ValueError(f"against is {against!r}; say how much it keeps, as in lite:keep=0.5.")
    asked = {"command": command_line(context), "views": views, "seed": seed, "seeds": seeds, "frames": frames}
    asked["provenance"] = provenance()  # as it was when the code was read
    samples = open_set(where, seed, limit, videos, split)
    runs = _runs(samples, encoder, weights, {"device": device, "dtype": dtype}, probe, trained, seed, frames)
    model = runs[0][0]
    plans = [*(selector or SWEPT), *([against] if against else [])]
    table = measure_runs(
        runs, plans, budgets=budget or BUDGETS, views=views, seed=seed, seeds=seeds, frames=frames,
        resume=_parts(json), progress=Meter(),
    )  # fmt: skip
    found, notes = swept(table, rival and rival.name), [*samples.notes, *_told(table.skipped)]
    if samples.classes and found["metric"] != "right":
        notes.append(f"{model.name} does not know this set's labels: fidelity only, no accuracy.")
    if table.views.count > 1:
        notes.append(f"GMACs are of one view; an answer averages {table.views.count} ({views}).")
    typer.echo(table_of(found["rows"]))
    if by is not None:
        typer.echo(f"\n{by_group(found['rows'], by)}")
    for note in notes:
        typer.echo(f"note: {note}")
    _write(json, {**found, "notes": notes}, model, samples, asked)


def principles_command(
    context: typer.Context,
    where: Where = "motions",
    encoder: EncoderName = "tiny-video",
    weights: Weights = None,
    cue: Annotated[list[str] | None, typer.Option(help="a selector with a keep ratio; repeatable")] = None,
    budget: Budgets = None,
    oracle: Annotated[
        str, typer.Option(help="the oracle, as in oracle:block=2; its block is the card's without one")
    ] = "oracle",
    views: ViewsText = "1x1",
    seed: Seed = 3,
    seeds: Seeds = 3,
    limit: Limit = 512,
    videos: Videos = None,
    split: Split = None,
    probe: Probe = None,
    trained: Trained = None,
    frames: Frames = 16,
    device: Device = "auto",
    dtype: Dtype = "auto",
    json: Json = None,
    markdown: Annotated[Path | None, typer.Option(help="write the findings as a Markdown table")] = None,
) -> None:
    """The five principles of visual tokens, measured: each holds, does not hold, or is undecided, with its figures."""
    from patchlens.cache import write_whole
    from patchlens.data.datasets import open_set
    from patchlens.evaluation import principles as five
    from patchlens.evaluation.provenance import provenance
    from patchlens.outputs import check_targets

    check_targets({"json": json, "markdown": markdown}, Path(where))
    asked = {"command": command_line(context), "views": views, "seed": seed, "seeds": seeds, "frames": frames}
    asked["provenance"] = provenance()
    samples = open_set(where, seed, limit, videos, split)
    runs = _runs(samples, encoder, weights, {"device": device, "dtype": dtype}, probe, trained, seed, frames)
    predicted = f"{oracle}{',' if ':' in oracle else ':'}label=predicted"
    result = five.principles_of(
        runs, cues=cue or five.CUES, budgets=budget or five.BUDGETS, oracle=oracle, predicted=predicted,
        seed=seed, seeds=seeds, views=views, frames=frames, resume=_parts(json), progress=Meter(),
    )  # fmt: skip
    result["notes"] = [*samples.notes, *result["notes"]]
    typer.echo(five.text(result))
    if markdown is not None:
        write_whole(markdown, (five.markdown(result) + "\n").encode())
    _write(json, result, runs[0][0], samples, asked)


def _runs(
    samples: SampleSet, name: str, weights: str | None, place: dict[str, str],
    probe: int | None, trained: list[Path] | None, seed: int, frames: int,
) -> list[tuple[Encoder, SampleSet]]:  # fmt: skip
    """Models with what each is measured on: one on everything, or one per fold on what it has not seen."""
    from patchlens.evaluation.folds import probe_runs, trained_runs
    from patchlens.pipeline import load_encoder

    if probe and trained:
        raise ValueError("--probe and --trained are two ways to get a model for every fold; give one of them.")
    if trained:
        return trained_runs(trained, samples, **place)
    encoder = load_encoder(name, weights, **place)
    return probe_runs(encoder, samples, probe, seed, frames) if probe else [(encoder, samples)]


def _parts(json: Path | None) -> Path | None:
    return None if json is None else json.with_name(json.name + ".parts")


def _told(skipped: tuple[str, ...]) -> list[str]:
    if not skipped:
        return []
    count = f"{len(skipped)} video{'s' if len(skipped) > 1 else ''} could not be read and"
    return [f"{count} {'are' if len(skipped) > 1 else 'is'} left out; the first: {skipped[0]}"]


def _write(
    json: Path | None, result: dict[str, Any], model: Encoder, samples: SampleSet, asked: dict[str, Any]
) -> None:
    """Write the result with what was asked and where it comes from, and forget the parts it was made of."""
    if json is None:
        return
    from patchlens.cache import write_whole
    from patchlens.evaluation.parts import forget
    from patchlens.evaluation.shipped import dumps, record

    write_whole(json, dumps(record(result, model, samples.name, asked)).encode())
    forget(_parts(json))


def command_line(context: typer.Context) -> str:
    """The command as it can be typed again: what was given, in the order of the command's own parameters."""
    words = ["patchlens", context.command.name]
    for parameter in context.command.params:
        if context.get_parameter_source(parameter.name).name != "COMMANDLINE":
            continue
        value = context.params[parameter.name]
        for one in value if isinstance(value, list | tuple) else [value]:
            words += [str(one)] if parameter.param_type_name == "argument" else [parameter.opts[0], str(one)]
    return shlex.join(words)


class Meter:
    """Progress on stderr: clip runs done, their rate and the time left; a line now and then where nobody watches."""

    STAGES = {"scores": "scoring", "runs": "encoding"}

    def __init__(self, clock: Callable[[], float] = time.monotonic, out: Any = None) -> None:
        self.clock, self.out = clock, out or sys.stderr
        self.stage, self.begun, self.said = "", 0.0, float("-inf")

    def __call__(self, stage: str, done: int, total: int, stored: int) -> None:
        now = self.clock()
        if stage != self.stage:
            self.stage, self.begun = stage, now
        last = done >= total
        live = self.out.isatty()
        if not (live or last or now - self.said > 30):
            return
        self.said = now
        rate = (done - stored) / max(now - self.begun, 1e-9)
        left = f", {duration((total - done) / rate)} left" if done > stored and not last else ""
        speed = f", {rate:.0f}/s" if done > stored else ""
        text = f"{self.STAGES.get(stage, stage)}: {done} of {total} clip runs{speed}{left}"
        print(f"\r{text:<70}" if live else text, end="\n" if last or not live else "", file=self.out, flush=True)


def duration(seconds: float) -> str:
    """Seconds as "40 s", "3 min" or "2.1 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
