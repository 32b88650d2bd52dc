"""How faithful a reduced encoding is to the full one, and what a set of logits says."""

from __future__ import annotations

from typing import Any

from patchlens.lazy import torch
from patchlens.types import Cost, Encoding, Report


def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Cosine along the last axis, in float64 so that equal vectors give exactly 1 to print."""
    return torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=-1).clamp(-1, 1)


def probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Softmax in float64, (C,)."""
    return logits.double().softmax(-1)


def kl_divergence(full: torch.Tensor, reduced: torch.Tensor) -> float:
    """KL(full || reduced) of two sets of logits (C,), in nats."""
    p, q = (x.double().log_softmax(-1) for x in (full, reduced))
    return max(0.0, float((p.exp() * (p - q)).sum()))


def top(logits: torch.Tensor, classes: tuple[str, ...], count: int = 5) -> list[dict[str, Any]]:
    """The best classes: [{"label", "probability"}], falling."""
    p = probabilities(logits)
    best = p.argsort(descending=True, stable=True)[:count].tolist()
    return [{"label": classes[i], "probability": float(p[i])} for i in best]


def report(
    full: Encoding,
    reduced: Encoding,
    *,
    tokens: tuple[int, int],
    costs: tuple[Cost, Cost],
    selector_gmacs: float,
    classes: tuple[str, ...] | None = None,
    label: int | None = None,
) -> Report:
    """Compare a reduced run with the full one; tokens are (total, kept), costs (full, reduced).

    Without a label, the class that the full run names stands in for it.
    """
    facts: dict[str, Any] = {}
    if full.logits is not None and classes:
        shown = int(full.logits.argmax()) if label is None else label
        pair = tuple(float(probabilities(e.logits)[shown]) for e in (full, reduced))
        facts = {
            "top1_same": bool(full.logits.argmax() == reduced.logits.argmax()),
            "kl": kl_divergence(full.logits, reduced.logits),
            "label": classes[shown],
            "label_given": label is not None,
            "label_probability": pair,
        }
    if full.frames is not None:
        facts["frame_cosine"] = tuple(cosine(full.frames, reduced.frames).tolist())
    facts["tokens_left"] = len(reduced.tokens)
    return Report(*tokens, *costs, selector_gmacs, float(cosine(full.pooled, reduced.pooled)), **facts)
