"""Is a token-value map true on this clip? Deletion and insertion curves of any selector's scores, against chance.

Insertion keeps the best tokens first, deletion takes the best away first, and the label's probability is followed (the
cosine to the full run for an encoder without classes). Chance is a random order, and the map itself with its values dealt
out anew within every tubelet, which keeps how much each moment gets. Knows no particular selector.
Source: Petsiuk et al. 2018 (RISE); Samek et al. 2017. Departure: tokens are dropped, not blurred.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy import integrate, stats

from patchlens.encoders.encoder import Encoder
from patchlens.encoders.packing import batches
from patchlens.encoders.vit import Check
from patchlens.evaluation.intervals import LEVEL, Interval
from patchlens.evaluation.measure import BATCH_TOKENS
from patchlens.keep import TopK, keep_of, ranks
from patchlens.metrics import cosine, probabilities
from patchlens.types import Encoding, Grid, Keep, Scores, Trace

SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
DRAWS = 8  # of each chance order
WAYS = ("insertion", "deletion")
BETTER, WORSE, LEVEL_WITH = "better than chance", "worse than chance", "no better than chance"


def faithfulness(
    trace: Trace, encoder: Encoder, draws: int = DRAWS, shares: Sequence[float] = SHARES, check: Check | None = None
) -> dict[str, Any]:
    """Curves, areas and a verdict for the scores of a trace's first stage, as plain data.

    shares     of the tokens kept (insertion) or taken away (deletion); areas are means over 0..1 by the trapezium rule,
               from the smallest share on
    draws      of each chance order; its interval is the 95 % prediction interval of one more draw
    Raises ValueError for fewer than 3 draws, or shares outside 0..1.
    """
    if draws < 3:
        raise ValueError(f"draws is {draws}; give at least 3, or an interval says nothing.")
    if not shares or min(shares) <= 0 or max(shares) >= 1:
        raise ValueError(f"shares are {tuple(shares)}; give numbers between 0 and 1.")
    shares = sorted(shares)
    seed = trace.request.seed
    rng = np.random.default_rng(seed)
    own = place_values(trace.scores, seed)
    orders = {"map": [own]}
    orders["random"] = [rng.permutation(len(own)) for _ in range(draws)]
    orders["shuffled"] = [within_tubelets(own, trace.grid, rng) for _ in range(draws)]
    curves = {name: _curves(trace, encoder, values, shares, check) for name, values in orders.items()}
    areas = {way: _areas(curves, way, shares) for way in WAYS}
    verdict = verdict_of(areas)
    return {
        "plan": trace.request.plan, "unit": trace.scores.unit, "label": trace.report.label, "of": quantity(trace),
        "full": held(trace, trace.reference), "shares": list(shares), "draws": draws, "verdict": verdict, "areas": areas,
        "curves": {way: {n: np.round(c[way], 6).tolist() for n, c in curves.items()} for way in WAYS},
        "warning": warning_of(verdict, trace.scores.unit),
    }  # fmt: skip


def place_values(scores: Scores, seed: int) -> np.ndarray:
    """Distinct numbers (N,) in the order that a decision would take the tokens: N for the best, 1 for the worst."""
    return len(scores.values) + 1 - ranks(scores, seed)


def within_tubelets(values: np.ndarray, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """The values dealt out anew within every tubelet."""
    return rng.permuted(values.reshape(grid.t, -1), axis=1).reshape(-1)


def _curves(
    trace: Trace, encoder: Encoder, orders: Sequence[np.ndarray], shares: Sequence[float], check: Check | None
) -> dict[str, np.ndarray]:
    """Both curves of every order, (orders, shares) each."""
    tokens, frames = encoder.tokens(trace.clip), encoder.segments == "frame"

    def keep(values: np.ndarray, share: float) -> Keep:
        ranked = Scores(torch.from_numpy(values.astype(np.float32)), "order")
        return keep_of([(ranked, TopK(share))], trace.grid, trace.request.seed, frames)

    keeps = [keep(v, s) for v in orders for s in shares] + [keep(-v, 1 - s) for v in orders for s in shares]
    made: list[float] = [0.0] * len(keeps)
    for batch in batches([k.count for k in keeps], BATCH_TOKENS):
        if check:
            check()
        for i, e in zip(batch, encoder.encode_many([tokens] * len(batch), [keeps[i] for i in batch]), strict=True):
            made[i] = held(trace, e)
    both = np.array(made).reshape(2, len(orders), len(shares))
    return dict(zip(WAYS, both, strict=True))


def quantity(trace: Trace) -> str:
    """What is followed: the label's probability, or the cosine to the full run where there are no classes."""
    return "cosine" if trace.classes is None else "probability"


def held(trace: Trace, made: Encoding) -> float:
    """That quantity for one encoding."""
    if trace.classes is None:
        return float(cosine(trace.reference.pooled, made.pooled))
    return float(probabilities(made.logits)[trace.classes.index(trace.report.label)])


def area(curve: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Mean height of curves (..., shares) between the first and the last share."""
    return integrate.trapezoid(curve, shares, axis=-1) / (shares[-1] - shares[0])


def _areas(curves: dict[str, dict[str, np.ndarray]], way: str, shares: Sequence[float]) -> dict[str, Any]:
    found = {name: area(c[way], shares) for name, c in curves.items()}
    out: dict[str, Any] = {"map": round(float(found.pop("map")[0]), 6)}
    for name, draws in found.items():
        interval = prediction(draws)
        out[name] = {"mean": round(interval.mean, 6), "interval": [round(x, 6) for x in interval.ends]}
    return out


def prediction(draws: np.ndarray, level: float = LEVEL) -> Interval:
    """Where one more draw would lie, from a few, by Student's t."""
    half = stats.t.ppf(0.5 + level / 2, len(draws) - 1) * draws.std(ddof=1) * np.sqrt(1 + 1 / len(draws))
    return Interval(float(draws.mean()), float(draws.mean() - half), float(draws.mean() + half))


def verdict_of(areas: dict[str, Any]) -> dict[str, dict[str, str]]:
    """For each curve and each kind of chance a word; insertion should rise above chance, deletion fall below it."""
    out: dict[str, dict[str, str]] = {}
    for way, sign in (("insertion", 1), ("deletion", -1)):
        for chance in ("random", "shuffled"):
            low, high = areas[way][chance]["interval"]
            above, below = areas[way]["map"] > high, areas[way]["map"] < low
            good, bad = (above, below) if sign > 0 else (below, above)
            out.setdefault(way, {})[chance] = BETTER if good else WORSE if bad else LEVEL_WITH
    return out


def warning_of(verdict: dict[str, dict[str, str]], unit: str) -> str | None:
    """A plain sentence where the map keeps the answer no better than a random order does; else None."""
    word = verdict["insertion"]["random"]
    if word == BETTER:
        return None
    how = "worse than" if word == WORSE else "no better than"
    return (
        f"On this clip the map ({unit}) is {how} random: keeping its best tokens first holds the answer {how} keeping "
        "tokens at random. Do not read it as an explanation."
    )


def dumps(found: dict[str, Any]) -> str:
    """The result as JSON, keys sorted."""
    return json.dumps(found, indent=1, sort_keys=True, allow_nan=False) + "\n"


def text(found: dict[str, Any]) -> str:
    """The result in a few lines."""
    what = found["label"] or "the full feature"
    lines = [f"{found['plan']} on {what}: {found['of']} {found['full']:.3f} with all tokens"]
    for way, better in (("insertion", "higher is truer"), ("deletion", "lower is truer")):
        areas, verdict = found["areas"][way], found["verdict"][way]
        parts = [f"{way}: area {areas['map']:.3f} ({better})"]
        for chance in ("random", "shuffled"):
            low, high = areas[chance]["interval"]
            parts.append(f"{chance} {areas[chance]['mean']:.3f} [{low:.3f}, {high:.3f}], {verdict[chance]}")
        lines.append("; ".join(parts))
    return "\n".join(lines + ([found["warning"]] if found["warning"] else []))
