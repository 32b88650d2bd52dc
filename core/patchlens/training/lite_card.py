"""What a trained selector reached on held-out clips: agreement with the oracle, and the task, paired with random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from patchlens.cache import write_whole
from patchlens.data.samples import SampleSet
from patchlens.encoders.encoder import Encoder
from patchlens.evaluation.budgets import contender
from patchlens.evaluation.intervals import mean_interval
from patchlens.evaluation.job import Table
from patchlens.evaluation.overlap import SHARES, Overlap
from patchlens.evaluation.provenance import provenance
from patchlens.evaluation.rows import EACH_FRAME, metric, rows_of
from patchlens.evaluation.sweep import measure_set
from patchlens.flops import vit_cost
from patchlens.ranker import Ranker, ranker_gmacs, segment_grid, write_ranker
from patchlens.training.lite import Recipe
from patchlens.training.maps import Maps
from patchlens.types import Grid

BUDGETS = (0.1, 0.3, 0.5, 0.7, 0.9)  # the paper's P
EACH = ["Below every frame keeps the same share of its tokens (`per=frame`), the selector's and random ones."]
BESIDE = {"none": "nothing", "block": "one transformer block", "global": "3-D convolutions, then attention,"}


def finish(folder: Path, ranker: Ranker, encoder: Encoder, maps: Maps, held: SampleSet, recipe: Recipe) -> Path:
    """Measure on `held` and write `lite.safetensors` and `lite.md`; returns the first."""
    path = folder / "lite.safetensors"
    card: dict[str, Any] = {
        "encoder": encoder.name, "encoder_sha256": encoder.loaded.facts.get("sha256"), "recipe": asdict(recipe),
        "data": maps.samples.name, "clips": len(maps), "unreadable": list(maps.skipped), **provenance(),
    }  # fmt: skip
    write_ranker(path, ranker, card)  # so that the sweep can read it
    card |= measured(encoder, held, recipe, path)
    card |= price(ranker, encoder, maps.grid)
    write_ranker(path, ranker, card)
    write_whole(folder / "lite.md", as_markdown(card).encode())
    return path


def measured(encoder: Encoder, held: SampleSet, recipe: Recipe, path: Path) -> dict[str, Any]:
    """Spearman with the oracle, recall of its best tokens, and the task at each budget, against random and all tokens.

    Where frames are encoded one at a time, selector and random ones choose the same share of every frame.
    """
    apart = encoder.segments == "frame"
    plan, rivals = f"lite:{'per=frame,' * apart}weights={path}", [EACH_FRAME] * apart
    watch = Overlap(contender(recipe.oracle), [contender(plan)], 0)
    table = measure_set(encoder, held, [*rivals, plan], budgets=BUDGETS, watch=watch, frames=recipe.frames)
    names = ("spearman", *(f"recall {share:g}" for share in SHARES))
    found = [mean_interval(column) for column in table.extra["overlap"][:, 0].T]
    agreement = {name: {"mean": i.mean, "interval": i.ends} for name, i in zip(names, found, strict=True)}
    facts = {"held_out": [len(table.names), held.name], "task": metric(table), "each_frame": apart}
    return {**facts, "agreement": agreement, "rows": shown_rows(table, ["random"] * apart)}


def shown_rows(table: Table, without: Sequence[str] = (), names: Mapping[str, str] = {}) -> list[dict[str, Any]]:
    """What a card says of each contender but those `without`; of a spec its name alone (it may hold a path), or `names`."""
    measured = ("top1", "interval", "cosine", "cosine_interval", "gmacs", "vs_random", "vs_all")
    shown = ("selector", "budget", "reached", *measured)
    rows = [r for r in rows_of(table) if r["selector"] not in without]
    named = lambda spec: names.get(spec, spec.partition(":")[0])  # noqa: E731
    return [{**{k: r[k] for k in shown}, "selector": named(r["selector"])} for r in rows]


def price(ranker: Ranker, encoder: Encoder, grid: Grid) -> dict[str, float]:
    """What the selector's network costs, in 1e9 multiply-accumulates and as a share of the full run."""
    segments, _ = segment_grid(encoder, grid)
    length = grid.n // segments
    own = ranker_gmacs(ranker.config, segments, length)
    return {"gmacs": own, "share_of_full": own / vit_cost(encoder.config, [length] * segments).total}


def as_markdown(card: dict[str, Any]) -> str:
    """The card for people."""
    recipe, agreement, (clips, held) = card["recipe"], card["agreement"], card["held_out"]
    sizes, beside = "-".join(map(str, recipe["hidden"])), BESIDE[recipe["branch"]]
    millions, share = 1000 * card["gmacs"], 100 * card["share_of_full"]

    def told(name: str) -> str:
        found = agreement[name]
        return f"{found['mean']:.3f} [{found['interval'][0]:.3f}, {found['interval'][1]:.3f}]"

    task = "top-1 %" if card["task"] == "right" else "cosine to the full run"
    frames = f", {recipe['frames']} frames each" if card["each_frame"] else ""
    where = card["accelerator"] or f"{card['machine']}, {card['threads']} threads"
    lines = [
        f"# A selector (LITE) for {card['encoder']}",
        "",
        f"A token-wise MLP {sizes}-1 on the patch embeddings and {beside} beside it, trained on maps of",
        f"`{recipe['oracle']}` of {card['clips']} clips ({card['data']}{frames}),",
        f"{recipe['epochs']} epochs, seed {recipe['seed']}.",
        f"It costs {millions:.1f} million multiply-adds a clip, {share:.2f} % of the full run.",
        f"{where}, torch {card['torch']}, {card['date']}, commit {card['commit']}.",
        "",
        f"On {clips} held-out clips ({held}): Spearman with the oracle {told('spearman')};",
        f"of the oracle's best 30 % it finds {told('recall 0.3')} (0.3 by chance), of its best half {told('recall 0.5')}.",
        *(EACH if card["each_frame"] else []),
        "",
        *table_lines(card["rows"], task),
    ]
    return "\n".join(lines) + "\n"


def table_lines(rows: Sequence[dict[str, Any]], task: str = "top-1 %") -> list[str]:
    """The rows of `shown_rows` as a table; `task` is what they measure, in words."""
    return [f"| selector | keep | {task} | against random | against all |", "|---|---|---|---|---|", *map(_row, rows)]


def _row(r: dict[str, Any]) -> str:
    if r["top1"] is None:
        rate = f"{r['cosine']:.3f} [{', '.join(f'{x:.3f}' for x in r['cosine_interval'])}]"
    else:
        rate = f"{100 * r['top1']:.1f} [{', '.join(f'{100 * x:.1f}' for x in r['interval'])}]"
    return f"| {r['selector']} | {r['budget']} | {rate} | {_against(r['vs_random'])} | {_against(r['vs_all'])} |"


def _against(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    scale, digits = (100, 2) if found["of"] == "top1" else (1, 3)
    mean, low, high = (f"{scale * x:+.{digits}f}" for x in (found["difference"], *found["interval"]))
    return f"{mean} [{low}, {high}] {found['word']}"
