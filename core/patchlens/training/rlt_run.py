"""`patchlens train rlt` as a whole: one start, the arms in turns, and the table of what each reached when.

Every arm's clocks run only during its own steps (drawing, choosing, forward, backward, optimiser), and the arms advance
step by step in turn, so that whatever else the machine does slows all of them alike.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from patchlens.training.checkpoints import rows_of
from patchlens.training.loop import fit_in_turns
from patchlens.training.ranks import own_device
from patchlens.training.rlt import FineTuning, Recipe, encoder_with, half_trained
from patchlens.training.rlt_table import finish
from patchlens.training.tiny_video import TEST_SEED, VALIDATION_SEED

ALONG = 0.55  # of the way from seed 0's first weights to the trained ones: 55-65 % right
CHECKS = 8  # looks at held-out clips on the way
PROBED = 64  # held-out clips that say what share of the tokens RLT keeps


def run_training(
    folder: Path, recipe: Recipe, tau: float = 0.25, along: float = ALONG, test: int = 1024, device: str = "auto"
) -> Path:
    """Train into `folder` (or go on there), measure on `test` held-out clips, and write `rlt.json` and `rlt.md`.

    recipe says steps, batch, rate and seed of all arms. Returns the table's file.
    """
    on, state = own_device(device), half_trained(recipe.seed, along)
    start = FineTuning(recipe, encoder_with(state, on))
    folder.mkdir(parents=True, exist_ok=True)
    known = _answers(folder, start, test)[0]
    share = _share(FineTuning(replace(recipe, plan=f"rlt:tau={tau!r}"), start.encoder))
    trainings = {
        name: FineTuning(arm, encoder_with(state, on, arm.lengths))
        for name, arm in arms(replace(recipe, start=digest(state)), tau, share).items()
    }
    folders = [folder / name for name in trainings]
    fit_in_turns(list(trainings.values()), folders, *[max(1, recipe.steps // CHECKS)] * 2)
    found = {name: measured(folder / name, training, test) for name, training in trainings.items()}
    return finish(folder, found, {"right": known, "along": along, "seed": recipe.seed}, tau, share, recipe)


def arms(recipe: Recipe, tau: float, share: float) -> dict[str, Recipe]:
    """What is compared, by name; `share` is the mean share of tokens that RLT keeps, which random dropping keeps too."""
    rlt = replace(recipe, plan=f"rlt:tau={tau!r}")
    return {
        "full": recipe,
        "rlt": rlt,
        "random": replace(recipe, plan=f"random:keep={share:.3f}"),
        "rlt-length": replace(rlt, lengths=True),
        "rlt-runs": replace(recipe, plan=f"rlt:tau={tau!r},pool=runs"),
        "rlt-filled": replace(rlt, filled=0.7),
    }


def measured(folder: Path, training: FineTuning, test: int) -> dict[str, Any]:
    """What an arm saw, how long it took, what it learned when, and right or wrong on each held-out clip."""
    rows = rows_of(folder / "log.csv")
    right, kept = _answers(folder, training, test)
    whole = right if training.recipe.plan == "everything" else _answers(folder, training, test, whole=True)[0]
    return {
        "plan": training.recipe.plan, "lengths": training.recipe.lengths, "filled": training.recipe.filled,
        "clips": int(training.tally.clips), "tokens": int(training.tally.tokens), "kept": float(kept.mean()),
        "wall_s": float(rows[-1]["wall_s"]), "processor_s": float(rows[-1]["processor_s"]), "right": right,
        "whole": whole,
        "curve": [{k: float(r[k]) for k in ("step", "wall_s", "processor_s", "top1")} for r in rows if r["top1"]],
    }  # fmt: skip


def _answers(folder: Path, training: FineTuning, test: int, whole: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Right or wrong, and tokens kept, on the test clips; from `folder` where they were measured before."""
    path = folder / f"test-{test}{'-whole' * whole}.npz"
    if not path.exists():
        right, kept = training.right(test, TEST_SEED, whole)
        np.savez(path, right=right, kept=kept)
        print(f"{folder.name}: {100 * right.mean():.1f} % of {test} held-out clips{', whole' * whole}", flush=True)
    with np.load(path) as known:
        return known["right"], known["kept"]


def _share(training: FineTuning) -> float:
    """Mean share of tokens that the plan keeps of held-out clips."""
    kept = [training.seen(i, VALIDATION_SEED).keep.ratio for i in range(PROBED)]
    return float(np.mean(kept))


def digest(state: dict[str, Tensor]) -> str:
    """SHA-256 over the tensors of a state."""
    whole = sha256()
    for name, x in sorted(state.items()):
        whole.update(name.encode() + x.contiguous().view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()
