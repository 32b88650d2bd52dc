"""The five principles measured in one go: `patchlens principles`, for any encoder that names classes.

Runs random, the cues and the oracle (true and predicted label) over one set, and hands the table to `findings.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from patchlens.data.samples import SampleSet
from patchlens.encoders.encoder import Encoder
from patchlens.evaluation import findings
from patchlens.evaluation.budgets import contender
from patchlens.evaluation.markdown import table_of
from patchlens.evaluation.overlap import Overlap
from patchlens.evaluation.rows import rows_of
from patchlens.evaluation.sweep import Run, measure_runs
from patchlens.registry import misfit

CUES = ("attention", "motion", "saliency", "uniform", "center", "rlt-topk", "foreground")
BUDGETS = (0.1, 0.2, 0.3, 0.5, 0.7)
ORACLE, PREDICTED = "oracle", "oracle:label=predicted"


def principles(encoder: Encoder, samples: SampleSet, **options: Any) -> dict[str, Any]:
    """The five principles of one model on one set; see `principles_of`."""
    return principles_of([(encoder, samples)], **options)


def principles_of(
    runs: Sequence[Run],
    *,
    cues: Sequence[str] = CUES,
    budgets: Sequence[float] = BUDGETS,
    oracle: str = ORACLE,
    predicted: str = PREDICTED,
    seed: int = 0,
    **options: Any,
) -> dict[str, Any]:
    """Measure the five principles: {"principles": findings as plain data, "rows": the sweep behind them, "notes": [...]}.

    runs               (encoder, samples) pairs of one family, each model with samples that it has not seen
    cues               selectors with a keep ratio; those that encoder or samples cannot serve are left out, with a note
    oracle, predicted  specs of the oracle with the true and with the predicted label
    options            those of `measure_runs`: limit, seeds, views, frames, resume, progress, ...
    Raises ValueError when the encoder names no classes, and as `measure_runs` does.
    """
    encoder, samples = runs[0]
    for spec in (oracle, predicted):
        if problem := misfit(contender(spec).plan.selectors[0], encoder.offers, encoder.name):
            raise ValueError(problem)
    offers = encoder.offers | samples.offers
    why = {c: misfit(contender(c).plan.selectors[0], offers, encoder.name) for c in cues}
    fit = [c for c, problem in why.items() if problem is None]
    names = [contender(c).name for c in fit]
    known = [n for n, c in zip(names, fit, strict=True) if contender(c).plan.requires - encoder.offers]
    watch = Overlap(contender(oracle), [contender(c) for c in fit], seed)
    table = measure_runs(runs, [*fit, oracle, predicted], budgets=budgets, seed=seed, watch=watch, **options)
    found = [
        findings.random_is_better(table, names, known),
        findings.cues_miss_the_oracle(table, names),
        findings.low_value_tokens_hurt(table, contender(oracle).name, contender(predicted).name),
        findings.value_is_pareto(table),
        findings.easy_needs_less(table, seed),
    ]
    notes = [f"{c} was left out: {problem}" for c, problem in why.items() if problem]
    notes += [f"{len(table.skipped)} videos could not be read; the first: {table.skipped[0]}"] if table.skipped else []
    return {
        "n": len(table.names),
        "principles": [asdict(f) for f in found],
        "rows": rows_of(table),
        "notes": notes,
    }


def markdown(result: dict[str, Any]) -> str:
    """The findings, and the accuracies behind them, as tables for a README."""
    lines = ["| | principle | verdict | measured |", "|---|---|---|---|"]
    lines += [f"| {f['number']} | {f['claim']} | **{f['verdict']}** | {f['text']} |" for f in result["principles"]]
    return "\n".join([*lines, "", table_of(result["rows"])])


def text(result: dict[str, Any]) -> str:
    """The findings for a terminal, the accuracies behind them first."""
    lines = [f"{f['number']}. {f['claim']} {f['verdict'].upper()}\n   {f['text']}" for f in result["principles"]]
    return "\n".join([table_of(result["rows"]), "", *lines, *(f"note: {n}" for n in result["notes"])])


def dumps(result: dict[str, Any]) -> str:
    """The whole result as JSON with sorted keys."""
    return json.dumps(result, indent=1, sort_keys=True, allow_nan=False) + "\n"
