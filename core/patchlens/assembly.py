"""Putting a finished run together: costs, report, facts and the sentences a person should see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from patchlens import metrics
from patchlens.encoders.costs import cost_facts, cost_of
from patchlens.encoders.merged_costs import merged_facts
from patchlens.lazy import torch
from patchlens.specs import Request
from patchlens.types import Clip, Cost, Encoding, Keep, Scores, Tokens, Trace

if TYPE_CHECKING:
    from patchlens.encoders.encoder import Encoder
    from patchlens.keep import Rule
    from patchlens.merge import Merger


def full_and_reduced(model: Encoder, keep: Keep) -> tuple[Cost, Cost]:
    """Closed-form cost of all tokens, and of the kept ones."""
    whole = Keep(torch.ones_like(keep.mask), keep.grid)
    return cost_of(model, whole)[0], cost_of(model, keep)[0]


@dataclass(frozen=True, eq=False)
class Finished:
    """All that a run made; `stages` are the plan's (scores, rule) pairs, `label` a class number, a text, or None, `others`
    as in a Trace."""

    request: Request
    model: Encoder
    merger: Merger | None
    clip: Clip
    tokens: Tokens
    stages: tuple[tuple[Scores, Rule], ...]
    keep: Keep
    encoding: Encoding
    reference: Encoding
    label: int | str | None
    seconds: dict[str, float]
    others: dict[str, tuple[Scores, Rule]]


def assemble(run: Finished) -> Trace:
    """The Trace of a finished run."""
    model, grid = run.model, run.tokens.grid
    full, _ = full_and_reduced(model, run.keep)
    reduced, own = cost_of(model, run.keep, run.merger)
    report = metrics.report(
        run.reference,
        run.encoding,
        tokens=(grid.n, run.keep.count),
        costs=(full, reduced),
        selector_gmacs=sum(s.gmacs for s, _ in run.stages) + own,
        classes=model.classes,
        label=run.label if model.classes else None,
    )
    domain = _domain(run)
    return Trace(
        request=run.request,
        clip=run.clip,
        grid=grid,
        frame_index=run.tokens.frame_index,
        scores=run.stages[0][0],
        keep=run.keep,
        encoding=run.encoding,
        reference=run.reference,
        report=report,
        encoder=_facts(run, domain),
        stages=run.stages,
        classes=model.classes,
        timing=run.seconds,
        notes=(*run.clip.notes, *_notes(run, domain)),
        others=run.others,
    )


def _facts(run: Finished, domain: dict[str, Any] | None) -> dict[str, Any]:
    """Plain data on the encoder; `cost` lets a browser follow a slider (see `cost_facts` and `merged_facts`)."""
    model = run.model
    cost = cost_facts(model, run.keep)
    if run.merger is not None:
        cost["merged"] = merged_facts(model, run.keep, run.merger)
    about = {"segments": model.segments, "cost": cost, "domain": domain}
    return {**model.loaded.facts, **model.facts, **about}


def _domain(run: Finished) -> dict[str, Any] | None:
    """Whether the clip is like the bundled model's training: drawn by the same module, and its feature no outlier.

    The feature's distance alone would miss half of real footage, so origin decides first.
    """
    known = run.model.loaded.domain
    if known is None:
        return None
    distance = known.distance(run.reference.pooled)
    like = run.clip.source.drawn_by == known.drawn_by and distance <= known.limit
    return {"like_training": like, "distance": distance, "limit": known.limit, "trained_on": known.drawn_by}


def _notes(run: Finished, domain: dict[str, Any] | None) -> list[str]:
    """What a person should know before believing the figures."""
    model, name = run.model, run.model.name
    notes = [s.facts["note"] for s, _ in run.stages if "note" in s.facts]
    if domain and not domain["like_training"]:
        notes.append(
            f"This footage is unlike what {name} was trained on (procedural motions): read its answer as a guess, and "
            "the token map as a demonstration."
        )
    if model.loaded.weights == "random":
        notes.append(f"{name} runs on random weights: costs and timings are real, its answers mean nothing.")
    want, have = model.inputs.frames, len(run.clip.frames)
    if want and have != want:
        notes.append(f"{name} reads {want} frames; this clip has {have}, sampled evenly to fit.")
    if run.keep.anchor is not None and run.keep.residual == "auto" and model.tokenizer is None:
        notes.append(f"{name} has no residual tokenizer: its P-frames run without a residual token.")
    if run.request.label and not model.explains:
        notes.append(f"{name} names no classes, so the label {run.request.label!r} is not used.")
    return notes
