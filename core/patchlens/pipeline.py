"""The one way through: video -> Clip -> Tokens -> Scores -> Keep -> Encoding -> Report, each arrow one call.

Decoding, scores and the full run are cached; what a slider moves is not. `run_steps` is a generator, so that a caller
can show progress and stop between stages; within a stage `cancel` is asked between blocks and frames.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from patchlens.assembly import Finished, assemble
from patchlens.cache import Cache, cache_key, default_folder
from patchlens.encoders.resident import load_encoder
from patchlens.keep import keep_of
from patchlens.merge import Merger
from patchlens.recall import encode_full, score
from patchlens.registry import Selector, misfit, reading_of
from patchlens.specs import ClipSpec, EncoderSpec, Plan, Request, parse_merger, parse_plan, spec_of
from patchlens.types import Clip, Trace

if TYPE_CHECKING:
    from patchlens.encoders.encoder import Encoder

Steps = Generator[tuple[str, float], None, Trace]
_SHARED: list[Cache] = []


class Cancelled(Exception):
    """The caller asked to stop."""


@dataclass(frozen=True, eq=False)
class RunContext:
    """What a selector may ask for beside the tokens."""

    encoder: Any
    clip: Clip
    label: int | str | None
    seed: int
    check: Callable[[], None] | None = None


def shared_cache() -> Cache:
    """The process-wide cache, in memory and in `PATCHLENS_CACHE`."""
    if not _SHARED:
        _SHARED.append(Cache(default_folder()))
    return _SHARED[0]


def run(video: str | Path | Clip, **options: Any) -> Trace:
    """Run one clip through a plan and the full encoder, and compare; the options are those of `run_steps`.

    trace = patchlens.run("clip.mp4", encoder="tiny-video", selector=patchlens.RLT(tau=0.1))
    """
    progress = options.get("progress")
    steps = run_steps(video, **options)
    while True:
        try:
            stage, share = next(steps)
        except StopIteration as done:
            return done.value
        if progress:
            progress(stage, share)


def run_steps(
    video: str | Path | Clip,
    *,
    encoder: str | Encoder = "tiny-video",
    weights: str | None = None,
    selector: str | Selector | Plan = "rlt",
    merger: str | Merger | None = None,
    label: str | None = None,
    frames: int = 16,
    fps: float | None = None,
    span: tuple[float, float] | None = None,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    cache: Cache | None | bool = True,
    progress: Callable[[str, float], None] | None = None,
    cancel: Callable[[], bool] | None = None,
    **reading: Any,
) -> Steps:
    """Yields (stage, share done) and returns the Trace.

    video     a file, or a Clip
    encoder   a name, or a loaded Encoder; weights, device and dtype are for a name
    selector  the plan: grammar, selector object or Plan
    merger    shortens the sequence inside the blocks: grammar or merger object
    label     the clip's class, for the oracle and the report; one of the encoder's classes
    frames    frames to sample over `span` (start, end in seconds), or `fps` of them per second
    cache     True: the shared cache; None or False: no cache; or a Cache
    reading   options of `video.read`: proxy, motion, isolate, limits, name
    Raises ValueError or KeyError with one sentence; Cancelled when `cancel()` turns true.
    """
    clock = Clock(cancel)
    store = shared_cache() if cache is True else cache or Cache(None)
    yield "load", 0.0
    with clock.stage("load"):
        plan, shrink = parse_plan(selector), parse_merger(merger)
        named = isinstance(encoder, str)
        model = load_encoder(encoder, weights, seed=seed, device=device, dtype=dtype) if named else encoder
        _check_fit([*plan.selectors, *([shrink] if shrink else [])], model)
        number = _checked_label(model, label)
    yield "decode", 0.0
    with clock.stage("decode"):
        ways = dict(frames=None if fps else frames, fps=fps, span=span, motion=False, progress=progress, cancel=cancel)
        ways |= reading | reading_of(plan.selectors, reading.get("motion", False))
        clip = video if isinstance(video, Clip) else _decode(video, model, store, ways)
        clip = model.fit(clip)
        tokens = model.tokens(clip)
    if clip.motion is not None:
        clock.seconds["motion"] = clip.motion.seconds  # part of decoding, or of when it was decoded
    clip_spec = ClipSpec(clip.source.sha256, None if fps else frames, fps, span)
    spec = _encoder_spec(model, weights, seed)
    request = Request(clip_spec, spec, str(plan), shrink and spec_of(shrink), label, seed)
    context = RunContext(model, clip, number, seed, clock.check)
    yield "score", 0.0
    with clock.stage("score"):
        scores = [score(s, tokens, context, store) for s in plan.selectors]
        stages = tuple((x, s.rule()) for x, s in zip(scores, plan.selectors, strict=True))
        first = plan.selectors[0]
        others = first.others(tokens, context, scores[0]) if hasattr(first, "swaps") else {}
        keep = keep_of(list(stages), tokens.grid, seed, model.segments == "frame")
    yield "encode", 0.0
    with clock.stage("encode_full"):
        reference = encode_full(model, tokens, store, clock.check)
    yield "encode", 0.5
    with clock.stage("encode_reduced"):
        encoding = model.encode(tokens, keep, clock.check, shrink)
    yield "report", 1.0
    made = (model, shrink, clip, tokens, stages, keep, encoding, reference)
    return assemble(Finished(request, *made, context.label, clock.seconds, others))


class Clock:
    """Seconds per stage, and the question whether to stop."""

    def __init__(self, cancel: Callable[[], bool] | None) -> None:
        self.cancel, self.seconds = cancel, {}

    def check(self) -> None:
        """Raises Cancelled when the caller asked to stop."""
        if self.cancel and self.cancel():
            raise Cancelled("The run was cancelled.")

    @contextmanager
    def stage(self, name: str) -> Generator[None, None, None]:
        """Time one stage."""
        self.check()
        begun = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - begun


def _encoder_spec(model: Encoder, weights: str | None, seed: int) -> EncoderSpec:
    f = model.facts
    return EncoderSpec(model.name, weights or f["weights"], f["device"], f["dtype"], seed)


def _check_fit(parts: list[Any], model: Encoder) -> None:
    """Raises ValueError, in one sentence, when a selector or merger needs what the encoder does not offer."""
    for part in parts:
        if problem := misfit(part, model.offers, model.name):
            raise ValueError(problem)


def _checked_label(model: Encoder, label: str | None) -> int | str | None:
    """The class number of a label; a text for CLIP as it is; for an encoder without either it is no error, only unused."""
    if label in (None, "") or model.classes is None:
        return label or None if model.explains else None
    from patchlens.selectors.oracle import class_number

    return class_number(model.classes, label)


def _decode(path: str | Path, model: Encoder, store: Cache, ways: dict[str, Any]) -> Clip:
    from patchlens import video

    ways = {**ways, "size": model.inputs.size_hw, "fit": model.inputs.fit}
    share = ways.pop("progress")

    def read() -> Clip:
        try:
            return video.read(path, progress=(lambda x: share("decode", x)) if share else None, **ways)
        except video.Cancelled as stopped:
            raise Cancelled("The run was cancelled.") from stopped

    try:
        found = Path(path).stat()
        stamp = (str(Path(path).resolve()), found.st_mtime_ns, found.st_size)
    except (OSError, ValueError):
        return read()  # it says what is wrong
    plain = {k: v for k, v in ways.items() if k != "cancel"}
    return store.remember(cache_key(what="clip", stamp=stamp, **plain), read, _clip_bytes)


def _clip_bytes(clip: Clip) -> int:
    return clip.frames.numel() + clip.display.numel() + len(clip.proxy or b"")


__all__ = ["Cancelled", "RunContext", "load_encoder", "run", "run_steps", "shared_cache"]
