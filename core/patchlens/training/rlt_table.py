"""The table of `patchlens train rlt`: accuracy against time, every difference paired over the same held-out clips."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from patchlens.cache import write_whole
from patchlens.evaluation.intervals import above, paired, wilson
from patchlens.evaluation.provenance import provenance, ran_on

if TYPE_CHECKING:
    from patchlens.training.rlt import Recipe

WITHIN, TIME = 0.005, 0.75  # the bar: so much accuracy may be lost, and so much of the full run's time used
SAID = {
    "full": "all tokens", "rlt": "RLT", "random": "random, as many tokens", "rlt-length": "RLT, length encoding",
    "rlt-runs": "RLT, mean weighted by runs (ours)", "rlt-filled": "RLT, steps filled with clips",
}  # fmt: skip


def finish(
    folder: Path, found: dict[str, dict[str, Any]], start: dict[str, Any], tau: float, share: float, recipe: Recipe
) -> Path:
    """Write `rlt.json` and `rlt.md` into `folder` and print the table; returns the first."""
    known = start.pop("right")
    result = {
        "start": {**start, "top1": _rate(known)}, "recipe": asdict(recipe), "tau": tau, "share": share,
        "test_clips": len(known), "arms": rows(found), "provenance": provenance(),
    }  # fmt: skip
    path = folder / "rlt.json"
    write_whole(path, (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())
    write_whole(folder / "rlt.md", as_markdown(result).encode())
    print(as_markdown(result), flush=True)
    return path


def rows(found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per arm: accuracy, speed, time as shares of the full run's, and differences to full and to plain RLT."""
    out = []
    full = found["full"]
    for name, arm in found.items():
        row = {k: v for k, v in arm.items() if k not in ("right", "whole")}
        row |= {"arm": name, "tokens_per_clip": arm["tokens"] / arm["clips"]}
        row |= {"top1": _rate(arm["right"]), "top1_whole": _rate(arm["whole"])}
        for clock in ("wall", "processor"):
            spent = arm[f"{clock}_s"]
            row[f"{clock}_share"] = spent / full[f"{clock}_s"]
            row[f"clips_per_{clock}_s"], row[f"tokens_per_{clock}_s"] = arm["clips"] / spent, arm["tokens"] / spent
        for other in ("full", "rlt"):
            if name != other and other in found:
                row[f"vs_{other}"] = _difference(arm["right"], found[other]["right"])
                row[f"whole_vs_{other}"] = _difference(arm["whole"], found[other]["whole"])
        if "vs_full" in row:
            row |= {"bar": bar(row, "vs_full"), "bar_whole": bar(row, "whole_vs_full")}
        out.append(row)
    return out


def bar(row: dict[str, Any], against: str) -> dict[str, Any]:
    """Whether an arm is within half a point of the full run in at most three quarters of its wall time.

    estimate: by the figures as they are; interval: whether the difference's whole 95 % interval says so too.
    """
    quick = row["wall_share"] <= TIME
    return {"estimate": bool(quick and row[against]["difference"] >= -WITHIN),
            "interval": row[against]["within"] if quick else "does not hold"}  # fmt: skip


def _rate(right: np.ndarray) -> dict[str, Any]:
    found = wilson(int(right.sum()), len(right))
    return {"mean": found.mean, "interval": found.ends}


def _difference(ours: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
    found = paired(ours, theirs)
    return {"difference": found.mean, "interval": found.ends, "within": above(found, -WITHIN)}


def as_markdown(result: dict[str, Any]) -> str:
    """The table for people."""
    start = result["start"]
    lines = [
        f"Start: {_percent(start['top1'])} % with all tokens, {start['along']:g} of the way from the first weights of seed "
        f"{start['seed']} to the trained ones. "
        f"RLT at tau {result['tau']:g} keeps {100 * result['share']:.0f} % of the tokens of static-camera clips.",
        "",
        "| fine-tuned with | clips | tokens a clip | top-1 % | against all tokens | against RLT | tested with all tokens "
        "| against all tokens | wall s (share) | processor s (share) | clips/s, tokens/s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *map(_row, result["arms"]),
        "",
        f"{result['test_clips']} held-out clips, seen through each arm's own tokens and through all; points, paired, 95 %. "
        "Rates are per processor second.",
        ran_on(result["provenance"]),
    ]
    return "\n".join(lines) + "\n"


def _row(r: dict[str, Any]) -> str:
    times = (f"{r[f'{c}_s']:.0f} ({r[f'{c}_share']:.2f})" for c in ("wall", "processor"))
    return " | ".join([
        f"| {SAID[r['arm']]}", f"{r['clips']:,}", f"{r['tokens_per_clip']:.0f}", _percent(r["top1"]),
        _points(r.get("vs_full")), _points(r.get("vs_rlt")), _percent(r["top1_whole"]),
        _points(r.get("whole_vs_full")), *times,
        f"{r['clips_per_processor_s']:.1f}, {r['tokens_per_processor_s']:,.0f} |",
    ])  # fmt: skip


def _percent(rate: dict[str, Any]) -> str:
    return f"{100 * rate['mean']:.1f} [{100 * rate['interval'][0]:.1f}, {100 * rate['interval'][1]:.1f}]"


def _points(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    return f"{100 * found['difference']:+.1f} [{100 * found['interval'][0]:+.1f}, {100 * found['interval'][1]:+.1f}]"
