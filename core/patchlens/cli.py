"""The command line: `patchlens list` and `run`, what `commands/` holds, and what other packages add (`patchlens app`).

Knows arguments, printing and exit codes; every command is one call into the library. A bad input is one sentence on
stderr and exit status 2, with nothing half-written.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from patchlens import __version__
from patchlens.commands import bench, evaluate, faithfulness, lessons, study, train_lite, train_reference, train_video
from patchlens.commands import features as extraction
from patchlens.commands import ground as grounding
from patchlens.commands import train_pruner as pruning
from patchlens.commands import train_residual as distilling
from patchlens.commands import train_rlt as run_length

cli = typer.Typer(
    name="patchlens",
    help="See which visual tokens of a video matter: what is kept, what it saves and what it costs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
train = typer.Typer(help="Train the models that PatchLens ships, or one on your own classes.", no_args_is_help=True)
cli.add_typer(train, name="train")
cli.add_typer(study.study, name="study")
measure = typer.Typer(help="Measure an encoder on a task, in full and with a plan.", no_args_is_help=True)
cli.add_typer(measure, name="evaluate")
measure.command("grounding")(grounding.grounding_command)
measure.command("zeroshot")(grounding.zeroshot_command)
cli.command("ground")(grounding.ground_command)
cli.command("features")(extraction.features_command)
cli.command("sweep")(evaluate.sweep_command)
cli.command("principles")(evaluate.principles_command)
cli.command("bench")(bench.bench_command)
cli.command("card")(train_reference.card_command)
cli.command("faithfulness")(faithfulness.faithfulness_command)
cli.command("lab")(lessons.lab_command)
cli.command("lessons")(lessons.lessons_command)
train.command("tiny-video")(train_reference.tiny_video_command)
train.command("tiny-clip")(train_reference.tiny_clip_command)
train.command("video")(train_video.train_video_command)
train.command("lite")(train_lite.train_lite_command)
train.command("glance")(train_lite.train_glance_command)
train.command("pruner")(pruning.train_pruner_command)
train.command("residual")(distilling.train_residual_command)
train.command("rlt")(run_length.train_rlt_command)


@cli.command("list")
def list_command(json: Annotated[bool, typer.Option("--json", help="as JSON")] = False) -> None:
    """Encoders (on disk, or what a download costs), selectors and mergers with their knobs."""
    from patchlens.listing import as_json, as_text

    typer.echo(as_json() if json else as_text())


PLANS = "the plan (default rlt), as in rlt:tau=0.1 or rlt:tau=0.1+random:keep=0.5; give several to compare them in --html"
Extra = {"allow_extra_args": True, "ignore_unknown_options": True}


@cli.command("run", context_settings=Extra)
def run_command(
    context: typer.Context,
    video: Annotated[Path, typer.Argument(help="a video file")],
    encoder: Annotated[str, typer.Option(help="see `patchlens list`")] = "tiny-video",
    weights: Annotated[str | None, typer.Option(help="a tag, a file or folder, or random")] = None,
    selector: Annotated[list[str] | None, typer.Option(help=PLANS)] = None,
    merger: Annotated[str | None, typer.Option(help="shortens the sequence inside the blocks, as in tome:r=8")] = None,
    label: Annotated[str | None, typer.Option(help="the clip's class, for the oracle and the report")] = None,
    frames: Annotated[int, typer.Option(min=1, max=512, help="frames to sample")] = 16,
    fps: Annotated[float | None, typer.Option(help="sample so many frames per second instead")] = None,
    span: Annotated[str | None, typer.Option(help="seconds START:END of the video")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16")] = "auto",
    seed: Annotated[int, typer.Option(help="for random choices and random weights")] = 0,
    json: Annotated[str | None, typer.Option(help="write the report here; - prints it")] = None,
    npz: Annotated[Path | None, typer.Option(help="write mask, scores and run_length, each (t, h, w)")] = None,
    csv: Annotated[Path | None, typer.Option(help="write one row per token: place, value, rank, kept, run")] = None,
    html: Annotated[Path | None, typer.Option(help="write the one-file offline report")] = None,
    mp4: Annotated[Path | None, typer.Option(help="write the overlay video (H.264)")] = None,
    png: Annotated[Path | None, typer.Option(help="write a contact sheet")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="neither read nor write the cache")] = False,
) -> None:
    """Run one video through a plan and the full encoder. A selector's knobs may follow as options: --tau 0.1."""
    from patchlens.outputs import check_targets, save

    outputs = {"json": json, "npz": npz, "csv": csv, "html": html, "mp4": mp4, "png": png}
    plans = [with_knobs(plan, context.args) for plan in selector or ["rlt"]]
    check_targets(outputs, video, len(plans))
    options = dict(
        encoder=encoder, weights=weights, merger=merger, label=label,
        frames=frames, fps=fps, span=parse_span(span), seed=seed, device=device, dtype=dtype, cache=not no_cache,
        isolate=True, proxy=bool(html or mp4), motion=bool(html), progress=_progress(quiet=json == "-"),
    )  # fmt: skip
    from patchlens.pipeline import run

    trace, *others = (run(video, selector=plan, **options) for plan in plans)
    save(trace, outputs, others)
    if json != "-":
        from patchlens.outputs import summary

        typer.echo("\n\n".join(map(summary, (trace, *others))))


def with_knobs(spec: str, extra: list[str]) -> str:
    """Add `--tau 0.1` style options to the selector of the plan that has such a knob.

    Raises ValueError for an option that no selector of the plan, or more than one, has.
    """
    from patchlens.knobs import knobs_of
    from patchlens.registry import find

    parts = spec.split("+")
    words = [w for item in extra for w in (item.split("=", 1) if item.startswith("--") else [item])]
    if len(words) % 2:
        raise ValueError(f"{words[-1]} has no value; give it as in --tau 0.1.")
    for option, value in zip(words[::2], words[1::2], strict=True):
        name = option.removeprefix("--").replace("-", "_")
        takers = [
            i for i, p in enumerate(parts) if name in {k.name for k in knobs_of(find(p.partition(":")[0].strip()))}
        ]
        if not option.startswith("--") or len(takers) != 1:
            many = "more than one selector" if len(takers) > 1 else "no selector"
            raise ValueError(f"{option} is no option of this command, and {many} of the plan {spec!r} has such a knob.")
        first = ":" if ":" not in parts[takers[0]] else ","
        parts[takers[0]] += f"{first}{name}={quote(value)}"
    return "+".join(parts)


def parse_span(span: str | None) -> tuple[float, float] | None:
    """START:END in seconds.

    Raises ValueError for anything else.
    """
    if span is None:
        return None
    try:
        start, end = (float(x) for x in span.split(":"))
    except ValueError:
        raise ValueError(f"The span is {span!r}; give seconds as START:END, for example 2:7.5.") from None
    if not 0 <= start < end:
        raise ValueError(f"The span is {span!r}; the start must be 0 or more and below the end.")
    return start, end


def _progress(quiet: bool) -> Any:
    """Stage names on a terminal's stderr; nothing where nobody watches."""
    if quiet or not sys.stderr.isatty():
        return None
    return lambda stage, share: print(f"\r{stage:<8} {100 * share:3.0f} %", end="\r", file=sys.stderr, flush=True)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"patchlens {__version__}")
        raise typer.Exit()


@cli.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    pass


def main() -> None:
    """Entry point: run a command; turn what a person can mend into one sentence and exit status 2."""
    for point in entry_points(group="patchlens.commands"):
        with suppress(ModuleNotFoundError):  # the core also runs where the app is not installed
            cli.command(point.name)(point.load())
    try:
        sys.exit(cli(standalone_mode=False) or 0)
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        print(f"patchlens: {sentence}", file=sys.stderr)
        sys.exit(2)


def _sentence(error: Exception) -> str | None:
    """What a person should read of an error, on one line; None for one of our own making."""
    if hasattr(error, "format_message"):  # a usage error of the command line
        text = error.format_message() or "Give a command; --help lists them."
    elif isinstance(error, KeyError) and error.args:
        text = error.args[0]
    elif isinstance(error, ValueError | KeyError | OSError | ImportError):
        text = error
    elif type(error).__name__ == "Abort":
        text = "Stopped."
    else:
        return None
    return " ".join(str(text).split())


if __name__ == "__main__":
    main()
