"""What grounding found, as plain data and as tables: each way beside every frame in full and the others, paired."""

from __future__ import annotations

from dataclasses import asdict
from itertools import product
from typing import Any

from patchlens.encoders.encoder import Encoder
from patchlens.evaluation.grounded import Grounded
from patchlens.evaluation.grounding import FULL, Question
from patchlens.evaluation.moments import OVERLAPS, RANKS
from patchlens.evaluation.provenance import provenance


def result(found: dict[str, Grounded], encoder: Encoder, where: str, question: Question) -> dict[str, Any]:
    """Everything as plain data: per way its rows, its cost, and its recall minus that of every way before it, paired.

    `minus` names that other way; `interval` is two-sided, each of `bounds` a one-sided 95 % bound on its own.
    """
    full = found[FULL]
    ways: list[dict[str, Any]] = []
    for place, one in enumerate(found.values()):
        rows = one.as_dict()
        rows["saved"] = 1 - one.facts["gmacs_per_frame"] / full.facts["gmacs_per_frame"]
        before = list(found.values())[:place]
        rows["differences"] = [{"minus": o.facts["way"], "rows": paired(one, o)} for o in before]
        ways.append(rows)
    about = {"encoder": {**encoder.facts, "residual_tokenizer": encoder.loaded.facts.get("residual_tokenizer")}}
    return {**about, "data": where, **asdict(question), "ways": ways, "provenance": provenance()}


def paired(one: Grounded, other: Grounded) -> list[dict[str, Any]]:
    """Recall of one way minus another's, for every rank and overlap."""
    out = []
    for rank, overlap in product(RANKS, OVERLAPS):
        made, bounds = (one.difference(other, rank, overlap, level) for level in (0.95, 0.9))
        row = {"difference": made.mean, "interval": made.ends, "bounds": bounds.ends}
        out.append({"rank": rank, "iou": overlap, **row})
    return out


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
        gaps = way["differences"][0]["rows"] if way["differences"] else [None] * len(heads)
        cells = [_cell(row, gap) for row, gap in zip(way["rows"], gaps, strict=True)]
        cost = f"{way['cosine']:.4f} | {way['gmacs_per_s']:.4g} | {100 * way['saved']:.1f} %"
        lines.append(f"| {way['way']} | " + " | ".join(cells) + f" | {cost} |")
    return "\n".join(lines)


def against(whole: dict[str, Any], base: str) -> str:
    """A table in points: every other way minus the way `base`, with a one-sided 95 % bound below and one above.

    Raises ValueError where no way is called so.
    """
    names = [way["way"] for way in whole["ways"]]
    if base not in names:
        raise ValueError(f"There is no way {base!r} to compare with; there are {', '.join(names)}.")
    ours = whole["ways"][names.index(base)]
    heads = [f"R@{row['rank']} IoU {row['iou']}" for row in ours["rows"]]
    lines = [f"| minus {base}, with one-sided 95 % bounds | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for way in whole["ways"]:
        if way is not ours:
            after = names.index(way["way"]) > names.index(base)
            one, other, sign = (way, base, 1) if after else (ours, way["way"], -1)
            rows = next(d["rows"] for d in one["differences"] if d["minus"] == other)
            lines.append(f"| {way['way']} | " + " | ".join(_gap(row, sign) for row in rows) + " |")
    return "\n".join(lines)


def _gap(row: dict[str, Any], sign: int) -> str:
    low, high = sorted(100 * sign * x + 0 for x in row["bounds"])
    return f"{100 * sign * row['difference'] + 0:+.1f} (>= {low:+.1f}, <= {high:+.1f})"


def _cell(row: dict[str, Any], gap: dict[str, Any] | None) -> str:
    low, high = (100 * x for x in row["interval"])
    if gap is None:
        return f"{100 * row['recall']:.1f} [{low:.1f}, {high:.1f}]"
    low, high = (100 * x for x in gap["interval"])
    return f"{100 * row['recall']:.1f} ({100 * gap['difference']:+.1f} [{low:+.1f}, {high:+.1f}])"
