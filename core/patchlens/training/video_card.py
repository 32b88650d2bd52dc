"""What a fine-tuned model reached on what was held out: measured, and written beside its weights."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from patchlens.cache import write_whole
from patchlens.data.samples import SampleSet
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.loaded import Loaded
from patchlens.encoders.reference import Domain, write
from patchlens.encoders.vit import ViT
from patchlens.evaluation.folds import features_of
from patchlens.evaluation.intervals import wilson
from patchlens.evaluation.oracles import batches_of, oracle_card, oracle_markdown
from patchlens.evaluation.provenance import provenance, ran_on
from patchlens.evaluation.sweep import measure_set
from patchlens.training.inflate import Start
from patchlens.training.video import Recipe

ORACLE_CLIPS = 24  # of the training part, on which the oracle is chosen
DOMAIN_CLIPS = 512  # of the training part, for telling other footage apart


def finish(
    folder: Path, vit: ViT, start: Start, parts: tuple[SampleSet, SampleSet], r: Recipe, broken: list[str], device: str
) -> Path:
    """Measure on the held-out part and write `video.safetensors`, `video.md` and `heldout.csv`; returns the first."""
    train, test = parts
    loaded = Loaded(vit, start.inputs, train.classes, "fine-tuned")
    encoder = Encoder("video", loaded, device)
    table = measure_set(encoder, test, [], budgets=[0.5], seeds=1)
    half = next(iter(table.runs.values()))["right"]
    card: dict[str, Any] = {
        "config": asdict(vit.config), "classes": train.classes, "mean": start.inputs.mean, "std": start.inputs.std,
        "recipe": asdict(r), "trained": {"from": start.made_of, "on": train.name, "clips": len(train), **provenance()},
        "held_out": [len(table.names), _by(test)], "accuracy": _rate(table.full["right"]),
        "accuracy_half_random": _rate(half), "unreadable": sorted({*broken, *table.skipped}),
        "per_class": {c: _rate(table.full["right"][[x == c for x in table.labels]]) for c in test.classes},
    }  # fmt: skip
    card |= oracle_card(encoder, batches_of(encoder, train.first(min(ORACLE_CLIPS, len(train)))))
    features = features_of(encoder, train.first(min(DOMAIN_CLIPS, len(train))))
    write(folder / "video.safetensors", vit, Domain.fit(torch.stack(list(features.values()))), card)
    write_whole(folder / "video.md", as_markdown(card).encode())
    write_whole(folder / "heldout.csv", _list(test).encode())
    return folder / "video.safetensors"


def _by(test: SampleSet) -> str:
    groups = {s.group for s in test}
    return f"{len(groups)} source groups" if None not in groups else "videos"


def _rate(right: Any) -> dict[str, Any]:
    found = wilson(int(right.sum()), len(right)) if len(right) else None
    return {"top1": found.mean, "interval": found.ends, "clips": len(right)} if found else {"clips": 0}


def _list(test: SampleSet) -> str:
    """The held-out videos as a list that `patchlens sweep` reads, relative to the data's folder."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["file", "class", "group", "split"])
    writer.writerows([s.name, s.label, s.group or "", "heldout"] for s in test)
    return out.getvalue()


def as_markdown(card: dict[str, Any]) -> str:
    """The card for people."""
    trained, recipe = card["trained"], card["recipe"]

    def rate(a: dict[str, Any]) -> str:
        if not a["clips"]:
            return "none held out"
        return (
            f"{100 * a['top1']:.1f} % [{100 * a['interval'][0]:.1f}, {100 * a['interval'][1]:.1f}] (n = {a['clips']})"
        )

    lines = [
        "# A space-time model of your own classes",
        "",
        f"{trained['from']}, fine-tuned on {trained['clips']} clips ({trained['on']}) for {recipe['epochs']} epochs",
        f"with random token drops (keep ratios {recipe['least']:g} to 1), seed {recipe['seed']}.",
        f"{ran_on(trained)}.",
        f"Held out: fold {recipe['fold']} of {recipe['folds']}, by {card['held_out'][1]}.",
        "",
        "| held out | top-1 |",
        "|---|---|",
        f"| all tokens | {rate(card['accuracy'])} |",
        f"| half of the tokens, at random | {rate(card['accuracy_half_random'])} |",
        *(f"| {name} | {rate(a)} |" for name, a in card["per_class"].items()),
        "",
        "It knows these classes only; anything else it will still call one of them.",
    ]
    if card["unreadable"]:
        lines.append(f"{len(card['unreadable'])} videos could not be read, the first: {card['unreadable'][0]}")
    return "\n".join(lines + oracle_markdown(card, "clips of the training part")) + "\n"
