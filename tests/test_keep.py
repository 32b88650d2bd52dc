"""Rules and their interpreter: exact counts, ties by a seeded hash, chains, first frames, run lengths."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toys
from hypothesis import given
from hypothesis import strategies as st
from patchlens.keep import (
    All,
    Strided,
    Threshold,
    TopK,
    TopKPerFrame,
    best,
    budget,
    decide,
    keep_of,
    ranking,
    rule_json,
    run_lengths,
    tie_hash,
)
from patchlens.types import Grid, Scores

shares = st.floats(0.01, 1.0)
seeds = st.integers(0, 2**40)


@st.composite
def problems(draw) -> tuple[Scores, Grid]:
    """Scores with many ties and infinities on a small grid."""
    grid = Grid(draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(1, 5)), 1, 1)
    values = st.sampled_from([0.0, -0.0, 0.5, 1.0, float("inf"), float("-inf"), 0.1])
    pick = st.lists(values, min_size=grid.n, max_size=grid.n)
    return toys.scores(draw(pick), draw(st.none() | pick)), grid


BUDGETS = [
    (0.29, 100, 29, "0.29*100 is 28.999999999999996 in binary"),
    (0.57, 100, 57, "0.57*100 is 56.99999999999999"),
    (0.15, 196, 29, "29.4 falls to 29"),
    (0.5, 1568, 784, "LITE's half"),
    (0.7, 1568, 1097, "LITE's 1097.6 falls"),
    (0.9, 1568, 1411, "LITE's 1411.2 falls"),
    (0.3, 1568, 470, "LITE's 470.4 falls"),
    (0.01, 15, 1, "never none"),
    (1.0, 7, 7, "all"),
    (0.999999, 1000, 999, "the round-off that is undone is not the next number"),
]


@pytest.mark.parametrize(("keep", "count", "k", "why"), BUDGETS, ids=[b[-1] for b in BUDGETS])
def test_the_budget_is_the_floor(keep, count, k, why):
    assert budget(keep, count) == k


@given(problems(), shares, seeds)
def test_top_k_keeps_exactly_k_and_nothing_better_is_dropped(problem, keep, seed):
    scores, grid = problem
    mask = decide(scores, TopK(keep), grid, seed)
    assert mask.sum() == budget(keep, grid.n), "exact K wins over +inf"
    values = scores.values.numpy()
    if not mask.all():
        assert values[mask].min() >= values[~mask].max()
    if scores.fine is not None and not mask.all():
        fine, edge = scores.fine.numpy(), values[mask].min()
        tied = values == edge
        if (tied & ~mask).any():
            assert fine[tied & mask].min() >= fine[tied & ~mask].max(), "ties fall to the finer value"


@given(problems(), shares, seeds)
def test_top_k_per_frame_keeps_exactly_k_of_every_frame(problem, keep, seed):
    scores, grid = problem
    mask = decide(scores, TopKPerFrame(keep), grid, seed).reshape(grid.t, -1)
    assert (mask.sum(1) == budget(keep, grid.per_frame)).all()
    for here, values in zip(mask, scores.values.numpy().reshape(grid.t, -1), strict=True):
        assert here.all() or values[here].min() >= values[~here].max()


@given(problems(), shares, shares, seeds, st.sampled_from([TopK, TopKPerFrame]), st.booleans())
def test_a_larger_budget_keeps_a_superset(problem, one, two, seed, rule, per_frame):
    scores, grid = problem
    few, many = (keep_of([(scores, rule(k))], grid, seed, per_frame).mask for k in sorted((one, two)))
    assert not (few & ~many).any()


@given(problems(), st.floats(-1, 2), st.floats(-1, 2), seeds, st.booleans())
def test_a_lower_threshold_keeps_a_superset(problem, one, two, seed, per_frame):
    scores, grid = problem
    low, high = sorted((one, two))
    few, many = (keep_of([(scores, Threshold(x))], grid, seed, per_frame).mask for x in (high, low))
    assert not (few & ~many).any()


def test_a_threshold_is_strict_in_float32():
    grid, tau = Grid(1, 1, 4, 1, 1), 0.1
    at = np.float32(tau)  # 0.1 in float32 lies above 0.1 in float64: only a float32 comparison is strict here
    scores = toys.scores([at, np.nextafter(at, np.float32(1)), np.nextafter(at, np.float32(0)), np.inf])
    assert decide(scores, Threshold(tau), grid).tolist() == [False, True, False, True]


def test_a_threshold_that_nothing_passes_keeps_the_best_one():
    assert decide(toys.scores([0.1, 0.4, 0.3]), Threshold(9.0), Grid(1, 1, 3, 1, 1)).tolist() == [
        False,
        True,
        False,
    ]


@given(problems())
def test_all_keeps_all(problem):
    scores, grid = problem
    assert decide(scores, All(), grid).all()


@given(st.integers(1, 400), shares)
def test_strided_spreads_exactly_k_numbers_from_the_first_to_the_last(n, keep):
    grid = Grid(1, 1, n, 1, 1)
    found = np.flatnonzero(decide(toys.scores([0.0] * n), Strided(keep), grid))
    k = budget(keep, n)
    assert found.tolist() == [0 if k == 1 else i * (n - 1) // (k - 1) for i in range(k)]
    assert len(set(found)) == k
    if k > 1:
        assert found[-1] == n - 1 and np.diff(found).max() - np.diff(found).min() <= 1


def test_strided_per_frame_is_the_same_set_in_every_frame():
    grid = Grid(3, 2, 5, 1, 1)
    mask = decide(toys.scores([0.0] * 30), Strided(0.3, per_frame=True), grid).reshape(3, 10)
    assert mask.tolist() == [[n in (0, 4, 9) for n in range(10)]] * 3


# --- Ties ---


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 1, 123456789])
def test_the_tie_hash_gives_every_token_another_number_all_over_the_range(seed):
    found = tie_hash(1 << 18, seed)
    assert len(np.unique(found)) == len(found), (
        "a bijection: both multipliers are odd, x ^ x >> s is one-to-one"
    )
    spread = np.histogram(found, bins=64, range=(0, 2**32))[0] * 64 / len(found)
    assert spread.min() > 0.9 and spread.max() < 1.1


def test_the_finaliser_is_murmur_hash_3s():
    """fmix32 of a few numbers, worked out with Python integers; token 0 hashes the seed alone."""

    def fmix32(h: int) -> int:
        h ^= h >> 16
        h = h * 0x85EBCA6B & 0xFFFFFFFF
        h ^= h >> 13
        h = h * 0xC2B2AE35 & 0xFFFFFFFF
        return h ^ h >> 16

    for seed in (0, 1, 0xDEADBEEF):
        expected = [fmix32((n * 0x9E3779B1 + seed) & 0xFFFFFFFF) for n in range(5)]
        assert tie_hash(5, seed).tolist() == expected


def test_ties_never_fall_to_the_order_of_tokens():
    """Over 400 seeds each of 60 equal tokens is kept about half the time, first, middle or last."""
    grid, equal = Grid(4, 3, 5, 1, 1), toys.scores([0.0] * 60)
    share = np.mean([decide(equal, TopK(0.5), grid, seed) for seed in range(400)], axis=0)
    assert share.min() > 0.38 and share.max() < 0.62, "four standard deviations are 0.1"
    first = np.mean([decide(equal, TopK(0.5), grid, seed)[:30].mean() for seed in range(400)])
    assert abs(first - 0.5) < 0.02, "the first half of the tokens is not favoured"


def test_ties_within_one_draw_are_not_ordered():
    grid = Grid(8, 14, 14, 1, 1)
    order = ranking(toys.scores([0.0] * grid.n), seed=0)
    assert abs(np.corrcoef(np.arange(grid.n), order)[0, 1]) < 0.08


def test_seeds_break_ties_differently_and_the_same_seed_the_same_way():
    grid, equal = Grid(4, 3, 5, 1, 1), toys.scores([0.0] * 60)
    masks = {decide(equal, TopK(0.5), grid, seed).tobytes() for seed in range(50)}
    assert len(masks) == 50
    assert (decide(equal, TopK(0.5), grid, 3) == decide(equal, TopK(0.5), grid, 3)).all()


def test_minus_zero_ties_with_zero():
    order = ranking(toys.scores([0.0, -0.0] * 500), seed=1)
    assert 200 < np.count_nonzero(order[:500] % 2) < 300, "neither sign of zero ranks first"


# --- Chains and first frames ---


@given(problems(), shares, shares, seeds)
def test_each_stage_chooses_among_what_the_one_before_left(problem, one, two, seed):
    scores, grid = problem
    other = Scores(torch.rand(grid.n), "noise")
    first = keep_of([(scores, TopK(one))], grid, seed).mask
    both = keep_of([(scores, TopK(one)), (other, TopK(two))], grid, seed).mask
    assert not (both & ~first).any()
    assert int(both.sum()) == budget(two, budget(one, grid.n)), (
        "a later keep ratio is a share of what is left"
    )
    left = other.values[first]
    assert both[first].all() or left[both[first]].min() >= left[~both[first]].max()


def test_a_chain_has_no_run_lengths():
    grid = Grid(3, 1, 2, 1, 1)
    rlt = (toys.scores([np.inf, np.inf, 0, 0, 0, 0]), Threshold(0.1, runs=True))
    assert keep_of([rlt], grid).run_length.tolist() == [3, 3, 0, 0, 0, 0]
    assert keep_of([rlt, (toys.scores([0.0] * 6), TopK(0.5))], grid).run_length is None


@given(problems(), shares, seeds)
def test_the_first_frame_of_a_frame_encoder_is_never_empty(problem, keep, seed):
    scores, grid = problem
    plain = keep_of([(scores, TopK(keep))], grid, seed)
    filled = keep_of([(scores, TopK(keep))], grid, seed, per_frame=True)
    assert filled.per_frame[0] >= 1 and filled.count == plain.count, "in exchange for another: K stays"
    if plain.per_frame[0]:
        assert torch.equal(plain.mask, filled.mask)
    else:
        order = ranking(scores, seed)
        best_first = next(n for n in order if n < grid.per_frame)
        worst_kept = [n for n in order if plain.mask[n]][-1]
        changed = (plain.mask != filled.mask).nonzero().squeeze(1).tolist()
        assert sorted(changed) == sorted([int(best_first), int(worst_kept)])


def test_later_stages_keep_the_first_frame_too():
    grid = Grid(2, 1, 3, 1, 1)
    stages = [(toys.scores([0, 1, 0, 5, 6, 7]), TopK(0.7)), (toys.scores([0, 0, 0, 5, 6, 7]), TopK(0.5))]
    assert keep_of(stages, grid, per_frame=True).mask.tolist() == [False, True, False, False, False, True]


def test_no_stage_keeps_all():
    assert keep_of([], Grid(2, 2, 2, 1, 1)).count == 8


# --- Run lengths ---

RUNS = [
    (
        (4, 1, 2),
        [1, 1, 0, 0, 0, 0, 1, 0],
        [3, 4, 0, 0, 0, 0, 1, 0],
        "the released code gives [3, 1, 4]: (y, x, t) order",
    ),
    ((3, 1, 1), [1, 1, 1], [1, 1, 1], "nothing is dropped"),
    ((3, 1, 1), [1, 0, 0], [3, 0, 0], "all but the first"),
    ((1, 2, 2), [1, 1, 1, 1], [1, 1, 1, 1], "one tubelet"),
]


@pytest.mark.parametrize(("shape", "mask", "lengths", "why"), RUNS, ids=[r[-1] for r in RUNS])
def test_run_lengths_follow_the_order_of_tokens(shape, mask, lengths, why):
    assert run_lengths(np.array(mask, bool), Grid(*shape, 1, 1)).tolist() == lengths


@given(problems(), st.floats(-0.5, 1.5))
def test_run_lengths_sum_to_t_at_each_place(problem, tau):
    scores, grid = problem
    values = scores.values.clone()
    values[: grid.per_frame] = torch.inf
    keep = keep_of([(Scores(values, "x"), Threshold(tau, runs=True))], grid)
    lengths = grid.volume(keep.run_length)
    assert (lengths.sum(0) == grid.t).all()
    assert torch.equal(keep.run_length > 0, keep.mask)
    for t, y, x in keep.mask.reshape(grid.t, grid.h, grid.w).nonzero().tolist():
        later = keep.mask.reshape(grid.t, grid.h, grid.w)[t + 1 :, y, x].nonzero()
        assert lengths[t, y, x] == (int(later[0]) + 1 if len(later) else grid.t - t)


def test_rules_travel_as_plain_data():
    rules = {
        All(): {"kind": "all"},
        TopK(0.5): {"kind": "topk", "keep": 0.5},
        TopKPerFrame(0.25): {"kind": "topk_per_frame", "keep": 0.25},
        Strided(0.5, True): {"kind": "strided", "keep": 0.5, "per_frame": True},
        Threshold(0.1, True): {"kind": "threshold", "tau": 0.1, "runs": True, "weighted": False},
    }
    assert all(rule_json(rule) == data for rule, data in rules.items())
    assert best(0.5, "frame") == TopKPerFrame(0.5) and best(0.5, "clip") == TopK(0.5)
