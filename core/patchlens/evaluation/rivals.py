"""How well any plan's tokens hold the answer, beside the oracle's, LITE's and random ones at the very same count.

The yardstick of "be the selector": a person's painted tokens are a plan like any other. Knows no page.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from patchlens.cache import Cache
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.packing import batches
from patchlens.encoders.vit import Check
from patchlens.evaluation.faithfulness import held, quantity
from patchlens.evaluation.measure import BATCH_TOKENS
from patchlens.keep import TopK, keep_of
from patchlens.pipeline import RunContext
from patchlens.recall import score
from patchlens.registry import misfit
from patchlens.selectors.lite import Lite
from patchlens.selectors.oracle import Oracle, class_number
from patchlens.types import Encoding, Scores, Tokens, Trace

DRAWS = 16


def rivals(
    trace: Trace, encoder: Encoder, draws: int = DRAWS, check: Check | None = None, store: Cache | None = None
) -> dict[str, Any]:
    """What a trace's tokens hold of the answer, and what as many tokens chosen otherwise do, as plain data.

    yours    {plan, value, right}; value is the label's probability (`of`: "probability"), or the cosine to the full run
    others   the same for "oracle" and "lite" where they can run here, and for "random" the mean of `draws` draws with the
             lowest and highest, and `beaten`: the share of them that yours is above (ties count half)
    Raises ValueError for fewer than 1 draw.
    """
    if draws < 1:
        raise ValueError(f"draws is {draws}; give at least 1.")
    tokens = encoder.tokens(trace.clip)
    contenders = dict(_scored(trace, encoder, tokens, store or Cache(None), check))
    rng = np.random.default_rng(trace.request.seed)
    for i in range(draws):
        contenders[f"random {i}"] = Scores(torch.from_numpy(rng.random(tokens.grid.n, np.float32)), "random")
    k, frames = trace.keep.count, encoder.segments == "frame"
    keeps = [keep_of([(s, TopK(k / tokens.grid.n))], tokens.grid, trace.request.seed, frames) for s in contenders.values()]
    made: dict[int, Encoding] = {}
    for batch in batches([x.count for x in keeps], BATCH_TOKENS):
        if check:
            check()
        made |= dict(zip(batch, encoder.encode_many([tokens] * len(batch), [keeps[i] for i in batch]), strict=True))
    found = {name: _found(trace, made[i]) for i, name in enumerate(contenders)}
    yours = {"plan": trace.request.plan, **_found(trace, trace.encoding)}
    chance = np.array([f["value"] for name, f in found.items() if name.startswith("random")])
    others = [{"name": name, **f} for name, f in found.items() if not name.startswith("random")]
    above = float(np.mean((yours["value"] > chance) + 0.5 * (yours["value"] == chance)))
    others.append({"name": "random", "value": round(float(chance.mean()), 6), "draws": draws, "beaten": round(above, 4),
                   "low": float(chance.min()), "high": float(chance.max())})  # fmt: skip
    return {"kept": k, "total": tokens.grid.n, "of": quantity(trace), "label": trace.report.label,
            "full": round(held(trace, trace.reference), 6), "yours": yours, "others": others}  # fmt: skip


def _scored(
    trace: Trace, encoder: Encoder, tokens: Tokens, store: Cache, check: Check | None
) -> Iterator[tuple[str, Scores]]:
    """(name, scores) of the oracle and of LITE, where they fit the encoder and there is something to explain."""
    label = class_number(encoder.classes, trace.report.label) if encoder.classes else trace.request.label
    context = RunContext(encoder, trace.clip, label, trace.request.seed, check or (lambda: None))
    for selector in (Oracle(), Lite()):
        silent = isinstance(selector, Oracle) and label is None
        if not silent and not misfit(selector, encoder.offers, encoder.name):
            yield selector.name, score(selector, tokens, context, store)


def _found(trace: Trace, made: Encoding) -> dict[str, Any]:
    right = None if trace.classes is None else trace.classes[int(made.logits.argmax())] == trace.report.label
    return {"value": round(held(trace, made), 6), "right": right}
