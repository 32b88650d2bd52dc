"""The control trainings of `tiny-video`, which see one frame or shuffled ones, and their section in its card.

What a weights file says of itself is its metadata, and results are bound to the file's digest; so what is measured after
it was written stands beside it, in `NAME-card.json`, and NAME.md is made from both.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from patchlens.cache import write_whole
from patchlens.data.motions import CLASSES
from patchlens.data.stories import FAMILIES
from patchlens.encoders import carded
from patchlens.evaluation.intervals import wilson
from patchlens.evaluation.provenance import provenance
from patchlens.training.tiny_video import TEST_SEED

if TYPE_CHECKING:
    from patchlens.training.tiny_video_run import TinyVideo

MOST = 0.35  # top-1 that a control may reach: the classes are to be motion, not looks
SEES = {"single": "one frame, repeated", "shuffled": "all frames, in random order"}


def measure_control(folder: Path, control: str, training: TinyVideo, clips: int = 1024) -> Path:
    """Measure a trained control on held-out clips of its own kind and write `control.json` into `folder`."""
    found, recipe = wilson(training.right(clips, TEST_SEED), clips), training.recipe
    result = {
        "control": control,
        "accuracy": {"top1": found.mean, "interval": found.ends, "clips": clips},
        "trained": {**{k: getattr(recipe, k) for k in ("clips", "steps", "seed", "init")}, **provenance()},
    }
    path = folder / "control.json"
    write_whole(path, json.dumps(result, indent=1).encode())
    return path


def add_to_card(weights: Path, folders: list[Path]) -> Path:
    """Put the controls trained in `folders` into the card of `weights` (a `tiny-video` file); returns the card, rewritten.

    Raises ValueError for a folder in which no control was finished.
    """
    beside = weights.with_name(f"{weights.stem}-card.json")
    added: dict[str, Any] = json.loads(beside.read_text()) if beside.exists() else {}
    if folders:
        added["controls"] = [_read(folder) for folder in folders]
    if added:
        write_whole(beside, (json.dumps(added, indent=1) + "\n").encode())
    target = weights.with_suffix(".md")
    write_whole(target, card_text(weights).encode())
    return target


def card_text(weights: Path) -> str:
    """The card of a `tiny-video` file for people, with what stands beside it."""
    from patchlens.training.tiny_video_card import as_markdown

    card = carded.card_of(weights)
    beside = weights.with_name(f"{weights.stem}-card.json")
    return as_markdown(card | (json.loads(beside.read_text()) if beside.exists() else {}))


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "control.json"
    if not path.exists():
        raise ValueError(f"{folder} holds no finished control; `patchlens train tiny-video --control single` makes one.")
    return json.loads(path.read_text())


def section(controls: list[dict[str, Any]]) -> list[str]:
    """The card's lines about its controls; none where there are none."""
    if not controls:
        return []
    groups = len(FAMILIES)
    return [
        "",
        "## Controls",
        "",
        f"The same training on clips without their motion; at most {100 * MOST:.0f} % is asked for. Frames in random order",
        f"can still tell {groups} of {len(CLASSES)} classes apart ({100 * groups / len(CLASSES):.0f} %): pairs of them are",
        "each other's clip played backwards, and the two shakes are not. One frame tells less. A control trained on more",
        "clips may come closer to that: the row says how many these had.",
        "",
        f"| sees | top-1 [95 % interval] | trained on | at most {100 * MOST:.0f} % |",
        "|---|---|---|---|",
        *map(_row, controls),
    ]


def _row(control: dict[str, Any]) -> str:
    found, trained = control["accuracy"], control["trained"]
    low, high = found["interval"]
    verdict = "holds" if high <= MOST else "does not hold" if low > MOST else "undecided"
    rate = f"{100 * found['top1']:.1f} % [{100 * low:.1f}, {100 * high:.1f}] (n = {found['clips']})"
    start = "from these weights on" if trained["init"] else "from a random start"
    run = f"{trained['clips']:,} clips, {trained['steps']:,} steps, {start}, commit {trained['commit']}"
    return f"| {SEES[control['control']]} | {rate} | {run} | {verdict} |"
