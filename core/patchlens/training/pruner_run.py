"""`patchlens train pruner` as a whole: train (or resume), measure on held-out clips, write the pruner and its card."""

from __future__ import annotations

import copy
from dataclasses import asdict
from pathlib import Path
from typing import Any

from patchlens.cache import write_whole
from patchlens.data.samples import SampleSet
from patchlens.encoders.encoder import Encoder
from patchlens.evaluation.budgets import without
from patchlens.evaluation.provenance import provenance
from patchlens.evaluation.sweep import measure_set
from patchlens.flops import merged_cost, vit_cost
from patchlens.mergers.pruner import Pruning as Merger
from patchlens.pruner import Pruner, write_pruner
from patchlens.specs import spec_of
from patchlens.training.lite_card import shown_rows, table_lines
from patchlens.training.loop import fit
from patchlens.training.pruner import Pruning, Recipe

EVERY, CHECK = 10, 50  # steps
BUDGETS = (0.3, 0.5, 0.7, 0.9)  # mean share of tokens over the blocks


def run_training(encoder: Encoder, data: SampleSet, held: SampleSet, folder: Path, recipe: Recipe) -> Path | None:
    """Train into `folder`, measure on `held`, write `pruner.safetensors` and `pruner.md` there, and return the first.

    None in the other processes of a torchrun. Raises ValueError for an encoder without classes, and where a checkpoint
    does not fit.
    """
    training = Pruning(recipe, encoder, data, held)
    first = copy.deepcopy(training.pruner).cpu()
    fit(training, folder, EVERY, CHECK)
    return finish(folder, training.pruner.cpu(), first, training) if training.share.first else None


def finish(folder: Path, pruner: Pruner, first: Pruner, training: Pruning) -> Path:
    """Measure the trained pruner beside the `first`, untrained one, and write it; returns its file."""
    encoder, recipe, path = training.encoder, training.recipe, folder / "pruner.safetensors"
    card: dict[str, Any] = {
        "encoder": encoder.name, "encoder_sha256": encoder.loaded.facts.get("sha256"), "recipe": asdict(recipe),
        "data": training.data.name, "clips": len(training.data), "blocks": training.at, **provenance(),
    }  # fmt: skip
    ways = {"pruner": (path, pruner), "pruner, untrained": (folder / "first.safetensors", first)}
    for where, network in ways.values():
        write_pruner(where, network, card)  # so that the sweep can read it
    names = {without(spec_of(Merger(weights=str(where))), "rho"): name for name, (where, _) in ways.items()}
    table = measure_set(encoder, training.held, [*names, "tome"], budgets=BUDGETS)
    card |= {"held_out": [len(table.names), training.held.name], "rows": shown_rows(table, names=names)}
    card |= price(encoder, Merger(recipe.rho, str(path)))
    card["parameters"] = sum(p.numel() for p in pruner.parameters())
    write_pruner(path, pruner, card)
    write_whole(folder / "pruner.md", as_markdown(card).encode())
    return path


def price(encoder: Encoder, merger: Merger) -> dict[str, float]:
    """GMACs of a clip pruned at the trained rho, of the network itself, and of the full run."""
    whole = [encoder.config.tokens]
    kept, own = merged_cost(encoder.config, merger, whole)
    return {"gmacs": own, "pruned_gmacs": kept.total, "full_gmacs": vit_cost(encoder.config, whole).total}


def as_markdown(card: dict[str, Any]) -> str:
    """The card for people."""
    recipe, (clips, held) = card["recipe"], card["held_out"]
    where = card["accelerator"] or f"{card['machine']}, {card['threads']} threads"
    blocks = ", ".join(map(str, card["blocks"]))
    spent, full = card["pruned_gmacs"] + card["gmacs"], card["full_gmacs"]
    lines = [
        f"# A pruner (DynamicViT) for {card['encoder']}",
        "",
        f"{len(card['blocks'])} scorers, {card['parameters']:,} parameters together, before blocks {blocks} (of 0 and up).",
        f"Trained at rho {recipe['rho']:g} on {card['clips']} clips ({card['data']}), epochs {recipe['epochs']},",
        f"{recipe['batch']} a step, rate {recipe['lr']:g}, seed {recipe['seed']}; the backbone stayed frozen.",
        f"At that rho they cost {1000 * card['gmacs']:.1f} million multiply-adds, {100 * card['gmacs'] / full:.2f} %",
        f"of the full run; a run with them costs {100 * spent / full:.1f} % of it.",
        f"{where}, torch {card['torch']}, {card['date']}, commit {card['commit']}.",
        "",
        f"On {clips} held-out clips ({held}); keep is the mean share of tokens over the blocks, for which rho",
        "(and ToMe's r) is solved. The pruner was trained on clips of this kind with labels; random and ToMe were not.",
        "Untrained, it ranks by whatever its first weights see.",
        "",
        *table_lines(card["rows"]),
    ]
    return "\n".join(lines) + "\n"
