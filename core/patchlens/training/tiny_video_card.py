"""What a finished `tiny-video` or `tiny-video-cls` can and cannot do: measured on held-out clips, beside the weights."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from textwrap import wrap
from typing import Any

import torch
from torch import Tensor

from patchlens.data.motions import CLASSES, DRAWN_BY, batch
from patchlens.encoders.catalog import BUNDLED
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.loaded import Inputs, Loaded
from patchlens.encoders.reference import Domain, write
from patchlens.encoders.vit import ViT
from patchlens.encoders.weights import digest
from patchlens.evaluation.intervals import wilson
from patchlens.evaluation.oracles import oracle_card, oracle_markdown
from patchlens.evaluation.provenance import provenance, ran_on
from patchlens.keep import TopK, keep_of
from patchlens.training.checkpoints import speed_of
from patchlens.training.controls import section
from patchlens.training.tiny_video import CONFIG, MEAN, NAMES, STD, TEST_SEED, VALIDATION_SEED, Recipe
from patchlens.types import Clip, Keep, Scores, Tokens

PRECISION = "bfloat16 autocast"  # of files written before it was recorded
CHUNK = 32
ANSWERS = ["It answers from a class token, as TimeSformer does, and not from the mean over the patches."]
CLASS_TOKEN = ["A class token that the weights had not starts at random; their head stays."]


def finish(folder: Path, vit: ViT, recipe: Recipe, precision: str, test: int = 1024, validation: int = 512) -> Path:
    """Measure a trained model and write its `.safetensors` and `.md`, called by its name, into `folder`; returns the first.

    precision says in words what the training computed in; test and validation are numbers of held-out clips (TEST_SEED
    and VALIDATION_SEED).
    """
    side = CONFIG.grid[1] * CONFIG.patch
    inputs = Inputs((side, side), CONFIG.grid[0] * CONFIG.tubelet, CONFIG.tubelet, CONFIG.patch, MEAN, STD, "squash")
    name = NAMES[recipe.head]
    encoder = Encoder(name, Loaded(vit, inputs, CLASSES, "trained"), "cpu", "float32")
    card = {"config": asdict(vit.config), "classes": CLASSES, "mean": MEAN, "std": STD, "recipe": asdict(recipe)}
    card |= {"trained": {**_provenance(folder, recipe), "precision": precision}, "start": _start(recipe)}
    card |= oracle_card(encoder, chunks(encoder, VALIDATION_SEED, min(256, validation)))
    full, features = _run(encoder, TEST_SEED, test)
    half, _ = _run(encoder, TEST_SEED, test, 0.5)
    _, own = _run(encoder, VALIDATION_SEED, max(2 * CONFIG.width, 2 * validation))
    card |= {"accuracy": _accuracy(full, test), "accuracy_half_random": _accuracy(half, test)}
    card |= {"per_class": {c: _accuracy(full[_labels(TEST_SEED, test) == i]) for i, c in enumerate(CLASSES)}}
    target = folder / f"{name}.safetensors"
    write(target, vit, Domain.fit(own), card)
    target.with_suffix(".md").write_text(as_markdown(card))
    return target


def chunks(encoder: Encoder, seed: int, count: int) -> Any:
    """Yield (tokens of up to CHUNK clips, labels) of a held-out stream, frames made at the encoder's size."""
    for start in range(0, count, CHUNK):
        frames, labels, _ = batch(range(start, min(count, start + CHUNK)), seed=seed, size=encoder.inputs.size_hw[0])
        yield [encoder.tokens(Clip.from_frames(f, fps=8.0, drawn_by=DRAWN_BY)) for f in frames], torch.from_numpy(labels)


def _labels(seed: int, count: int) -> Tensor:
    return torch.from_numpy(batch(range(count), seed=seed, size=16)[1])


def _random(tokens: list[Tokens], keep: float, generator: torch.Generator) -> list[Keep] | None:
    if keep == 1.0:
        return None
    made = [Scores(torch.rand(x.grid.n, generator=generator), "random") for x in tokens]
    return [keep_of([(s, TopK(keep))], x.grid) for s, x in zip(made, tokens, strict=True)]


def _run(encoder: Encoder, seed: int, count: int, keep: float = 1.0) -> tuple[Tensor, Tensor]:
    """(right or wrong per clip, pooled features per clip) with a random share `keep` of the tokens."""
    generator, right, pooled = torch.Generator().manual_seed(0), [], []
    for tokens, labels in chunks(encoder, seed, count):
        encodings = encoder.encode_many(tokens, _random(tokens, keep, generator))
        right.append(torch.stack([e.logits for e in encodings]).argmax(1) == labels)
        pooled.append(torch.stack([e.pooled for e in encodings]))
    return torch.cat(right), torch.cat(pooled)


def _accuracy(right: Tensor, count: int | None = None) -> dict[str, Any]:
    low, high = wilson(int(right.sum()), len(right))
    return {"top1": float(right.float().mean()), "interval": [low, high], "clips": count or len(right)}


def _provenance(folder: Path, recipe: Recipe) -> dict[str, Any]:
    run = {"steps": recipe.steps, "clips": recipe.clips, "seed": recipe.seed}
    return {**provenance(), **run, "clips_per_s": speed_of(folder, "clips")}


def _start(recipe: Recipe) -> str:
    """What --init named, as a person can give it again; "" for a random start."""
    shipped = BUNDLED / "tiny-video.safetensors"
    ours = recipe.init and shipped.is_file() and digest(shipped) == recipe.init
    return "bundled" if ours else "FILE" if recipe.init else ""


def _rate(a: dict[str, Any]) -> str:
    low, high = a["interval"]
    return f"{100 * a['top1']:.1f} % [{100 * low:.1f}, {100 * high:.1f}] (n = {a['clips']})"


def _course(recipe: dict[str, Any]) -> list[str]:
    """What the run did, in the card's words."""
    if init := recipe.get("init"):
        return [
            f"It went on from trained weights (SHA-256 {init[:12]}...) at a third of the rate: clips of the default",
            "difficulty, tokens dropped at random only, full clips included, and no loss but the answer's.",
            *(CLASS_TOKEN if recipe["head"] == "cls" else []),
        ]
    start, tokens = 100 * recipe["easy_until"], 100 * recipe["token_losses_until"]
    return [
        f"The start, {start:.0f} % of the steps, uses clips that grow from easy to the default difficulty, and token",
        "choice that leans to frame differences; two per-token losses (actor or not; which motion) fade out by",
        f"{tokens:.0f} %. After the start, tokens are dropped at random only, full clips included.",
    ]


def as_markdown(card: dict[str, Any]) -> str:
    """The card for people."""
    trained, recipe = card["trained"], card["recipe"]
    head = recipe.get("head", "mean")  # files written before it was recorded have none
    command = f"patchlens train tiny-video --clips {recipe['clips']} --seed {recipe['seed']}"
    command += f" --init {card['start']}" if recipe.get("init") else ""
    command += "" if head == "mean" else f" --head {head}"
    lines = [
        f"# {NAMES[head]}",
        "",
        "A space-time ViT that names 16 procedural motions (`patchlens.data.motions`, default difficulty).",
        *(ANSWERS if head == "cls" else []),
        f"Trained by `{command}`: {trained['steps']} steps, {trained.get('precision', PRECISION)},",
        f"{ran_on(trained)}.",
        "",
        *([*wrap(f"History: {card['history']}", 120), ""] if "history" in card else []),
        *_course(recipe),
        "",
        "| measured on held-out clips | top-1 [95 % interval] |",
        "|---|---|",
        f"| all tokens | {_rate(card['accuracy'])} |",
        f"| half of the tokens, at random | {_rate(card['accuracy_half_random'])} |",
        *(f"| {name} | {_rate(a)} |" for name, a in sorted(card["per_class"].items())),
        "",
        "It cannot see anything else: on real footage its answers are guesses, and the app and the JSON say so by the",
        "distance of the clip's feature from those of its own kind.",
    ]
    return "\n".join([*lines, *oracle_markdown(card), *section(card.get("controls", []))]) + "\n"
