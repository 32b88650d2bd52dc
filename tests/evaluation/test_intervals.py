"""Intervals and tests against scipy and published values; coverage where there is no closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from patchlens.evaluation.intervals import (
    FAILS,
    HOLDS,
    UNDECIDED,
    Interval,
    above,
    bootstrap,
    joint,
    mcnemar,
    mean_interval,
    paired,
    resampled_means,
    wilson,
    words,
)
from scipy import stats


@given(st.integers(1, 500), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_is_scipys(trials, share, level):
    successes = round(share * trials)
    mine = wilson(successes, trials, level)
    theirs = stats.binomtest(successes, trials).proportion_ci(level, "wilson")
    low, high = mine
    assert mine.mean == successes / trials and [low, high] == mine.ends
    assert np.allclose(mine.ends, [theirs.low, theirs.high], atol=1e-12)


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (3, 2), (-1, 4)])
def test_no_rate_is_refused(successes, trials):
    with pytest.raises(ValueError, match="are no rate"):
        wilson(successes, trials)


def test_bootstrap_is_seeded_and_agrees_with_scipys():
    values = np.random.default_rng(5).gamma(2.0, 1.0, 200)
    mine = bootstrap(values, resamples=4000)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    assert mine == bootstrap(values, resamples=4000) != bootstrap(values, resamples=4000, seed=1)
    assert np.allclose(mine.ends, [theirs.low, theirs.high], atol=0.03) and mine.mean == values.mean()


def test_bootstrap_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    inside = [bootstrap(rng.exponential(1.0, 120), resamples=400, seed=i) for i in range(300)]
    assert 0.9 <= np.mean([found.low <= 1 <= found.high for found in inside]) <= 0.98


def test_columns_of_the_same_clips_stay_paired():
    a = np.random.default_rng(2).random((50, 1))
    both = resampled_means(np.hstack([a, a + 3]), 100, seed=4)
    assert np.allclose(both[:, 1] - both[:, 0], 3)
    assert np.allclose(both[:, :1], resampled_means(a, 100, seed=4), atol=1e-12)


def test_blocks_do_not_change_the_draws(monkeypatch):
    from patchlens.evaluation import intervals

    values = np.arange(40.0)[:, None]
    whole = resampled_means(values, 30)
    monkeypatch.setattr(intervals, "_KEPT", 80)  # two resamples at a time
    assert np.allclose(whole, resampled_means(values, 30), atol=1e-12)


@pytest.mark.parametrize("values", [[1.0] * 100, [0.0] * 100, [1.0, 0.0] * 10])
def test_few_or_equal_rates_get_wilsons_interval(values):
    assert mean_interval(np.array(values)) == wilson(int(sum(values)), len(values))


def test_a_mean_that_is_no_rate_is_bootstrapped():
    values = np.array([0.0, 1 / 3, 1.0] * 5)
    assert mean_interval(values) == bootstrap(values)


def test_pairing_tightens_the_interval():
    rng = np.random.default_rng(3)
    hard = rng.normal(0, 1, 300)
    first, second = hard + 0.05, hard + rng.normal(0, 0.02, 300)
    found = paired(first, second)
    assert found.low > 0.04 and above(found) == HOLDS
    with pytest.raises(ValueError, match="same clips; there are 300 and 299"):
        paired(first, second[1:])


def test_a_difference_of_few_clips_is_students():
    first, second = np.random.default_rng(8).normal(0, 1, (2, 9))
    found, theirs = paired(first, second), stats.ttest_rel(first, second).confidence_interval(0.95)
    assert np.allclose(found.ends, [theirs.low, theirs.high]) and found.mean == (first - second).mean()
    few = np.random.default_rng(9).normal(1, 1, (400, 5))
    student, resampled = ([f.low <= 1 <= f.high for f in made] for made in (
        [paired(x, np.zeros(5)) for x in few], [bootstrap(x, resamples=200) for x in few]))  # fmt: skip
    assert np.mean(student) > 0.92 > 0.87 > np.mean(resampled)


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [(0, 0, 1.0), (5, 5, 1.0), (10, 0, 2 / 2**10), (1, 9, 22 / 2**10), (6, 16, None)],
)
def test_mcnemar_is_the_exact_binomial(only_first, only_second, p):
    first = np.array([True] * only_first + [False] * only_second + [True] * 7 + [False] * 3)
    second = np.array([False] * only_first + [True] * only_second + [True] * 7 + [False] * 3)
    if p is None:
        p = stats.binomtest(only_first, only_first + only_second).pvalue
    assert mcnemar(first, second) == pytest.approx(p) == mcnemar(second, first)


def test_verdicts_follow_the_interval():
    up, down, wide = Interval(1, 0.5, 2), Interval(-1, -2, -0.5), Interval(0.1, -1, 1)
    assert [above(x) for x in (up, down, wide)] == [HOLDS, FAILS, UNDECIDED]
    assert [words(x) for x in (up, down, wide)] == ["better", "worse", "level"]
    assert above(up, 0.7) == UNDECIDED
    assert joint([HOLDS, HOLDS]) == HOLDS and joint([HOLDS, UNDECIDED]) == UNDECIDED == joint([])
    assert joint([UNDECIDED, FAILS, HOLDS]) == FAILS
    assert up.percent(signed=True) == "+100.0 [+50.0, +200.0]"
