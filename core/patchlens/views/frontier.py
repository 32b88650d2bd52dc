"""Accuracy against cost as a sweep measured it, trimmed to what a chart needs.

A frontier belongs to the weights that the sweep ran: for any others there is none. It says what holds on average on the
sweep's own clips, never what holds for the clip on screen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from patchlens.evaluation import shipped
from patchlens.evaluation.budgets import Contender, contender, without
from patchlens.specs import parse_way, way_spec
from patchlens.types import Trace

MEASURES = {"right": ("top1", "interval", "top-1"), "cosine": ("cosine", "cosine_interval", "cosine to the full run")}
ALL_TOKENS = {"keep": 1.0, "r": 0, "rho": 1.0}  # the value of a knob that leaves all tokens; no threshold is sure to

Frontier = dict[str, Any]
Point = dict[str, Any]


def frontier(encoder: Mapping[str, Any]) -> Frontier | None:
    """The shipped frontier of an encoder (its facts: name, sha256 of its weights), or None where these were not swept."""
    swept = shipped.frontier(encoder["name"], encoder.get("sha256"))
    return None if swept is None else trim(swept)


def trim(swept: Mapping[str, Any]) -> Frontier:
    """What a chart needs of what `patchlens sweep --json` wrote.

    measure is what `value` and `interval` are; full the run on all tokens; curves as `curves` makes them.
    """
    rows, origin = swept["rows"], swept["provenance"]
    full = next(_point(row, swept["metric"]) for row in rows if row["selector"] == "everything")
    return {
        "encoder": swept["encoder"]["name"],
        "weights": swept["encoder"]["weights"],
        "data": swept["data"],
        "n": swept["n"],
        "date": origin["date"],
        "commit": origin["commit"],
        "command": swept["command"],
        "measure": MEASURES[swept["metric"]][2],
        "full": {name: full[name] for name in ("gmacs", "value", "interval")},
        "curves": curves(rows, swept["metric"]),
    }


def curves(rows: Sequence[Mapping[str, Any]], metric: str = "right") -> list[dict[str, Any]]:
    """One curve per contender: {selector, knob, points}, points by rising keep ratio.

    knob is what a budget sets (None: it ran as written). A point has budget, reached (mean K/N), gmacs (the selector's own
    included), value, interval, plan and setting (the knob's value). Where a knob can be turned up to all tokens the curve
    ends there: the full run's value at the full run's cost and the selector's; a threshold has no plan for that.
    """
    full = next(row for row in rows if row["selector"] == "everything")
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["selector"] != "everything":
            found.setdefault(row["selector"], []).append(row)
    return [_curve(contender(name), some, full, metric) for name, some in found.items()]


def _curve(who: Contender, rows: Sequence[Mapping[str, Any]], full: Mapping[str, Any], metric: str) -> dict[str, Any]:
    # a threshold may reach one ratio under several budgets: the first one counts
    points = {row["reached"]: _point(row, metric, who.knob) for row in reversed(rows)}
    if who.knob and max(points) < 1:
        plan = who.spec(ALL_TOKENS[who.knob]) if who.knob in ALL_TOKENS else None
        whole = {**full, "plan": plan, "gmacs": full["gmacs"] + rows[-1]["gmacs_selector"]}
        points[1.0] = _point(whole, metric, who.knob)
    ordered = [points[ratio] for ratio in sorted(points)]
    return {"selector": who.name, "knob": who.knob, "points": ordered}


def _point(row: Mapping[str, Any], metric: str, knob: str | None = None) -> Point:
    value, interval, _ = MEASURES[metric]
    found = knob and row["plan"] and re.search(rf"[:,]{knob}=([^,+]+)", row["plan"])
    point = {"value": row[value], "interval": row[interval], "setting": float(found.group(1)) if found else None}
    return {**{name: row[name] for name in ("budget", "reached", "plan")}, "gmacs": round(row["gmacs"], 6), **point}


def curve_of(found: Frontier, plan: str) -> dict[str, Any] | None:
    """The curve on which a plan lies, whatever its knob stands at; None where it was not swept.

    A merger stands last in the plan, or alone: then its own curve is meant, whose knob is its dial.
    """
    asked = way_spec(*parse_way(plan))
    name = lambda knob: without(asked, knob) if knob and "+" not in asked else asked  # noqa: E731
    return next((curve for curve in found["curves"] if name(curve["knob"]) == curve["selector"]), None)


def share_in_blocks(trace: Trace) -> float:
    """What curves go by: K/N, and behind a merger the mean over the blocks of the share of tokens in them."""
    merged = (trace.encoder.get("cost") or {}).get("merged")
    if not merged or trace.keep.anchor is not None:
        return trace.report.keep_ratio
    counts = trace.keep.per_frame if trace.encoder["segments"] == "frame" else [trace.keep.count]
    return sum(merged["whole"]["mean"][k] for k in counts) / trace.grid.n


def along(points: Sequence[Point], ratio: float) -> Point | None:
    """{gmacs, value, interval} of a curve at a keep ratio, on straight lines between its points; None beyond its ends.

    `viewer/chart_curves.js` does the same; a test holds them equal.
    """
    if not points[0]["reached"] <= ratio <= points[-1]["reached"]:
        return None
    last = next(i for i, point in enumerate(points) if point["reached"] >= ratio)
    low, high = points[max(0, last - 1)], points[last]
    span = high["reached"] - low["reached"]
    share = (ratio - low["reached"]) / span if span else 1.0
    blend = lambda a, b: a + (b - a) * share  # noqa: E731
    known = low["interval"] and high["interval"]
    ends = [blend(*pair) for pair in zip(low["interval"], high["interval"], strict=True)] if known else None
    return {**{name: blend(low[name], high[name]) for name in ("gmacs", "value")}, "interval": ends}
