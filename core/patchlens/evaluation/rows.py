"""From a table of per-sample results to rows: one per contender and budget, with intervals and paired comparisons.

Intervals are 95 %, over clips: the bootstrap, or Wilson's for rates of few clips (see `intervals.mean_interval`). Runs with
several seeds are averaged within a clip first. Knows nothing of models, files or printing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from patchlens.evaluation.budgets import Contender
from patchlens.evaluation.intervals import FEWEST, Interval, bootstrap, mcnemar, mean_interval, paired, words
from patchlens.evaluation.job import Table
from patchlens.evaluation.measure import Variant

NEAR = 0.02  # budgets count as equal when the reached keep ratios are this close
PARTS = ("easy", "middle", "hard")  # thirds of the clips by difficulty
RATES = ("right", "same")  # of clips; the other columns are means, and a constant one has no spread
EACH_FRAME = "random:per=frame"  # the rival of what chooses the same share of every frame, where it takes part
COLUMNS = {"top1": "right", "agreement": "same", "cosine": "cosine", "kl": "kl", "probability": "probability"}
LABELLED = ("right", "probability")  # columns about the label

Row = dict[str, Any]


def rows_of(table: Table, against: str | None = None) -> list[Row]:
    """All rows, the full run ("everything") first.

    A row has selector, plan (with its knob's value), budget (asked; None as written), reached (mean K/N), solved (the knob
    and its value, where a threshold or a merger's dial was solved for the budget), n, seeds, views;
    top1 and interval (None without labels); agreement with the full run, cosine, kl (nats) and probability of the label,
    with intervals; gmacs per view (reduced run and selector), gmacs_selector, saved; vs_random and vs_all (paired
    difference of top-1, or of the cosine without labels: difference, interval, McNemar p, a word); groups (by class,
    difficulty, camera). With `against`, a contender by its name, also vs_plan: the paired difference to it, and `saved`,
    the share of its GMACs.
    """
    rows, runs = [_full_row(table)], [[table.full]]
    for (who, budget), found in cells(table).items():
        rows.append(_row(table, who, budget, found))
        runs.append(list(found.values()))
    if against is not None:
        rival = next(i for i, row in enumerate(rows) if row["selector"] == against)
        for row, found in zip(rows, runs, strict=True):
            saved = _round(1 - row["gmacs"] / rows[rival]["gmacs"])
            row["vs_plan"] = {"plan": against, **compare(table, found, runs[rival]), "saved": saved}
    return rows


def swept(table: Table, against: str | None = None) -> dict[str, Any]:
    """All that a sweep found, as plain data: rows (see `rows_of`), n, metric, difficulty_edges, skipped."""
    return {"rows": rows_of(table, against), "n": len(table.names), "metric": metric(table),
            "difficulty_edges": difficulty_edges(table), "skipped": list(table.skipped)}  # fmt: skip


def cells(table: Table) -> dict[tuple[Contender, float | None], dict[Variant, np.ndarray]]:
    """The variants by contender and budget, each with its seeds."""
    out: dict[tuple[Contender, float | None], dict[Variant, np.ndarray]] = {}
    for variant, measured in table.runs.items():
        out.setdefault((variant.contender, variant.asked), {})[variant] = measured
    return out


def metric(table: Table) -> str:
    """What comparisons are about: "right" where the set's labels are the encoder's classes, else "cosine".

    Of other classes one may be called alike (UCF11's and ImageNet's basketball), so those of most clips must be known.
    """
    return "cosine" if np.isnan(table.full["right"]).mean() > 0.5 else "right"


def per_clip(runs: Sequence[np.ndarray], name: str, where: np.ndarray | slice = slice(None)) -> np.ndarray:
    """One value per clip: the mean over seeds, NaN left out where a clip has no such value."""
    values = np.mean([r[name][where] for r in runs], 0)
    return values[~np.isnan(values)]


def _figures(table: Table, runs: list[np.ndarray]) -> Row:
    """The mean and interval of everything measured; what is about labels only where they are the encoder's."""
    out: Row = {}
    for name, column in COLUMNS.items():
        values = per_clip(runs, column)
        counts = len(values) and (column not in LABELLED or metric(table) == "right")
        found = _interval(values, column) if counts else None
        out[name] = _round(found.mean) if found else None
        out["interval" if name == "top1" else f"{name}_interval"] = [_round(x) for x in found.ends] if found else None
    return out


def _interval(values: np.ndarray, column: str) -> Interval:
    return mean_interval(values) if column in RATES else bootstrap(values)


def _full_row(table: Table) -> Row:
    gmacs = float(table.full["gmacs"].mean())
    return {
        "selector": "everything", "plan": "everything", "budget": 1.0, "reached": 1.0, "solved": None,
        "n": len(table.names), "seeds": 1, "views": str(table.views), **_figures(table, [table.full]),
        "gmacs": _round(gmacs), "gmacs_selector": 0.0, "saved": 0.0,
        "vs_random": None, "vs_all": None, "groups": groups_of(table, [table.full]),
    }  # fmt: skip


def _row(table: Table, who: Contender, budget: float | None, runs: dict[Variant, np.ndarray]) -> Row:
    found, first = list(runs.values()), next(iter(runs))
    own, reduced = (float(np.mean([r[c] for r in found])) for c in ("own", "gmacs"))
    reached = float(np.mean([r["ratio"] for r in found]))
    rival = _random_at(table, who, budget, reached) if who.name not in ("random", EACH_FRAME) else None
    return {
        "selector": who.name, "plan": who.spec(first.value), "budget": budget, "reached": _round(reached),
        "solved": {who.knob: first.value} if who.knob not in (None, "keep") else None,
        "n": len(table.names), "seeds": len(found), "views": str(table.views), **_figures(table, found),
        "gmacs": _round(reduced + own), "gmacs_selector": _round(own),
        "saved": _round(1 - (reduced + own) / float(table.full["gmacs"].mean())),
        "vs_random": compare(table, found, rival) if rival else None,
        "vs_all": compare(table, found, [table.full]), "groups": groups_of(table, found),
    }  # fmt: skip


def _random_at(table: Table, who: Contender, budget: float | None, reached: float) -> list[np.ndarray] | None:
    """Random's runs at a budget, where that is what the other side reached as well."""
    each = any(getattr(s, "per", "clip") == "frame" for s in who.plan.selectors)
    name = EACH_FRAME if each and any(v.contender.name == EACH_FRAME for v in table.runs) else "random"
    runs = [r for v, r in table.runs.items() if v.contender.name == name and v.asked == budget]
    near = runs and abs(float(np.mean([r["ratio"] for r in runs])) - reached) <= NEAR
    return runs if near else None


def compare(table: Table, first: list[np.ndarray], second: list[np.ndarray]) -> Row:
    """Paired comparison on the same clips: difference, interval, the largest McNemar p over pairs of seeds, a word."""
    name = metric(table)
    values = per_clip(first, name)
    difference = paired(values, per_clip(second, name))
    p = None
    if name == "right":
        known = ~np.isnan(table.full["right"])
        p = max(mcnemar(a["right"][known], b["right"][known]) for a in first for b in second)
    return {"of": "top1" if name == "right" else name, "difference": _round(difference.mean),
            "interval": [_round(x) for x in difference.ends], "p": p and _round(p),
            "word": words(difference) if len(values) >= FEWEST else "level"}  # fmt: skip


def masks_of(table: Table) -> dict[str, dict[str, np.ndarray]]:
    """Groups of clips, bool (n,) each: by class, by thirds of difficulty, by camera, as far as the set knows them."""
    masks: dict[str, dict[str, np.ndarray]] = {}
    labels = np.array([x or "" for x in table.labels])
    masks["class"] = {c: labels == c for c in sorted(set(labels.tolist()) - {""})}
    if (edges := difficulty_edges(table)) is not None:
        third = np.searchsorted(edges, [f["difficulty"] for f in table.facts])
        masks["difficulty"] = {name: third == i for i, name in enumerate(PARTS)}
    cameras = np.array([str(f.get("camera", "")) for f in table.facts])
    masks["camera"] = {c: cameras == c for c in sorted(set(cameras.tolist()) - {""})}
    return {kind: {k: m for k, m in found.items() if m.any()} for kind, found in masks.items() if found}


def difficulty_edges(table: Table) -> list[float] | None:
    """The difficulties that part the clips into thirds, where the set knows them."""
    difficulty = [f.get("difficulty") for f in table.facts]
    if not difficulty or None in difficulty:
        return None
    return [_round(x) for x in np.quantile(difficulty, [1 / 3, 2 / 3])]


def groups_of(table: Table, runs: list[np.ndarray]) -> dict[str, dict[str, Row]]:
    """n, top1 (or cosine) and interval of each group of clips."""
    column = metric(table)
    name = "top1" if column == "right" else column
    out: dict[str, dict[str, Row]] = {}
    for kind, masks in masks_of(table).items():
        for group, mask in masks.items():
            values = per_clip(runs, column, mask)
            if len(values):
                found = _interval(values, column)
                row = {"n": len(values), name: _round(found.mean), "interval": [_round(x) for x in found.ends]}
                out.setdefault(kind, {})[group] = row
    return out


def _round(x: float) -> float:
    return round(float(x), 6)
