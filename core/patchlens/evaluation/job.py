"""One measurement under way: thresholds solved, chunks measured or taken from where they were stored, results joined.

Knows chunks, variants and stored parts; how a variant is measured is `measure.py`'s, what a result means `rows.py`'s.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from patchlens.evaluation.budgets import Contender, solve_merger, solved_value
from patchlens.evaluation.feed import Chunk, Feed
from patchlens.evaluation.measure import MEASURED, Bench, Prepared, Variant
from patchlens.evaluation.multiview import Views
from patchlens.evaluation.parts import Arrays, Parts

Progress = Callable[[str, int, int, int], None]  # stage, done, in all, and how many of the done were stored before
Watch = Callable[[Bench, list[Prepared]], Arrays]


@dataclass(frozen=True, eq=False)
class Table:
    """Per-sample results: MEASURED arrays (n,) of the full run and of every variant, all over the same samples.

    labels  class names as the set has them, or None; where the encoder does not know one, "right" is NaN
    extra   what a `watch` made of each chunk, joined along the first axis
    skipped one sentence per sample that could not be read
    """

    names: list[str]
    labels: list[str | None]
    facts: list[dict[str, Any]]
    full: np.ndarray
    runs: dict[Variant, np.ndarray]
    views: Views
    extra: Arrays = field(default_factory=dict)
    skipped: tuple[str, ...] = ()


class Job:
    """Runs contenders over a feed of chunks; everything done is in `parts`."""

    def __init__(self, bench: Bench, feed: Feed, parts: Parts, progress: Progress | None = None) -> None:
        self.bench, self.feed, self.parts = bench, feed, parts
        self.progress = progress or (lambda *_: None)

    def values(self, who: list[Contender], seed: int) -> dict[str, list[np.ndarray]]:
        """Scores of every clip, by contender; none are made where nobody asks."""

        def make(chunk: Chunk) -> Arrays:
            arrays: Arrays = {}
            for c in who:
                flat = [s[0].values.numpy() for item in chunk.items for s in self.bench.score(item, c, seed)]
                arrays[f"values|{c.name}"] = np.concatenate([*flat, np.zeros(0, np.float32)])
                arrays[f"lengths|{c.name}"] = np.array([len(v) for v in flat], np.int64)
            return arrays

        out: dict[str, list[np.ndarray]] = {c.name: [] for c in who}
        for part in self._parts("scores", make, 1, hold=True) if who else []:
            for c in who:
                ends = part[f"lengths|{c.name}"].cumsum()
                out[c.name] += np.split(part[f"values|{c.name}"], ends)[: len(ends)]
        return out

    def run(self, variants: list[Variant], watch: Watch | None = None) -> Table:
        """Measure the variants on every chunk.

        Raises ValueError when nothing could be read.
        """

        def make(chunk: Chunk) -> Arrays:
            self.bench.run_full(chunk.items)
            arrays = {"full": self.bench.full(chunk.items)}
            arrays |= {f"run|{v.key}": self.bench.measure(chunk.items, v) for v in variants}
            about = {name: [getattr(i, name) for i in chunk.items] for name in ("name", "label", "facts")}
            arrays["about"] = np.array(json.dumps({**about, "skipped": chunk.skipped}))
            more = watch(self.bench, chunk.items) if watch and chunk.items else {}
            return arrays | {f"extra|{k}": v for k, v in more.items()}

        parts = list(self._parts("runs", make, (1 + len(variants)) * self.bench.views.count))
        about = [json.loads(str(p["about"])) for p in parts]
        joined = {name: [x for a in about for x in a[name]] for name in ("name", "label", "facts", "skipped")}
        if not joined["name"]:
            first = joined["skipped"][0] if joined["skipped"] else "the set is empty."
            raise ValueError(f"None of the {len(joined['skipped'])} videos could be read; the first: {first}")
        extra = sorted({k for p in parts for k in p if k.startswith("extra|")})
        return Table(
            joined["name"], joined["label"], joined["facts"], _join(parts, "full"),
            {v: _join(parts, f"run|{v.key}") for v in variants}, self.bench.views,
            {k.partition("|")[2]: _join(parts, k) for k in extra}, tuple(joined["skipped"]),
        )  # fmt: skip

    def _parts(self, stage: str, make: Callable[[Chunk], Arrays], weight: int, hold: bool = False) -> list[Arrays]:
        """Every chunk's arrays, those that are stored and those still to be made."""
        sizes = [len(c) * weight for c in self.feed.chunks]
        parts = {n: self.parts.load(stage, n) for n in range(len(sizes))}
        todo = [n for n, part in parts.items() if part is None]
        total, stored = sum(sizes), sum(sizes) - sum(sizes[n] for n in todo)
        done = stored
        self.progress(stage, done, total, stored)
        for chunk in self.feed(todo, hold):
            parts[chunk.number] = self.parts.save(stage, chunk.number, make(chunk))
            done += sizes[chunk.number]
            self.progress(stage, done, total, stored)
        return [parts[n] for n in sorted(parts)]


def variants_of(
    jobs: Sequence[Job], who: Sequence[Contender], budgets: Sequence[float], seed: int, seeds: int
) -> list[Variant]:
    """Every contender at every budget with every seed; thresholds are solved on the samples of all jobs together.

    Raises ValueError when nothing could be read.
    """
    solved = [c for c in who if c.solved]
    found = [job.values(solved, seed) for job in jobs]
    out = []
    for c in who:
        for budget in budgets if c.knob else [None]:
            if c.merger is not None and c.knob:
                config = jobs[0].bench.encoder.config
                value = solve_merger(c.merger, config.tokens + config.prefix, config.depth, config.prefix, budget)
            else:
                value = solved_value(c, [x for f in found for x in f[c.name]], budget) if c.solved else budget
            out += [Variant(c, budget, value, seed + k) for k in range(seeds if c.seeded else 1)]
    return out


def _join(parts: Sequence[Arrays], name: str) -> np.ndarray:
    found = [p[name] for p in parts if name in p and len(p[name])]
    return np.concatenate(found) if found else np.zeros(0, MEASURED)
