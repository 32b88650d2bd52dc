"""`patchlens train residual` as a whole: distil (or resume), then write the tokenizer and its card."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from patchlens.cache import write_whole
from patchlens.data.pairs import Pairs
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.residual import ENDING, made_for, write
from patchlens.evaluation.provenance import provenance
from patchlens.training.dropped import RANDOM
from patchlens.training.loop import fit
from patchlens.training.residual import Distillation, Recipe

EVERY, CHECK = 10, 50  # steps


def run_training(folder: Path, encoder: Encoder, pairs: Pairs, recipe: Recipe, command: str = "") -> Path | None:
    """Train into `folder`; returns the tokenizer's file in the first process, None in the others under torchrun."""
    training = Distillation(recipe, encoder, pairs)
    fit(training, folder, EVERY, CHECK)
    return finish(training, folder, command) if training.share.first else None


def finish(training: Distillation, folder: Path, command: str = "") -> Path:
    """Write `ENCODER.residual.safetensors` and `ENCODER.residual.md` into `folder`; returns the first."""
    encoder, recipe = training.encoder, training.recipe
    card = {
        "encoder": encoder.name,
        "encoder_weights": made_for(encoder.loaded),
        "data": training.pairs.name,
        "recipe": asdict(recipe),
        "held_out": training.validate(),
        "parameters": sum(p.numel() for p in training.tokenizer.parameters()),
        "command": command,
        "provenance": provenance(),
    }
    stem = encoder.name.replace(":", "-").replace("/", "-")
    target = folder / f"{stem}{ENDING}"
    write(target, training.tokenizer, card, training.vit if recipe.unfreeze else None)
    write_whole(folder / f"{stem}.residual.md", as_markdown(card).encode())
    return target


def as_markdown(card: dict[str, Any]) -> str:
    """The card for people."""
    r, found, made = card["recipe"], card["held_out"], card["provenance"]
    frozen = "a copy of the visual tower was fine-tuned with it" if r["unfreeze"] else "both towers stayed frozen"
    ranked = "" if r["strategy"] == RANDOM else f", or of every other pair by {r['strategy']}"
    wide = f", {r['hidden']} wide between" if r["hidden"] else ""
    lines = [
        f"# Residual tokenizer of {card['encoder']}",
        "",
        f"{card['parameters']:,} parameters, layers: {r['layers']}{wide}. The projected feature of an I-frame becomes",
        "one token of the P-frames behind it (ResidualViT, arXiv 2509.13255).",
        "",
        f"Distilled in {r['epochs']} passes over {r['pairs']:,} pairs of `{card['data']}`, {r['batch']} a step; {frozen}.",
        f"{r['n_train']} P-frames behind each I-frame at {r['fps']:g} frames per second, {100 * r['p']:g} % of the patches",
        f"dropped at random{ranked}; objective {r['objective']}, {r['optimiser']} at {r['lr']:g}; seed {r['seed']}.",
        "",
        f"Cosine of P-frames to the full encoder on held-out pairs: {found['cosine']:.4f} with the token, "
        f"{found['cosine_off']:.4f} without.",
        "",
        *([f"Command: `{card['command']}`.", ""] if card["command"] else []),
        f"{made['date']}, commit {made['commit']}, torch {made['torch']}, {made['machine']}.",
    ]
    return "\n".join(lines) + "\n"
