"""Wall time against token counts: encoding full, with selectors and with mergers, interleaved on the same clips.

A timed run starts from uint8 frames at the encoder's size and ends with the encodings: cutting patches, the selector's
scores and rule, embedding, packing and all blocks are in it; decoding and every cache are not. Thresholds and r are solved
for the keep ratio beforehand, per clip where the threshold decides. Processor time stands beside wall time: on a machine
that others use too it is the better witness. Knows nothing of files or printing.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from patchlens.encoders.costs import cost_of
from patchlens.encoders.encoder import Encoder
from patchlens.evaluation.budgets import Contender, contender, solve, solve_merger
from patchlens.evaluation.library import library_run
from patchlens.evaluation.operations import operations
from patchlens.keep import keep_of
from patchlens.knobs import knobs_of
from patchlens.merge import mean_share
from patchlens.pipeline import RunContext
from patchlens.registry import misfit
from patchlens.specs import Plan
from patchlens.types import Clip, Keep, Scores, Tokens

Progress = Callable[[str, int, int], None]
Taken = tuple[float, float]  # seconds by the clock, and of the processor


@dataclass(frozen=True, eq=False)
class Entrant:
    """One way of encoding all clips: `run` does it; tokens kept per clip; GMACs of the encoder and of deciding."""

    name: str
    run: Callable[[], Any]
    tokens: list[int]
    gmacs: float
    own: float
    facts: dict[str, Any]


def bench(
    encoder: Encoder,
    clips: Sequence[Clip],
    plans: Sequence[str],
    *,
    keep_ratio: float | Sequence[float] = 0.5,
    repeats: int = 5,
    warmup: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
    profiled: bool = False,
) -> list[dict[str, Any]]:
    """Rows of wall time: the full run, the library's own model where installed, then each plan or merger at each ratio.

    A row has selector (its name), plan (with what was solved), asked (the keep ratio; None: it ran as written), tokens
    (mean kept per clip) and of, kept (ratio reached; a merger's is the mean over its blocks), seconds (median per batch)
    and spread (quartiles), clips_s, tokens_s, speedup (median over repeats of full / this), gmacs_ratio (full / reduced,
    the encoder alone), efficiency (speedup / gmacs_ratio), gmacs and gmacs_selector per clip; the library's row has ratio
    (median of our full run / theirs). processor_seconds, speedup_processor, efficiency_processor and ratio_processor are
    the same by this process's processor time, of all its threads. With `profiled` also operations, the seconds of further
    runs by kind (see `operations.py`).
    Raises ValueError for a plan that does not fit, no clips, or a ratio outside 0..1.
    """
    if not clips:
        raise ValueError("There is no clip to measure; give at least one video.")
    ratios = [keep_ratio] if isinstance(keep_ratio, int | float) else list(keep_ratio)
    for ratio in ratios:
        if not 0 < ratio <= 1:
            raise ValueError(f"The keep ratio is {ratio}; give one above 0 and up to 1.")
    clips = [encoder.fit(c) for c in clips]
    entrants = [_full(encoder, clips)]
    for who in map(contender, plans):
        entrants += [_entrant(encoder, clips, who, ratio, seed) for ratio in (ratios if who.knob else ratios[:1])]
    theirs = library_run(encoder, [c.frames for c in clips])
    if theirs is not None:
        entrants.insert(1, Entrant(theirs[0], theirs[1], entrants[0].tokens, entrants[0].gmacs, 0.0, {}))
    times = _interleaved(encoder, entrants, warmup, repeats, progress)
    rows = [_row(e, t, entrants[0], times[0], clips) for e, t in zip(entrants, times, strict=True)]
    for entrant, row in zip(entrants, rows, strict=True):
        if profiled and entrant.facts:
            row["operations"] = operations(entrant.run)
    return rows


def _full(encoder: Encoder, clips: Sequence[Clip]) -> Entrant:
    grid = encoder.tokens(clips[0]).grid
    whole = Keep(torch.ones(grid.n, dtype=torch.bool), grid)
    cost = cost_of(encoder, whole)[0].total
    return Entrant("everything", lambda: encoder.encode_many([encoder.tokens(c) for c in clips]),
                   [grid.n] * len(clips), cost, 0.0, {"plan": "everything", "asked": None, "kept": 1.0})  # fmt: skip


def _entrant(encoder: Encoder, clips: Sequence[Clip], who: Contender, ratio: float, seed: int) -> Entrant:
    for part in who.parts:
        if problem := misfit(part, encoder.offers, encoder.name):
            raise ValueError(problem)
    front, config = encoder.config.prefix, encoder.config
    value = None
    if who.merger is not None and who.knob:
        value = solve_merger(who.merger, config.tokens + front, config.depth, front, ratio)
    merger, values = who.merger_at(value), [value] * len(clips)
    if who.merger is None and who.knob:
        values = [_solved(encoder, clip, who, ratio, seed) if who.solved else ratio for clip in clips]
    plans = [who.at(v) for v in values]

    def run() -> list[Keep]:
        tokens = [encoder.tokens(c) for c in clips]
        keeps = [decided(encoder, *each, seed)[0] for each in zip(clips, tokens, plans, strict=True)]
        encoder.encode_many(tokens, keeps, merger=merger)
        return keeps

    found = [decided(encoder, c, encoder.tokens(c), p, seed) for c, p in zip(clips, plans, strict=True)]
    costs = [cost_of(encoder, keep, merger) for keep, _ in found]
    spent = [sum(s.gmacs for s in scores) + more for (_, scores), (_, more) in zip(found, costs, strict=True)]
    kept = [_share(encoder, keep, merger) for keep, _ in found]
    spec = who.spec(values[0]) if len(set(values)) == 1 else who.name
    facts = {"plan": spec, "asked": ratio if who.knob else None, "kept": _mean(kept)}
    if who.solved:
        facts["solved"] = [{who.knob: v, "kept": k} for v, k in zip(values, kept, strict=True)]
    tokens = [k.count for k, _ in found]
    return Entrant(who.name, run, tokens, _mean(c.total for c, _ in costs), _mean(spent), facts)


def decided(encoder: Encoder, clip: Clip, tokens: Tokens, plan: Plan, seed: int) -> tuple[Keep, list[Scores]]:
    """A plan's decision on one clip, and its scores."""
    context = RunContext(encoder, clip, None, seed)
    scores = [s.score(tokens, context) for s in plan.selectors]
    stages = [(x, s.rule()) for x, s in zip(scores, plan.selectors, strict=True)]
    return keep_of(stages, tokens.grid, seed, encoder.segments == "frame"), scores


def _solved(encoder: Encoder, clip: Clip, who: Contender, ratio: float, seed: int) -> float:
    """The threshold with which this clip keeps nearest to `ratio`."""
    selector = who.plan.selectors[0]
    knob = next(k for k in knobs_of(type(selector)) if k.name == who.knob)
    scores = selector.score(encoder.tokens(clip), RunContext(encoder, clip, None, seed))
    return solve([scores.values.numpy()], ratio, knob.low, knob.high)[0]


def _share(encoder: Encoder, keep: Keep, merger: Any) -> float:
    if merger is None:
        return keep.ratio
    front, depth = encoder.config.prefix, encoder.config.depth
    shares = [k * mean_share(merger.lengths(k + front, depth, front), front) for k in encoder.counts(keep)]
    return sum(shares) / keep.grid.n


def _interleaved(
    encoder: Encoder, entrants: list[Entrant], warmup: int, repeats: int, progress: Progress | None
) -> list[list[Taken]]:
    """What every entrant took: in each repeat all run once, starting with another one."""
    times: list[list[Taken]] = [[] for _ in entrants]
    for repeat in range(warmup + repeats):
        for place in range(len(entrants)):
            i = (place + repeat) % len(entrants)
            if progress:
                progress(entrants[i].name, repeat * len(entrants) + place, (warmup + repeats) * len(entrants))
            wait(encoder.device)
            begun, worked = time.perf_counter(), time.process_time()
            entrants[i].run()
            wait(encoder.device)
            if repeat >= warmup:
                times[i].append((time.perf_counter() - begun, time.process_time() - worked))
    return times


def wait(device: torch.device) -> None:
    """Let an accelerator finish what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _row(one: Entrant, times: list[Taken], full: Entrant, base: list[Taken], clips: Sequence[Clip]) -> dict[str, Any]:
    walls, works = zip(*times, strict=True)
    low, middle, high = _quartiles(walls)
    speedup, less = (statistics.median(b[k] / t[k] for b, t in zip(base, times, strict=True)) for k in (0, 1))
    row = {
        "selector": one.name, "tokens": _mean(one.tokens), "of": full.tokens[0], "seconds": middle,
        "spread": [low, high], "runs": len(times), "clips_s": len(clips) / middle, "tokens_s": sum(one.tokens) / middle,
        "speedup": speedup, "processor_seconds": statistics.median(works), "speedup_processor": less,
        "gmacs": one.gmacs, "gmacs_selector": one.own, **one.facts,
    }  # fmt: skip
    if not one.facts:
        return {**row, "ratio": speedup, "ratio_processor": less}
    ratio = full.gmacs / one.gmacs
    return {**row, "gmacs_ratio": ratio, "efficiency": speedup / ratio, "efficiency_processor": less / ratio}


def _mean(values: Iterable[float]) -> float:
    return float(statistics.fmean(values))


def _quartiles(times: Sequence[float]) -> tuple[float, float, float]:
    if len(times) < 2:
        return times[0], times[0], times[0]
    low, middle, high = statistics.quantiles(times, n=4, method="inclusive")
    return low, middle, high


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as Markdown; in parentheses what processor time says."""
    names = ("selector", "tokens", "seconds", "quartiles", "clips/s", "speed-up", "GMAC ratio", "efficiency")
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for r in rows:
        if "ratio" in r:
            rest = f"our full run takes {r['ratio']:.3f} of its time ({r['ratio_processor']:.3f}) | |"
        else:
            rest = f"{r['speedup']:.3f} ({r['speedup_processor']:.3f}) | {r['gmacs_ratio']:.3f} "
            rest += f"| {r['efficiency']:.3f} ({r['efficiency_processor']:.3f})"
        spread = " to ".join(f"{x:.3g}" for x in r["spread"])
        lines.append(
            f"| {r.get('plan', r['selector'])} | {r['tokens']:.0f} of {r['of']} | {r['seconds']:.3g} | {spread} "
            f"| {r['clips_s']:.3g} | {rest} |"
        )
    return "\n".join(lines)
