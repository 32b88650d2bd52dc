"""The oracle's maps of every block at once, from one pass and one backward: token value as it grows through the depth."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from patchlens.encoders import carded
from patchlens.encoders.catalog import BUNDLED
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.vit import Check
from patchlens.encoders.weights import read_json
from patchlens.evaluation.intervals import wilson
from patchlens.gradcam import GRADIENTS, SIGNS, both_gradients, token_values_gmacs, whole_segments
from patchlens.selectors.oracle import Oracle, unit_of, wanted_of
from patchlens.specs import parse_plan
from patchlens.types import Trace

RATES = ("predicted ", "true ")  # the card's columns that are shares of clips


def stack(trace: Trace, encoder: Encoder, check: Check | None = None) -> tuple[Tensor, dict[str, Any]]:
    """Signed maps float32 (gradients, blocks + 1, N), the last of each the mean of all blocks', and what they are.

    gradients, blocks, label   what the maps are of; the label is that of the plan's oracle, else the clip's
    units                      sign x gradients x (blocks + 1): what the oracle calls its values there
    gmacs                      (blocks + 1): what the oracle costs there
    auto                       what the oracle takes where nobody says: {gradient, signs: {gradient: sign},
                               blocks: {"gradient sign": block or "mean"}}
    accuracy                   the card's table of the oracle by block, gradient and sign (see `oracles.py`), each share
                               with its Wilson interval, random among them; None where nobody measured it
    all_tokens, clips          accuracy with every token, on other clips (None if unknown); how many the table is from
    Raises ValueError where the encoder answers with nothing that can be explained.
    """
    if not encoder.explains:
        raise ValueError(f"{encoder.name} gives no answer to explain; choose an encoder with classes or texts.")
    first, *_ = parse_plan(trace.request.plan).selectors
    knob = first.label if isinstance(first, Oracle) else "auto"
    wanted, name, _ = wanted_of(encoder, knob, trace.request.label)
    depth, tokens = encoder.config.depth, encoder.tokens(trace.clip)
    found = both_gradients(encoder, [tokens], [wanted], range(depth), check=check)
    maps = torch.stack([torch.cat([v.maps, v.signed[None]]) for (v,) in found.values()])
    label = name or encoder.classes[found["own"][0].label]
    each = [*range(depth), list(range(depth))]
    told = partial(unit_of, label=label)
    units = {sign: [[told(block, way, sign) for block in each] for way in found] for sign in SIGNS}
    gmacs = [token_values_gmacs(encoder, whole_segments(encoder, trace.grid), block) for block in each]
    about = {"gradients": list(found), "blocks": depth, "label": label, "units": units, "gmacs": gmacs}
    return maps, {**about, "auto": _auto(encoder), **_measured(encoder)}


def _auto(encoder: Encoder) -> dict[str, Any]:
    """What the oracle's "auto" stands for: its gradient, its sign under either, its block under each of both."""
    signs = {way: Oracle(gradient=way).watched(encoder).sign for way in GRADIENTS}
    ways = [(way, sign) for way in GRADIENTS for sign in SIGNS]
    watched = {f"{way} {sign}": Oracle(gradient=way, sign=sign).watched(encoder).blocks for way, sign in ways}
    blocks = {way: numbers[0] if len(numbers) == 1 else "mean" for way, numbers in watched.items()}
    return {"gradient": Oracle().watched(encoder).gradient, "signs": signs, "blocks": blocks}


def _measured(encoder: Encoder) -> dict[str, Any]:
    """The oracle's accuracy by block, as the card in a bundled model's file has it."""
    path = BUNDLED / f"{encoder.name}.safetensors"
    ours = encoder.loaded.weights == "bundled" and path.is_file()
    beside = read_json(path.with_name(f"{path.stem}-card.json")) if ours else {}
    card = carded.card_of(path) | beside if ours else {}
    rows, clips = card.get("oracle_table"), card.get("oracle_clips")
    return {
        "accuracy": rows and [_with_intervals(row, clips) for row in rows],
        "clips": clips,
        "all_tokens": card.get("accuracy") if rows else None,
    }


def _with_intervals(row: dict[str, Any], clips: int) -> dict[str, Any]:
    """A row of the card's table with `intervals` [low, high] of its shares of clips."""
    columns = [name for name in row if name.startswith(RATES)]
    return {**row, "intervals": {c: [round(x, 4) for x in wilson(round(row[c] * clips), clips).ends] for c in columns}}
