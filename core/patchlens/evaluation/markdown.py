"""Rows of a sweep as Markdown: for a terminal and for a README. Knows rows as plain data only."""

from __future__ import annotations

from collections.abc import Sequence

from patchlens.evaluation.rows import Row

GROUPS = ("class", "difficulty", "camera")


def table_of(rows: Sequence[Row]) -> str:
    """The rows as a table for a README: points and percent, GMACs with the selector's own."""
    names = ["selector", "keep (reached)", "top-1 %", "against random", "against all", "same answer %", "cosine", "KL",
             "GMACs", "saved %"]  # fmt: skip
    if "vs_plan" in rows[0]:
        names += [f"against {rows[0]['vs_plan']['plan']}", "of its GMACs saved %"]
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for r in rows:
        asked = "as written" if r["budget"] is None else f"{r['budget']:g}"
        near = "" if r["budget"] is not None and abs(r["reached"] - r["budget"]) < 0.005 else f" ({r['reached']:.3f})"
        lines.append(
            f"| {_name(r)} | {asked}{near} | {_percent(r['top1'], r['interval'])} | {_against(r['vs_random'])} "
            f"| {_against(r['vs_all'])} | {_percent(r['agreement'], None)} | {r['cosine']:.3f} "
            f"| {'' if r['kl'] is None else format(r['kl'], '.3f')} | {r['gmacs']:.3f} "
            f"| {100 * r['saved']:.0f} |{_against_plan(r)}"
        )
    return "\n".join(lines)


def _against_plan(row: Row) -> str:
    if (found := row.get("vs_plan")) is None:
        return ""
    return f" {_against(found, interval=True)} | {100 * found['saved']:.1f} |"


def _percent(mean: float | None, interval: list[float] | None) -> str:
    if mean is None:
        return ""
    return f"{100 * mean:.1f}" + (f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else "")


def _against(found: Row | None, interval: bool = False) -> str:
    if found is None:
        return ""
    scale, form = (100, "+.1f") if found["of"] == "top1" else (1, "+.3f")
    low, high = (format(scale * x, form) for x in found["interval"])
    return f"{scale * found['difference']:{form}} {f'[{low}, {high}] ' if interval else ''}{found['word']}"


def _name(row: Row) -> str:
    """The contender, with the threshold that was solved for its budget."""
    if row["solved"] is None:
        return row["selector"]
    found = ", ".join(f"{knob} {value:.4g}" for knob, value in row["solved"].items())
    return f"{row['selector']} ({found})"


def check_group(kind: str | None) -> None:
    """Raises ValueError for what clips are not grouped by."""
    if kind not in (None, *GROUPS):
        raise ValueError(f"by is {kind!r}; choose one of {', '.join(GROUPS)}.")


def by_group(rows: Sequence[Row], kind: str) -> str:
    """Top-1 in percent (or the cosine) of every row by class, difficulty or camera; a sentence where the set knows none."""
    groups = list(rows[0]["groups"].get(kind, {}))
    if not groups:
        return f"The set does not say the {kind} of its clips."
    sizes = [rows[0]["groups"][kind][g]["n"] for g in groups]
    lines = ["| selector | keep | " + " | ".join(f"{g} ({n})" for g, n in zip(groups, sizes, strict=True)) + " |"]
    lines.append("|---" * (2 + len(groups)) + "|")
    for r in rows:
        asked = "as written" if r["budget"] is None else f"{r['budget']:g}"
        cells = [_in_group(r["groups"][kind][g]) for g in groups]
        lines.append(f"| {_name(r)} | {asked} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _in_group(found: Row) -> str:
    return f"{100 * found['top1']:.1f}" if "top1" in found else f"{found['cosine']:.3f}"
