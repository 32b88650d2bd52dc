"""The five principles on planted cases, whose verdicts are known, and once through on a toy."""

from __future__ import annotations

import json

import numpy as np
import pytest
import toys
from patchlens.evaluation import findings
from patchlens.evaluation.budgets import contender
from patchlens.evaluation.difficulty import difficulty_slope
from patchlens.evaluation.distribution import gini, lognormal, lorenz, power_law, tail_of, tail_start, top_share
from patchlens.evaluation.intervals import FAILS, HOLDS, UNDECIDED
from patchlens.evaluation.job import Table
from patchlens.evaluation.measure import MEASURED, Variant
from patchlens.evaluation.multiview import Views
from patchlens.evaluation.overlap import recall, spearman
from patchlens.evaluation.principles import dumps, markdown, principles, text
from toy_sets import toy_set

CLASSES = [f"class {i}" for i in range(16)]


def planted(right: dict[tuple[str, float], float], full: float = 0.8, n: int = 640, **extra: np.ndarray) -> Table:
    """A table in which a run named (selector, budget) is right at the given rate, independently of the others."""
    rng = np.random.default_rng(0)

    def run(rate: float) -> np.ndarray:
        measured = np.zeros(n, MEASURED)
        measured["right"] = rng.random(n) < rate
        return measured

    runs = {Variant(contender(name), budget, budget, 0): run(rate) for (name, budget), rate in right.items()}
    labels = [CLASSES[i % 16] for i in range(n)]
    return Table([str(i) for i in range(n)], labels, [{} for _ in range(n)], run(full), runs, Views(), extra)


@pytest.mark.parametrize(
    ("motion", "saliency", "center", "verdict"),
    [(0.5, 0.5, 0.5, HOLDS), (0.8, 0.8, 0.8, FAILS), (0.62, 0.62, 0.62, UNDECIDED), (0.5, 0.5, 0.8, HOLDS)],
)
def test_random_is_better_only_where_most_cues_are_no_better(motion, saliency, center, verdict):
    n = 64 if verdict == UNDECIDED else 640
    rates = {"random": 0.6, "motion": motion, "saliency": saliency, "center": center, "foreground": 0.99}
    table = planted({(name, b): rate for name, rate in rates.items() for b in (0.3, 0.5)}, n=n)
    found = findings.random_is_better(table, ["motion", "saliency", "center", "foreground"], ["foreground"])
    assert found.verdict == verdict and found.figures["counted"] == 3
    assert found.figures["difference_to_random"]["foreground"]["word"] == "better"  # shown, not counted


@pytest.mark.parametrize(("level", "verdict"), [(0.32, HOLDS), (0.6, FAILS), (0.475, UNDECIDED)])
def test_a_cue_coincides_when_it_finds_the_oracles_tokens(level, verdict):
    overlap = np.random.default_rng(0).normal(level, 0.1, (200, 1, 3))
    found = findings.cues_miss_the_oracle(planted({}, n=200, overlap=overlap), ["motion"])
    assert found.verdict == verdict
    assert found.figures["cues"]["motion"]["recall"]["0.3"]["mean"] == pytest.approx(level, abs=0.03)


@pytest.mark.parametrize(("true", "told", "leak"), [(0.9, 0.78, HOLDS), (0.6, 0.6, FAILS), (0.8, 0.8, UNDECIDED)])
def test_the_oracle_must_beat_all_tokens(true, told, leak):
    rates = {("oracle", b): true for b in (0.3, 0.5)} | {("oracle:label=predicted", b): told for b in (0.3, 0.5)}
    found = findings.low_value_tokens_hurt(planted(rates), "oracle", "oracle:label=predicted")
    assert found.verdict == leak and found.figures["predicted_label"]["verdict"] in (FAILS, UNDECIDED)
    assert found.figures["label_leak"]["0.3"]["mean"] == pytest.approx(true - told, abs=0.08)


def test_difficulty_slope_finds_a_planted_slope_and_no_other():
    rng = np.random.default_rng(1)
    classes, masks = np.arange(4000) % 20, [np.arange(4000) % 20 == c for c in range(20)]
    accuracy = np.linspace(0.4, 0.95, 20)[classes]
    full = (rng.random(4000) < accuracy).astype(float)
    harder = full - (rng.random(4000) < accuracy - 0.4 * (1 - accuracy))  # hard classes lose more
    assert difficulty_slope(full, harder, masks, draws=200).low > 0.1
    same = full - (rng.random(4000) < accuracy - 0.1)  # every class loses ten points
    found = difficulty_slope(full, same, masks, draws=200)
    assert found.low < 0 < found.high
    with pytest.raises(ValueError, match="three of at least 4 clips"):
        difficulty_slope(full, same, masks[:2])


def test_luck_is_not_taken_for_ease():
    """On the same clips luck in the full run alone would give a slope near -1: the drop holds what the difficulty lacks."""
    rng = np.random.default_rng(2)
    full, random = ((rng.random(1600) < 0.7).astype(float) for _ in range(2))  # all classes alike
    masks = [np.arange(1600) % 80 == c for c in range(80)]
    difficulty = np.array([1 - full[m].mean() for m in masks])
    drop = np.array([(full - random)[m].mean() for m in masks])
    assert np.polyfit(difficulty, drop, 1)[0] < -0.5
    assert abs(difficulty_slope(full, full - random, masks, draws=100).mean) < 0.3


def test_easy_needs_less_wants_labels():
    table = planted({("random", 0.3): 0.5})
    assert findings.easy_needs_less(table).verdict == UNDECIDED


def test_easy_needs_less_says_how_far_the_classes_lie_apart():
    table = planted({("random", 0.5): 0.7})
    accuracy = [100 * table.full["right"][i::16].mean() for i in range(16)]
    found = findings.easy_needs_less(table)
    assert f"(classes: {min(accuracy):.1f} to {max(accuracy):.1f} %)" in found.text and "slope" in found.figures


def test_inequality_has_its_known_values():
    assert (
        gini(np.ones(50)) == pytest.approx(0) and gini(np.eye(50)[0]) == pytest.approx(0.98) and gini(np.zeros(5)) == 0
    )
    uniform = (np.arange(10_000) + 0.5) / 10_000
    assert gini(uniform) == pytest.approx(1 / 3, abs=1e-3) and top_share(uniform) == pytest.approx(0.36, abs=1e-3)
    assert np.allclose(lorenz(uniform), np.linspace(0, 1, 21) ** 2, atol=1e-3)
    pareto = (1 - uniform) ** -(1 / 1.16)  # the 80/20 rule's own exponent, cut off where the sample ends
    assert 0.7 < top_share(pareto) < 0.82


def clips(draw, count=60, n=500):
    rng = np.random.default_rng(7)
    return [draw(rng, n) for _ in range(count)]


@pytest.mark.parametrize(
    ("draw", "verdict"),
    [
        (lambda rng, n: 1 + rng.pareto(1.5, n), HOLDS),
        (lambda rng, n: rng.exponential(1.0, n), FAILS),
        (lambda rng, n: rng.lognormal(0.0, 1.0, n), FAILS),
    ],
)
def test_a_planted_distribution_is_recognised(draw, verdict):
    tail = tail_of(clips(draw))
    assert findings.power_law_verdict(tail) == verdict
    if verdict == HOLDS:
        assert tail.fits["power law"]["alpha"] == pytest.approx(2.5, abs=0.1)


def test_fits_agree_with_the_powerlaw_package():
    powerlaw = pytest.importorskip("powerlaw", reason="the package powerlaw is not installed")
    x = np.random.default_rng(3).lognormal(0.5, 0.9, 3000)
    theirs = powerlaw.Fit(x, xmin=1.0, verbose=False)
    tail = x[x >= 1.0]
    assert power_law(tail, 1.0).parameters["alpha"] == pytest.approx(theirs.power_law.alpha, abs=1e-6)
    mine = lognormal(tail, 1.0)
    assert mine.likelihood.sum() >= theirs.lognormal.loglikelihoods(tail).sum() - 0.5
    ratio = power_law(tail, 1.0).likelihood.sum() - mine.likelihood.sum()
    assert ratio == pytest.approx(theirs.distribution_compare("power_law", "lognormal")[0], rel=0.02, abs=1)


def test_the_tail_starts_where_the_power_law_does():
    rng = np.random.default_rng(4)
    values = np.concatenate([rng.uniform(0, 2, 5000), 2 * (1 + rng.pareto(2.0, 5000))])
    assert tail_start(values) == pytest.approx(2.0, abs=0.3)
    with pytest.raises(ValueError, match="cannot be fitted to 3 positive values"):
        tail_start(np.array([0.0, 1.0, 2.0, 3.0]))


def test_few_carry_most_and_the_cliff():
    values = np.float32(np.concatenate(clips(lambda rng, n: 1 + rng.pareto(1.1, n), 100, 256)))
    rates = {("random", 0.1): 0.2, ("random", 0.3): 0.7}
    table = planted(rates, n=100, values=values, lengths=np.full(100, 256))
    found = findings.value_is_pareto(table)
    assert found.verdict == HOLDS == found.figures["random_cliff"]["verdict"]
    assert sum(found.figures["histogram"]) == 25_600 and found.figures["lorenz"][-1] == 1.0
    level = planted(
        rates | {("random", 0.1): 0.69}, n=100, values=np.ones(25_600, np.float32), lengths=np.full(100, 256)
    )
    found = findings.value_is_pareto(level)
    assert found.figures["few_carry_most"] == FAILS and found.verdict == FAILS


def test_agreement_of_a_cue_with_the_oracle():
    truth = np.array([3.0, 2.0, 1.0, 0.0])
    assert spearman(np.array([9.0, 8.0, 7.0, -1.0]), truth) == pytest.approx(1)
    assert spearman(np.array([np.inf, 1.0, 1.0, 0.0]), truth) > 0.9 and spearman(np.ones(4), truth) == 0
    assert recall(np.array([True, False, False, True]), np.array([0, 1, 2, 3])) == 0.5


def test_all_five_run_on_a_toy(tmp_path):
    options = dict(cues=["saliency", "uniform", "foreground"], budgets=[0.1, 0.3, 0.5], limit=24, seeds=2)
    result = principles(toys.space_time(), toy_set(30), resume=tmp_path / "parts", **options)
    assert [f["number"] for f in result["principles"]] == [1, 2, 3, 4, 5] and result["n"] == 24
    assert {f["verdict"] for f in result["principles"]} <= {HOLDS, FAILS, UNDECIDED}
    assert result == json.loads(dumps(result)) and "HOLDS" in text(result).upper()
    five, rows = markdown(result).split("\n\n")
    assert five.count("\n") == 6 and rows.count("\n") == 1 + len(result["rows"])
    chance = result["principles"][1]["figures"]["cues"]["uniform"]["recall"]["0.3"]["mean"]
    assert chance == pytest.approx(0.3, abs=0.1)
    bare = toy_set(24)
    object.__setattr__(bare, "offers", frozenset())
    again = principles(toys.space_time(), bare, **options)
    assert any("foreground was left out" in n for n in again["notes"])
    with pytest.raises(ValueError, match="needs gradients and logits|needs logits"):
        principles(toys.frame_cls(classes=None), toy_set(3))
