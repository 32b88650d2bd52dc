"""What grounding found, as plain data and as a table: each way beside every frame in full, paired, with costs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from patchlens.encoders.encoder import Encoder
from patchlens.evaluation.grounded import Grounded
from patchlens.evaluation.grounding import FULL, Question
from patchlens.evaluation.moments import OVERLAPS, RANKS
from patchlens.evaluation.provenance import provenance


def result(found: dict[str, Grounded], encoder: Encoder, where: str, question: Question) -> dict[str, Any]:
    """Everything as plain data: per way its rows, its cost, and its recall minus that of every frame in full."""
    full = found[FULL]
    ways = []
    for name, one in found.items():
        rows = one.as_dict()
        rows["saved"] = 1 - one.facts["gmacs_per_frame"] / full.facts["gmacs_per_frame"]
        if name != FULL:
            rows["minus_full"] = [_difference(one, full, r, o) for r in RANKS for o in OVERLAPS]
        ways.append(rows)
    about = {"encoder": {**encoder.facts, "residual_tokenizer": encoder.loaded.facts.get("residual_tokenizer")}}
    return {**about, "data": where, **asdict(question), "ways": ways, "provenance": provenance()}


def _difference(one: Grounded, full: Grounded, rank: int, overlap: float) -> dict[str, Any]:
    made = one.difference(full, rank, overlap)
    return {"rank": rank, "iou": overlap, "difference": made.mean, "interval": made.ends}


def markdown(whole: dict[str, Any]) -> str:
    """A table in points: recall with its 95 % interval, and the paired difference to full."""
    first = whole["ways"][0]
    heads = [f"R@{row['rank']} IoU {row['iou']}" for row in first["rows"]]
    lines = [
        f"| {first['queries']} queries, {first['videos']} videos, {whole['fps']:g} fps | "
        + " | ".join(heads) + " | cosine | GMACs/s | saved |",
        "|---" * (len(heads) + 4) + "|",
        "| a perfect 0/1 similarity | " + " | ".join(f"{100 * r['ceiling']:.1f}" for r in first["rows"]) + " | | | |",
    ]  # fmt: skip
    for way in whole["ways"]:
        cells = [_cell(row, gap) for row, gap in zip(way["rows"], way.get("minus_full", [None] * 6), strict=True)]
        cost = f"{way['cosine']:.4f} | {way['gmacs_per_s']:.4g} | {100 * way['saved']:.1f} %"
        lines.append(f"| {way['way']} | " + " | ".join(cells) + f" | {cost} |")
    return "\n".join(lines)


def _cell(row: dict[str, Any], gap: dict[str, Any] | None) -> str:
    low, high = (100 * x for x in row["interval"])
    if gap is None:
        return f"{100 * row['recall']:.1f} [{low:.1f}, {high:.1f}]"
    low, high = (100 * x for x in gap["interval"])
    return f"{100 * row['recall']:.1f} ({100 * gap['difference']:+.1f} [{low:+.1f}, {high:+.1f}])"
