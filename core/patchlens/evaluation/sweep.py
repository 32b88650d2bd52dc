"""Sweeps: accuracy and fidelity against GMACs for any selectors and budgets over any set of samples.

`measure_set` says what competes and what is measured, `job.py` does it in chunks that can be resumed, and `sweep` turns the
table into rows (`rows.py`). Every contender meets the same clips, so that comparisons are paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from patchlens.cache import cache_key
from patchlens.data.samples import SampleSet
from patchlens.encoders.encoder import Encoder
from patchlens.evaluation.budgets import Contender, contender
from patchlens.evaluation.feed import Feed
from patchlens.evaluation.job import Job, Progress, Table, Watch
from patchlens.evaluation.measure import BATCH_TOKENS, Bench
from patchlens.evaluation.multiview import FRAMES, Views
from patchlens.evaluation.parts import Parts
from patchlens.registry import misfit

BUDGETS = (0.15, 0.3, 0.5, 0.7, 0.9)
SEEDS = 3  # of every random contender
CHUNK = 32  # samples between two writes


def sweep(encoder: Encoder, samples: SampleSet, plans: Sequence[Any], **options: Any) -> list[dict[str, Any]]:
    """Rows of accuracy against GMACs; the options are those of `measure_set`.

    rows = sweep(load_encoder("tiny-video"), open_set("motions", limit=256), ["rlt", "motion"], budgets=[0.3, 0.5])
    rows[1]["selector"], rows[1]["budget"], rows[1]["top1"], rows[1]["interval"], rows[1]["gmacs"]
    """
    from patchlens.evaluation.rows import rows_of

    return rows_of(measure_set(encoder, samples, plans, **options))


def measure_set(
    encoder: Encoder,
    samples: SampleSet,
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
    """Measure contenders (specs, selectors or plans), and `random` with them, on every sample.

    budgets      keep ratios K/N in 0..1
    seed, seeds  random contenders run with seed, seed + 1, ...; ties of the others fall by `seed`
    views        "AxB": temporal clips x spatial crops, scores averaged
    limit        the first so many samples
    frames       per clip, for encoders that take any number
    chunk        samples between two writes to the folder `resume`, from which a killed sweep goes on
    batch        tokens in one packed batch
    progress     called with (stage, done, in all, of these stored by an earlier run), in clip runs
    watch        called with every chunk's prepared samples; what it returns is stored and joined along the first axis
    Raises ValueError or KeyError for a contender that does not fit, a budget outside 0..1, a set that cannot be read.
    """
    views = views if isinstance(views, Views) else Views.parse(views)
    samples = samples.first(limit)
    budgets = check_budgets(budgets)
    who = contenders(plans, encoder, samples)
    motion = any("motion" in getattr(s, "clip_needs", ()) for c in who for s in c.plan.selectors)
    bench = Bench(encoder, views, motion, frames, batch)
    key = cache_key(
        set=samples.name, samples=[s.name for s in samples], encoder={**encoder.facts, **encoder.loaded.facts},
        weights=[float(p.sum(dtype=torch.float64)) for p in encoder.vit.parameters()],
        who=[(str(c.plan), c.name) for c in who], budgets=budgets, seed=seed, seeds=seeds, views=str(views), frames=frames,
        chunk=chunk, watched=getattr(watch, "key", watch is not None),
    )  # fmt: skip
    job = Job(bench, Feed(bench, samples, chunk), Parts(resume, key), progress)
    return job.run(job.variants(who, budgets, seed, seeds), watch)


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
        for selector in made.plan.selectors:
            if problem := misfit(selector, encoder.offers | samples.offers, encoder.name):
                raise ValueError(problem)
        if made.name != "everything":
            found.setdefault(made.name, made)
    return list(found.values())
