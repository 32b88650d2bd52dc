"""The oracle's maps of every block at once, from one pass and one backward: token value as it grows through the depth."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from patchlens.encoders import carded
from patchlens.encoders.catalog import BUNDLED
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.vit import Check
from patchlens.encoders.weights import read_json
from patchlens.gradcam import both_gradients
from patchlens.selectors.oracle import wanted_of
from patchlens.types import Trace


def stack(trace: Trace, encoder: Encoder, check: Check | None = None) -> tuple[Tensor, dict[str, Any]]:
    """Signed maps float32 (gradients, blocks, N), and what they are: {gradients, blocks, label, accuracy}.

    accuracy is the card's table of the oracle by block and gradient (None where nobody measured it), see `oracles.py`.
    Raises ValueError where the encoder answers with nothing that can be explained.
    """
    if not encoder.explains:
        raise ValueError(f"{encoder.name} gives no answer to explain; choose an encoder with classes or texts.")
    given = trace.report.label if encoder.classes else trace.request.label
    wanted, name, _ = wanted_of(encoder, "auto", given)
    depth, tokens = encoder.config.depth, encoder.tokens(trace.clip)
    found = both_gradients(encoder, [tokens], [wanted], range(depth), check=check)
    maps = torch.stack([values[0].maps for values in found.values()])
    about = {"gradients": list(found), "blocks": depth, "label": name or encoder.classes[found["own"][0].label]}
    return maps, {**about, "accuracy": _measured(encoder), "oracle": encoder.loaded.facts.get("oracle")}


def _measured(encoder: Encoder) -> list[dict[str, Any]] | None:
    """The oracle's accuracy by block, as the card in a bundled model's file has it."""
    path = BUNDLED / f"{encoder.name}.safetensors"
    ours = encoder.loaded.weights == "bundled" and path.is_file()
    beside = read_json(path.with_name(f"{path.stem}-card.json")) if ours else {}
    return (carded.card_of(path) | beside).get("oracle_table") if ours else None
