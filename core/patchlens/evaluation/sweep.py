"""Sweeps: accuracy and fidelity against GMACs for any selectors and budgets over any set of samples.

`measure_set` (one model) and `measure_runs` (one model per fold) say what competes and what is measured, `job.py` does it
in chunks that can be resumed, and `sweep` turns the table into rows (`rows.py`). Every contender meets the same clips, so
that comparisons are paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from patchlens.cache import cache_key
from patchlens.data.samples import SampleSet
from patchlens.encoders.encoder import Encoder
from patchlens.evaluation.budgets import Contender, contender
from patchlens.evaluation.feed import Feed
from patchlens.evaluation.job import Job, Progress, Table, Watch, variants_of
from patchlens.evaluation.measure import BATCH_TOKENS, Bench
from patchlens.evaluation.multiview import FRAMES, Views
from patchlens.evaluation.parts import Parts
from patchlens.registry import misfit, reading_of

BUDGETS = (0.15, 0.3, 0.5, 0.7, 0.9)
SEEDS = 3  # of every random contender
CHUNK = 32  # samples between two writes

Run = tuple[Encoder, SampleSet]  # a model, and the samples that it is measured on


def sweep(encoder: Encoder, samples: SampleSet, plans: Sequence[Any], **options: Any) -> list[dict[str, Any]]:
    """Rows of accuracy against GMACs; the options are those of `measure_set`.

    rows = sweep(load_encoder("tiny-video"), open_set("motions", limit=256), ["rlt", "motion"], budgets=[0.3, 0.5])
    rows[1]["selector"], rows[1]["budget"], rows[1]["top1"], rows[1]["interval"], rows[1]["gmacs"]
    """
    from patchlens.evaluation.rows import rows_of

    return rows_of(measure_set(encoder, samples, plans, **options))


def measure_set(encoder: Encoder, samples: SampleSet, plans: Sequence[Any], **options: Any) -> Table:
    """One model on one set; everything else is as in `measure_runs`."""
    return measure_runs([(encoder, samples)], plans, **options)


def measure_runs(
    runs: Sequence[Run],
    plans: Sequence[Any],
    *,
    budgets: Sequence[float] = BUDGETS,
    seed: int = 0,
    seeds: int = SEEDS,
    views: str | Views = "1x1",
    limit: int | None = None,
    frames: int = FRAMES,
    chunk: int = CHUNK,
    batch: int = BATCH_TOKENS,
    resume: Path | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> Table:
    """Measure contenders (specs, selectors or plans), and `random` with them, on every sample of every run, as one table.

    runs         models, each with the samples that it has not seen; thresholds are solved on all samples together
    budgets      keep ratios K/N in 0..1
    seed, seeds  random contenders run with seed, seed + 1, ...; ties of the others fall by `seed`
    views        "AxB": temporal clips x spatial crops, scores averaged
    limit        the first so many samples of each run
    frames       per clip, for encoders that take any number
    chunk        samples between two writes to the folder `resume`, from which a killed sweep goes on
    batch        tokens in one packed batch
    progress     called with (stage, done, in all, of these stored by an earlier run), in clip runs
    watch        called with every chunk's prepared samples; what it returns is stored and joined along the first axis
    Raises ValueError or KeyError for no runs, a contender that does not fit, a budget outside 0..1, an unreadable set.
    """
    if not runs:
        raise ValueError("There is no model to measure; give at least one.")
    views = views if isinstance(views, Views) else Views.parse(views)
    runs = [(encoder, samples.first(limit)) for encoder, samples in runs]
    budgets = check_budgets(budgets)
    who = [contenders(plans, *run) for run in runs][0]
    motion = bool(reading_of(s for c in who for s in c.plan.selectors))
    key = cache_key(
        runs=[_identity(*run) for run in runs], who=[(c.spec(None), c.name) for c in who], budgets=budgets, seed=seed,
        seeds=seeds, views=str(views), frames=frames, chunk=chunk, watched=getattr(watch, "key", watch is not None),
    )  # fmt: skip
    jobs = []
    for i, (encoder, samples) in enumerate(runs):
        bench = Bench(encoder, views, motion, frames, batch)
        place = resume if resume is None or len(runs) == 1 else resume / f"fold-{i}"
        jobs.append(Job(bench, Feed(bench, samples, chunk), Parts(place, key), progress))
    variants = variants_of(jobs, who, budgets, seed, seeds)
    return join([job.run(variants, watch) for job in jobs])


def _identity(encoder: Encoder, samples: SampleSet) -> dict[str, Any]:
    """What tells this run from another: the set, the model, and its weights."""
    weights = [float(p.sum(dtype=torch.float64)) for p in encoder.vit.parameters()]
    facts = {**encoder.facts, **encoder.loaded.facts}
    return {"set": samples.name, "samples": [s.name for s in samples], "encoder": facts, "weights": weights}


def join(tables: Sequence[Table]) -> Table:
    """One table of the samples of all, which were measured with the same variants."""
    first = tables[0]
    return first if len(tables) == 1 else Table(
        [x for t in tables for x in t.names],
        [x for t in tables for x in t.labels],
        [x for t in tables for x in t.facts],
        np.concatenate([t.full for t in tables]),
        {v: np.concatenate([t.runs[v] for t in tables]) for v in first.runs},
        first.views,
        {name: np.concatenate([t.extra[name] for t in tables]) for name in first.extra},
        tuple(x for t in tables for x in t.skipped),
    )  # fmt: skip


def check_budgets(budgets: Sequence[float]) -> list[float]:
    """The budgets as floats, each once, rising.

    Raises ValueError for one outside 0..1.
    """
    for b in budgets:
        if not 0 < b <= 1:
            raise ValueError(f"The budget is {b}; give keep ratios above 0 and up to 1.")
    return sorted({float(b) for b in budgets})


def contenders(plans: Sequence[Any], encoder: Encoder, samples: SampleSet) -> list[Contender]:
    """Each contender once, random first; "everything" is left out, because the full run is always there.

    Raises ValueError with the usual sentence for one that neither encoder nor samples can serve.
    """
    found: dict[str, Contender] = {}
    for spec in ["random", *plans]:
        made = contender(spec)
        for part in made.parts:
            if problem := misfit(part, encoder.offers | samples.offers, encoder.name):
                raise ValueError(problem)
        if made.name != "everything":
            found.setdefault(made.name, made)
    return list(found.values())
