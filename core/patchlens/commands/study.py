"""`patchlens study`: questions that the papers leave open, answered with tables; arguments and printing only."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

study = typer.Typer(help="Questions that the papers leave open, answered with tables.", no_args_is_help=True)

Json = Annotated[Path | None, typer.Option("--json", help="write everything here")]
Plot = Annotated[Path | None, typer.Option(help="write the figure here, one HTML file that opens offline")]
Tau = Annotated[float, typer.Option(min=0.0, max=4.0, help="RLT's, in ImageNet-normalised units")]


@study.command("camera")
def camera_command(
    encoder: Annotated[str, typer.Option(help="see `patchlens list`")] = "tiny-video",
    tau: Annotated[float, typer.Option(help="of plain RLT")] = 0.1,
    limit: Annotated[int, typer.Option(min=2, max=1024, help="panning clips")] = 128,
    seed: Annotated[int, typer.Option(help="which procedural clips (not 1: training's)")] = 3,
    json: Json = None,
    plot: Plot = None,
) -> None:
    """RLT on panning clips: how many of its tokens are left at equal fidelity once camera motion is undone."""
    from patchlens.evaluation.panning import camera_study, panning_set, text
    from patchlens.pipeline import load_encoder
    from patchlens.views.study_figures import camera_figure

    samples = panning_set(seed, limit)
    _check(json, plot)
    model = load_encoder(encoder)
    found = {"encoder": model.facts, "data": samples.name, **camera_study(model, samples, tau)}
    _told(found, text(found), camera_figure, json, plot)


@study.command("redundancy")
def redundancy_command(
    tau: Tau = 0.1,
    level: Annotated[list[float] | None, typer.Option(min=0.0, max=1.0, help="redundancy; repeatable")] = None,
    noise: Annotated[list[float] | None, typer.Option(min=0.0, max=64.0, help="grey levels (sigma); repeatable")] = None,
    clips: Annotated[int, typer.Option(min=2, max=1024, help="generated clips of each kind")] = 8,
    frames: Annotated[int, typer.Option(min=4, max=512, help="frames of a clip")] = 16,
    json: Json = None,
    plot: Plot = None,
) -> None:
    """The limit of reduction: tokens that RLT keeps of clips of rising redundancy, against the fewest that lose nothing."""
    from patchlens.evaluation.redundancy import LEVELS, SIGMAS, redundancy_study, text
    from patchlens.views.study_figures import redundancy_figure

    _check(json, plot)
    found = redundancy_study(tau, sorted(level or LEVELS), sorted(noise or SIGMAS), clips=clips, frames=frames)
    _told(found, text(found), redundancy_figure, json, plot)


@study.command("compression")
def compression_command(
    files: Annotated[list[Path] | None, typer.Argument(help="pristine videos; the bundled clips without")] = None,
    codec: Annotated[list[str] | None, typer.Option(help="x264, x265 or vp9; repeatable (all three)")] = None,
    rate: Annotated[list[float] | None, typer.Option(min=1.0, max=1e6, help="kbit/s; repeatable")] = None,
    tau: Tau = 0.1,
    fps: Annotated[float, typer.Option(min=0.1, max=240.0, help="frames a second that the encoder sees")] = 8.0,
    frames: Annotated[int, typer.Option(min=8, max=512, help="frames at a file's own rate")] = 96,
    json: Json = None,
    plot: Plot = None,
) -> None:
    """Tau against compression: one clip through x264, x265 and VP9 at several rates; tokens against the pristine clip's."""
    from patchlens import video
    from patchlens.data.recoded import CODECS, check_codecs
    from patchlens.evaluation.compression import RATES, bundled, compression_study, text
    from patchlens.views.study_figures import compression_figure

    _check(json, plot, *(files or []))
    check_codecs(codecs := codec or list(CODECS))
    clips = [next(video.windows(f, frames, carry=0)) for f in files] if files else bundled(frames)
    found = compression_study(clips, codecs, rate or RATES, tau=tau, fps=fps, progress=_progress)
    _told(found, text(found), compression_figure, json, plot)


@study.command("footage")
def footage_command(
    files: Annotated[list[Path], typer.Argument(help="videos of any length: screens, surveillance, moving cameras")],
    tau: Tau = 0.1,
    fps: Annotated[float, typer.Option(min=0.1, max=240.0, help="frames a second that the encoder sees")] = 8.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "cpu",
    json: Json = None,
    plot: Plot = None,
) -> None:
    """RLT on real footage, streamed: tokens kept at several tau, the speed-up promised, and whether the camera moves."""
    from patchlens.encoders.encoder import pick_device
    from patchlens.evaluation.footage import footage_study, text
    from patchlens.views.study_figures import footage_figure

    _check(json, plot, *files)
    found = footage_study(files, tau=tau, fps=fps, device=str(pick_device(device)), progress=_progress)
    _told(found, text(found), footage_figure, json, plot)


@study.command("oracle")
def oracle_command(
    where: Annotated[str, typer.Argument(help="motions, a folder of videos by class, or a list")] = "motions",
    encoder: Annotated[str, typer.Option(help="see `patchlens list`")] = "tiny-video",
    weights: Annotated[str | None, typer.Option(help="as in `patchlens run`")] = None,
    limit: Annotated[int, typer.Option(min=2, max=4096, help="clips")] = 256,
    seed: Annotated[int, typer.Option(help="which procedural clips (2: those that cards choose on)")] = 2,
    json: Json = None,
) -> None:
    """Which oracle to trust: accuracy with its best tokens by block, gradient and sign, and what its "auto" should be."""
    from patchlens.data.datasets import open_set
    from patchlens.evaluation.oracles import batches_of, oracle_card, oracle_markdown
    from patchlens.pipeline import load_encoder

    _check(json, None)
    samples, model = open_set(where, seed, limit), load_encoder(encoder, weights=weights)
    card = oracle_card(model, batches_of(model, samples, 32))
    found = {"encoder": model.facts, "data": samples.name, **card}
    _told(found, "\n".join(oracle_markdown(card, f"clips of {samples.name}")[1:]), None, json, None)


def _check(json: Path | None, plot: Path | None, *files: Path) -> None:
    from patchlens.outputs import check_targets

    for file in files or (Path("nothing"),):
        check_targets({"json": json, "plot": plot}, file)


def _told(found: dict[str, Any], table: str, figure: Any, json: Path | None, plot: Path | None) -> None:
    """Print the table and where it comes from; write what was asked for."""
    from patchlens.cache import write_whole
    from patchlens.evaluation.provenance import provenance, ran_on

    made = provenance()
    typer.echo(f"{table}\n{ran_on(made)}")
    if json is not None:
        write_whole(json, (json_module.dumps({**found, "provenance": made}, indent=1, allow_nan=False) + "\n").encode())
    if plot is not None:
        from patchlens.views.study_figures import page

        write_whole(plot, page(figure(found)))


def _progress(name: str, share: float | None = None) -> None:
    if sys.stderr.isatty():
        text = name if share is None else f"{name} {100 * share:.0f} %"
        print(f"\r{text:<70}", end="\r", file=sys.stderr, flush=True)
