"""Figures of faithfulness, each worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from patchlens.metrics import cosine, kl_divergence, probabilities, report, top
from patchlens.types import Cost, Encoding

FULL, REDUCED = torch.tensor([math.log(6), 0.0, 0.0]), torch.tensor([0.0, 0.0, math.log(3)])
P, Q = [0.75, 0.125, 0.125], [0.2, 0.2, 0.6]
CLASSES = ("a", "b", "c")


def encoding(
    pooled: list[float], logits: torch.Tensor | None = None, frames: list[list[float]] | None = None
) -> Encoding:
    return Encoding(
        torch.zeros(1, 2), torch.tensor(pooled), None if frames is None else torch.tensor(frames), logits
    )


def test_probabilities_and_kl_by_hand():
    assert probabilities(FULL).tolist() == pytest.approx(P)
    assert probabilities(REDUCED).tolist() == pytest.approx(Q)
    by_hand = sum(p * math.log(p / q) for p, q in zip(P, Q, strict=True))
    assert kl_divergence(FULL, REDUCED) == pytest.approx(by_hand, rel=1e-6)
    assert kl_divergence(REDUCED, FULL) != pytest.approx(by_hand, rel=0.01), (
        "not symmetric: the full run comes first"
    )
    assert kl_divergence(FULL, FULL) == 0.0


def test_kl_of_far_away_logits_is_finite():
    assert math.isfinite(kl_divergence(torch.tensor([0.0, 900.0]), torch.tensor([900.0, 0.0])))


def test_cosine_of_equal_vectors_is_exactly_one_to_print():
    for seed in range(20):
        x = torch.randn(384, generator=torch.Generator().manual_seed(seed))
        assert f"{float(cosine(x, x)):.12f}" == "1.000000000000"
    assert float(cosine(torch.tensor([1.0, 0.0]), torch.tensor([-3.0, 0.0]))) == -1


def test_the_best_classes_fall():
    best = top(REDUCED, CLASSES, 2)
    assert [b["label"] for b in best] == ["c", "a"], "ties in the order of the classes"
    assert [b["probability"] for b in best] == pytest.approx([0.6, 0.2])


def made(label: int | None = None, classes: tuple[str, ...] | None = CLASSES, **options):
    full, reduced = encoding([1.0, 0.0], FULL, **options), encoding([1.0, 1.0], REDUCED, **options)
    costs = (Cost(10, 2), Cost(3, 1))
    return report(full, reduced, tokens=(8, 2), costs=costs, selector_gmacs=0.5, classes=classes, label=label)


def test_a_report_by_hand():
    r = made()
    assert (r.tokens_total, r.tokens_kept, r.keep_ratio) == (8, 2, 0.25)
    assert r.cosine == pytest.approx(2**-0.5)
    assert r.saved == pytest.approx(1 - (4 + 0.5) / 12)
    assert r.top1_same is False and r.label == "a", "without a label, the class that the full run names"
    assert r.label_probability == pytest.approx((0.75, 0.2))
    assert r.kl == pytest.approx(sum(p * math.log(p / q) for p, q in zip(P, Q, strict=True)))


def test_a_label_chooses_whose_probability_is_told():
    assert made(2).label == "c" and made(2).label_probability == pytest.approx((0.125, 0.6))


def test_without_classes_there_is_no_answer_to_compare():
    r = made(classes=None)
    assert (r.top1_same, r.kl, r.label, r.label_probability, r.frame_cosine) == (None,) * 5


def test_frames_are_compared_one_by_one():
    full = encoding([1.0, 0.0], None, [[1.0, 0.0], [0.0, 2.0]])
    reduced = encoding([1.0, 0.0], None, [[5.0, 0.0], [1.0, 1.0]])
    r = report(full, reduced, tokens=(4, 2), costs=(Cost(1), Cost(1)), selector_gmacs=0)
    assert r.frame_cosine == pytest.approx((1.0, 2**-0.5))
