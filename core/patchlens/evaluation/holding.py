"""How an answer holds as tokens are dropped: confidence by kept share, in selectors' orders and in random ones.

An easy clip keeps its answer with few tokens, a hard one needs many. Knows no particular selector but the oracle, whose map
says how the clip's value is concentrated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from patchlens.cache import Cache
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.packing import batches
from patchlens.encoders.vit import Check
from patchlens.evaluation.distribution import gini, lorenz, top_share
from patchlens.evaluation.faithfulness import quantity
from patchlens.evaluation.measure import BATCH_TOKENS
from patchlens.keep import Keep, Rule, Strided, TopK, TopKPerFrame, keep_of
from patchlens.metrics import cosine, probabilities
from patchlens.pipeline import RunContext
from patchlens.recall import score
from patchlens.registry import Selector, misfit
from patchlens.selectors.oracle import Oracle, class_number
from patchlens.specs import parse_plan
from patchlens.types import Encoding, Scores, Trace

SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
DRAWS = 8
MOST = 0.9  # of the random draws have to be right, for random tokens to be enough


def holding(
    trace: Trace,
    encoder: Encoder,
    selectors: Sequence[Selector] = (),
    label: str | None = None,
    draws: int = DRAWS,
    shares: Sequence[float] = SHARES,
    check: Check | None = None,
    store: Cache | None = None,
) -> dict[str, Any]:
    """A clip's curves as plain data: the label's probability with ever fewer tokens, and whether the answer is right.

    selectors  whose orders to follow beside the trace's own first selector and the oracle (with the predicted label)
    label      the class that counts as right; the report's if not said (`given`: whether a person gave it, or it is the
               model's own answer)
    orders     {name: {value, right: one per share, needs}}; value is the probability (`of`), or the cosine to the full
               run for an encoder without classes, whose `right` is None
    random     the same over `draws` draws: value their mean with low and high, right the share of draws
    needs      the least share from which on the answer stays right up to the last (None: it needs all, or never is); for
               random in 9 of 10 draws
    value      how the oracle's value is spread: gini, top_fifth, lorenz at 0, 5, ..., 100 %; None without an oracle
    Raises ValueError for fewer than 2 draws, or shares outside 0..1.
    """
    if draws < 2 or not shares or min(shares) <= 0 or max(shares) >= 1:
        raise ValueError(f"draws is {draws}, shares are {tuple(shares)}; give at least 2, and numbers between 0 and 1.")
    shares = sorted(shares)
    scored = _scored(trace, encoder, selectors, store or Cache(None), check)
    keeps = {name: [_keep(trace, encoder, s, x, share) for share in shares] for name, (s, x) in scored.items()}
    rng = np.random.default_rng(trace.request.seed)
    for i in range(draws):
        drawn = Scores(torch.from_numpy(rng.random(trace.grid.n, np.float32)), "random")
        keeps[f"random {i}"] = [_keep(trace, encoder, None, drawn, share) for share in shares]
    given, label = bool(label or trace.report.label_given), label or trace.report.label
    made = _measured(trace, encoder, keeps, label, check)
    chance = [found for name, found in made.items() if name.startswith("random ")]
    right = None if trace.classes is None else trace.classes[int(trace.reference.logits.argmax())] == label
    return {
        "clip": trace.clip.source.name, "label": label, "given": given, "of": quantity(trace),
        "shares": list(shares), "draws": draws,
        "full": {"value": round(_held(trace, trace.reference, label), 4), "right": right},
        "orders": {name: _order(found, shares) for name, found in made.items() if not name.startswith("random ")},
        "random": _random(chance, shares),
        "value": _spread(scored["oracle"][1]) if "oracle" in scored else None,
    }  # fmt: skip


def needs(right: Sequence[bool | float | None], shares: Sequence[float]) -> float | None:
    """The least share from which on the answer stays right (a rate of draws: MOST of them); None where it does not."""
    least = None
    for share, here in reversed(list(zip(shares, right, strict=True))):
        if here is None or here < MOST:
            return least
        least = share
    return least


def _scored(
    trace: Trace, encoder: Encoder, selectors: Sequence[Selector], store: Cache, check: Check | None
) -> dict[str, tuple[Selector, Scores]]:
    """The trace's own first selector, the oracle, and others, each with its scores; what cannot run here is left out."""
    own = parse_plan(trace.request.plan).selectors[0]
    found: dict[str, tuple[Selector, Scores]] = {}
    number = class_number(encoder.classes, trace.request.label) if encoder.classes and trace.request.label else None
    context = RunContext(encoder, trace.clip, number if encoder.classes else trace.request.label, trace.request.seed,
                         check or (lambda: None))  # fmt: skip
    tokens = encoder.tokens(trace.clip)
    for selector in (Oracle(label="predicted" if encoder.classes else "auto"), *selectors):
        silent = isinstance(selector, Oracle) and not (encoder.classes or trace.request.label)
        if not silent and not misfit(selector, encoder.offers, encoder.name):
            found[selector.name] = selector, score(selector, tokens, context, store)
    if own.name not in ("random", "chosen", "everything"):
        found[own.name] = own, trace.scores
    return found


def _keep(trace: Trace, encoder: Encoder, selector: Selector | None, scores: Scores, share: float) -> Keep:
    """The best share of the tokens as a selector's own rule takes them, where that has a keep ratio."""
    rule: Rule = TopK(share)
    if hasattr(selector, "keep") and isinstance(selector.rule(), Strided | TopKPerFrame):
        rule = replace(selector, keep=share).rule()
    return keep_of([(scores, rule)], trace.grid, trace.request.seed, encoder.segments == "frame")


def _measured(
    trace: Trace, encoder: Encoder, keeps: Mapping[str, list[Keep]], label: str | None, check: Check | None
) -> dict[str, list[tuple[float, bool | None]]]:
    """(value, right) of every keep."""
    flat = [keep for of in keeps.values() for keep in of]
    tokens = encoder.tokens(trace.clip)
    made: list[tuple[float, bool | None]] = [(0.0, None)] * len(flat)
    for batch in batches([k.count for k in flat], BATCH_TOKENS):
        if check:
            check()
        for i, e in zip(batch, encoder.encode_many([tokens] * len(batch), [flat[i] for i in batch]), strict=True):
            right = None if trace.classes is None else trace.classes[int(e.logits.argmax())] == label
            made[i] = _held(trace, e, label), right
    parts = iter(made)
    return {name: [next(parts) for _ in of] for name, of in keeps.items()}


def _held(trace: Trace, made: Encoding, label: str | None) -> float:
    if trace.classes is None:
        return float(cosine(trace.reference.pooled, made.pooled))
    return float(probabilities(made.logits)[trace.classes.index(label)])


def _order(found: list[tuple[float, bool | None]], shares: Sequence[float]) -> dict[str, Any]:
    value, right = zip(*found, strict=True)
    return {"value": [round(v, 4) for v in value], "right": list(right), "needs": needs(right, shares)}


def _random(chance: list[list[tuple[float, bool | None]]], shares: Sequence[float]) -> dict[str, Any]:
    value = np.array([[v for v, _ in draw] for draw in chance])
    known = chance[0][0][1] is not None
    right = np.mean([[r for _, r in draw] for draw in chance], 0).round(4).tolist() if known else [None] * len(shares)
    ends = {"low": value.min(0), "high": value.max(0), "value": value.mean(0)}
    return {**{k: v.round(4).tolist() for k, v in ends.items()}, "right": right, "needs": needs(right, shares)}


def _spread(scores: Scores) -> dict[str, Any]:
    values = scores.values.numpy()
    return {"gini": round(gini(values), 4), "top_fifth": round(top_share(values), 4),
            "lorenz": lorenz(values).round(4).tolist()}  # fmt: skip
