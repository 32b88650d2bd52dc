"""What the finished `tiny-clip` can and cannot do: measured on held-out frames and videos, written beside the weights."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from patchlens.data.claims import truth
from patchlens.data.stills import caption_batch
from patchlens.encoders import carded
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.tiny_clip import NAME, load_tiny_clip, to_open_clip
from patchlens.evaluation.grounding import CHUNK, TEST_SEED, evaluate_scenes, frame_features
from patchlens.evaluation.intervals import wilson
from patchlens.evaluation.provenance import provenance, ran_on
from patchlens.evaluation.retrieval import retrieval
from patchlens.training.checkpoints import speed_of
from patchlens.training.tiny_clip import DualEncoder, Recipe

KINDS = ("colour", "shape", "pattern", "size", "place", "place", "relation")


def finish(
    folder: Path,
    model: DualEncoder,
    recipe: Recipe,
    precision: str,
    queries: int = 2000,
    dtype: str = "float32",
    before: dict[str, Any] | None = None,
) -> Path:
    """Write `tiny-clip.safetensors` (which open_clip loads) and `tiny-clip.md` into `folder`; returns the first.

    precision says in words what the training computed in. The weights are measured in `dtype` as read back from the file;
    `queries` is how many sentences are grounded; `before` is the card of the weights that the training went on from.
    """
    target = folder / f"{NAME}.safetensors"
    write(target, model, {})
    encoder = Encoder(NAME, load_tiny_clip(target), "cpu", dtype)
    card = {
        "recipe": asdict(recipe),
        "trained": {**_provenance(folder, recipe), "precision": precision},
        "measured_in": dtype,
        "retrieval": retrieval(encoder),
        "tells_apart": tells_apart(encoder),
        "grounding": evaluate_scenes(encoder, queries),
    }
    if before:
        card["before"] = {name: before[name] for name in ("recipe", "trained", "before") if name in before}
    write(target, model, card)
    (folder / f"{NAME}.md").write_text(as_markdown(card), encoding="utf-8")
    return target


def card_of(path: Path) -> dict[str, Any]:
    """The card in a file that this training wrote.

    Raises ValueError where it is no such file.
    """
    with carded.expected(path, NAME, f"patchlens train {NAME}"):
        return carded.card_of(path)


def write(path: Path, model: DualEncoder, card: dict[str, Any]) -> None:
    """Both towers under open_clip's names, and the card as the file's metadata, whole or not at all."""
    visual = {f"visual.{name}": x for name, x in to_open_clip(model.vit).items()}
    carded.write(path, {**model.text.state_dict(), **visual}, card)


def tells_apart(encoder: Encoder, frames: int = 2048, seed: int = TEST_SEED) -> dict[str, Any]:
    """How often a held-out frame's caption beats the same caption with one claim made false, by what was changed."""
    made = caption_batch(range(frames), seed, "test", encoder.inputs.size_hw[0], varied=True)
    seen = torch.cat([frame_features(encoder, made.frames[s : s + CHUNK]) for s in range(0, frames, CHUNK)])
    right, wrong = encoder.loaded.text.encode_text(made.captions).split(frames)
    wins = ((right - wrong) * seen).sum(1) > 0
    first, second = made.claims[:frames], made.claims[frames:]
    rows: dict[str, list[bool]] = {}
    for k in range(frames):
        slots = (first[k] != second[k]).nonzero()[0]
        if len(slots) and truth(second[k : k + 1], made.facts[k : k + 1])[0, 0] == 0:
            rows.setdefault(KINDS[6 if slots[0] >= 12 else slots[0] % 6], []).append(bool(wins[k]))
    out = {}
    for kind in dict.fromkeys(KINDS):
        if kind in rows:
            rate = wilson(sum(rows[kind]), len(rows[kind]))
            out[kind] = {"value": rate.mean, "interval": rate.ends, "pairs": len(rows[kind])}
    return out


def _provenance(folder: Path, recipe: Recipe) -> dict[str, Any]:
    run = {"steps": recipe.steps, "frames": recipe.frames, "seed": recipe.seed}
    return {**provenance(), **run, "frames_per_s": speed_of(folder, "frames")}


def _percent(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    return f"{100 * row['value']:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def as_markdown(card: dict[str, Any]) -> str:
    """The card for people."""
    trained, recipe, found, ground = (card[key] for key in ("trained", "recipe", "retrieval", "grounding"))
    file = f'"{NAME}", pretrained="{NAME}.safetensors"'
    lines = [
        f"# {NAME}",
        "",
        "An open_clip dual encoder for procedural scenes and their captions (`patchlens.data.scenes`): frames of",
        "96 x 96 pixels in 12 x 12 patches, CLS pooling, a text tower of width 128 over a closed vocabulary.",
        f'open_clip itself loads it: `open_clip.add_model_config("{NAME}.json")`, then',
        f"`open_clip.create_model({file})`.",
        "",
        "Contrastive; every caption that is true of a frame counts as its positive; captions with one claim changed",
        "are further negatives. Test frames and videos hold 16 pairs of colour and shape that no training frame or",
        "caption held. Trained by",
        "",
        *_runs(card),
        "",
        f"Measured in {card['measured_in']} on the CPU.",
        "",
        f"| retrieval among {found['frames']} held-out frames | R@1 | R@1, any frame the caption is true of |",
        "|---|---|---|",
        f"| caption to frame | {_percent(found['text_to_frame_r1'])} | {_percent(found['text_to_frame_r1_true'])} |",
        f"| frame to caption | {_percent(found['frame_to_text_r1'])} | {_percent(found['frame_to_text_r1_true'])} |",
        "",
        f"{100 * found['distinct']:.0f} % of these captions are true of one frame alone.",
        "",
        f"Grounding of {ground['queries']} sentences in {ground['videos']} held-out videos, every frame in full at",
        f"{ground['fps']:g} fps; beside it what a perfect 0/1 similarity reaches:",
        "",
        "| | recall | perfect | share of it |",
        "|---|---|---|---|",
        *map(_recall, ground["rows"]),
        "",
        "| the true caption beats one that differs in | how often |",
        "|---|---|",
        *(f"| {kind} | {_percent(row)} (n = {row['pairs']}) |" for kind, row in card["tells_apart"].items()),
        "",
        "It sees one frame at a time: words of motion (drifts, shakes, rotates, grows) are known but cannot be seen.",
        "It knows eight colours, eight shapes, four patterns, three sizes and nine places, and at most two things at",
        "once; words outside its vocabulary are refused by name. On real footage its similarities mean nothing.",
    ]
    return "\n".join(lines) + "\n"


def _runs(card: dict[str, Any]) -> list[str]:
    """One item for each command that the weights went through, the first one first."""
    recipe, trained = card["recipe"], card["trained"]
    going_on = " --init FILE" if recipe.get("init") else ""
    command = f"patchlens train {NAME} --frames {recipe['frames']} --seed {recipe['seed']}{going_on}"
    heads = f"{100 * recipe['heads_until']:.0f} %"
    helped = f", heads that name what is in each patch and frame until {heads}" if recipe["heads_until"] else ""
    start = "from the weights above" if going_on else "from a random start"
    return [
        *(_runs(card["before"]) if "before" in card else []),
        f"- `{command}`, {start}:",
        f"  {trained['steps']} steps of {recipe['batch']} frames, {trained['precision']}, {ran_on(trained)}.",
        f"  Patches dropped at random (35 to 70 %) until {100 * recipe['whole_from']:.0f} % of the steps{helped}.",
        f"  Beside the contrast, squared cosines of false pairs weigh {recipe['negative_weight']:g}, and how true and",
        f"  false frames lie about a sentence's mean, where grounding cuts, weighs {recipe.get('parting_weight', 0):g}.",
    ]


def _recall(row: dict[str, Any]) -> str:
    found, name = {"value": row["recall"], "interval": row["interval"]}, f"R@{row['rank']}, IoU > {row['iou']}"
    return f"| {name} | {_percent(found)} | {100 * row['ceiling']:.1f} % | {100 * row['of_ceiling']:.1f} % |"
