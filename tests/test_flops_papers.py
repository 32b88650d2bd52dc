"""Closed-form costs reproduce the papers' figures: VideoMAE, LITE, TimeSformer, CLIP, ResidualViT, RLT.

GMACs throughout; papers differ in whether they count LayerNorms and the attention products.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from patchlens import flops
from patchlens.encoders.catalog import CATALOG
from patchlens.encoders.vit import ViTConfig
from patchlens.flops import interleave_cost, mlp_cost, norm_gmacs, vit_cost
from patchlens.types import Cost

VIDEO = replace(CATALOG["videomae-base"], outputs=174)
TIMESFORMER = ViTConfig(768, 12, 12, 3072, (8, 14, 14), 16, prefix=1, outputs=174)
L14, B16, B32 = (CATALOG[name] for name in ("ViT-L-14", "ViT-B-16", "ViT-B-32"))


def video(kept: int, embedded: int | None = 1568) -> float:
    """VideoMAE-B with LayerNorms."""
    return vit_cost(VIDEO, [kept], embedded).total + norm_gmacs(VIDEO, [kept])


def clip_frame(config: object, kept: int, residual: bool = False, attention: bool = False) -> float:
    """One CLIP frame with LayerNorms; every patch is embedded."""
    cost = vit_cost(config, [kept], config.tokens, residual)
    return cost.linear + attention * cost.attention + norm_gmacs(config, [kept], residual)


def test_videomae_b_is_180_or_181() -> None:
    cost = vit_cost(VIDEO, [1568])
    assert cost.total == pytest.approx(180.34, abs=0.005)
    assert video(1568) == pytest.approx(180.49, abs=0.005)
    assert cost.total == pytest.approx(180, rel=0.01) and video(1568) == pytest.approx(181, rel=0.01)
    assert cost.attention == pytest.approx(45.317, abs=5e-4)
    assert cost.linear == pytest.approx(1.850 + 133.178, abs=1e-3)
    assert norm_gmacs(VIDEO, [1568]) == pytest.approx(0.145, abs=5e-4)
    assert cost.attention / cost.total == pytest.approx(0.25, abs=0.005)


@pytest.mark.parametrize(
    ("share", "kept", "plain", "with_norms", "paper", "off"),
    [
        (0.9, 1411, 158.39, 158.52, 159, -0.30),
        (0.7, 1097, 117.20, 117.31, 118, -0.59),
        (0.5, 784, 79.77, 79.84, 80, -0.20),
        (0.3, 470, 45.84, 45.88, 46, -0.25),
    ],
)
def test_lite_rows(share: float, kept: int, plain: float, with_norms: float, paper: int, off: float) -> None:
    assert int(share * 1568) == kept
    assert vit_cost(VIDEO, [kept], 1568).total == pytest.approx(plain, abs=0.005)
    assert video(kept) == pytest.approx(with_norms, abs=0.005)
    assert video(kept) == pytest.approx(paper, rel=0.01)
    assert 100 * (video(kept) / paper - 1) == pytest.approx(off, abs=0.006)
    assert round(video(kept) + mlp_cost(1568, (768, 256, 64, 1)).total) == paper


def test_lites_selector_fits_between_the_rounded_figures() -> None:
    rows = {1411: 159, 1097: 118, 784: 80, 470: 46}
    for norms, low, high in ((True, 0.19, 0.62), (False, 0.30, 0.66)):
        costs = {k: video(k) if norms else vit_cost(VIDEO, [k], 1568).total for k in rows}
        assert max(paper - 0.5 - costs[k] for k, paper in rows.items()) == pytest.approx(low, abs=0.006)
        assert min(paper + 0.5 - costs[k] for k, paper in rows.items()) == pytest.approx(high, abs=0.006)


@pytest.mark.parametrize(
    ("hidden", "gmacs", "parameters"),
    [
        ((384, 192), 0.578, 369409),
        ((256, 64), 0.334, 213377),
        ((384, 128), 0.540, 344705),
        ((512, 256), 0.822, 525313),
        ((768, 768), 1.851, 1181953),
        ((256, 128), 0.360, 229889),
    ],
)
def test_selector_sizes(hidden: tuple[int, int], gmacs: float, parameters: int) -> None:
    sizes = (768, *hidden, 1)
    assert mlp_cost(1568, sizes).total == pytest.approx(gmacs, abs=5e-4)
    assert flops.mlp_parameters(sizes) == parameters


@pytest.mark.parametrize(
    ("kept", "closed", "paper", "tolerance"),
    [
        (1568, 179.71, 180, 0.004),
        (1411, 157.73, 158, 0.004),
        (1097, 116.51, 117, 0.0045),
        (784, 79.03, 79, 0.004),
        (470, 45.06, 45, 0.004),
        (156, 14.73, 15, 0.02),
    ],
)
def test_joint_timesformer(kept: int, closed: float, paper: float, tolerance: float) -> None:
    cost = vit_cost(TIMESFORMER, [kept], 1568).total + norm_gmacs(TIMESFORMER, [kept])
    assert cost == pytest.approx(closed, abs=0.006)
    assert cost == pytest.approx(paper, rel=tolerance)


def test_divided_timesformer_is_the_dearer_one() -> None:
    assert vit_cost(TIMESFORMER, [1568]).total == pytest.approx(179.56, abs=0.005)
    divided = flops.divided_cost(TIMESFORMER, 8, 196)
    assert divided.total == pytest.approx(195.8, abs=0.05)
    assert divided.total == pytest.approx(196.7, rel=0.01)  # 0.59 TFLOPs over three crops


@pytest.mark.parametrize(
    ("config", "with_norms", "plain", "with_attention"),
    [(B32, 4.368, 4.363, 4.414), (B16, 16.867, 16.848, 17.582), (L14, 77.831, 77.766, 81.077)],
    ids=["B-32", "B-16", "L-14"],
)
def test_clip_frames(config: object, with_norms: float, plain: float, with_attention: float) -> None:
    assert clip_frame(config, config.tokens) == pytest.approx(with_norms, abs=6e-4)
    assert vit_cost(config, [config.tokens]).linear == pytest.approx(plain, abs=6e-4)
    assert clip_frame(config, config.tokens, attention=True) == pytest.approx(with_attention, abs=6e-4)


def test_residualvit_rows_a_and_b() -> None:
    frame = clip_frame(L14, 256)
    assert frame == pytest.approx(77.8, rel=0.005)
    assert 3 * frame == pytest.approx(233.49, abs=0.005)
    assert round(3 * round(frame, 1), 1) == 233.4
    dropped = clip_frame(L14, 38)
    assert dropped == pytest.approx(11.942, abs=5e-4)
    assert 3 * dropped == pytest.approx(35.83, abs=0.005) and 3 * dropped == pytest.approx(35.7, rel=0.005)
    assert round(3 * round(dropped, 1), 1) == 35.7
    assert clip_frame(L14, 38, residual=True) / frame == pytest.approx(0.157, abs=5e-4)


@pytest.mark.parametrize(
    ("attention", "kept", "drop", "drop3", "rounded3", "with_residual", "adds", "row_c", "row_d"),
    [
        (False, 38, 11.942, 35.83, 35.7, 12.245, 0.303, 101.72, 102.32),
        (False, 39, 12.245, 36.73, 36.6, 12.548, 0.303, 102.32, 102.93),
        (True, 38, 12.017, 36.05, 36.0, 12.324, 0.307, 105.11, 105.73),
        (True, 39, 12.323, 36.97, 36.9, 12.630, 0.307, 105.72, 106.34),
    ],
)
def test_residualvit_table(
    attention: bool, kept: int, drop: float, drop3: float, rounded3: float, with_residual: float, adds: float,
    row_c: float, row_d: float,
) -> None:  # fmt: skip
    plain, residual = (clip_frame(L14, kept, r, attention) for r in (False, True))
    intra = clip_frame(L14, 256, attention=attention)
    assert plain == pytest.approx(drop, abs=6e-4) and 3 * plain == pytest.approx(drop3, abs=0.006)
    assert round(3 * round(plain, 1), 1) == rounded3
    assert residual == pytest.approx(with_residual, abs=6e-4)
    assert residual - plain == pytest.approx(adds, abs=6e-4)
    for predicted, row, paper in ((plain, row_c, 102.0), (residual, row_d, 102.6)):
        second = 3 * interleave_cost(Cost(intra), Cost(predicted), 2).total
        assert second == pytest.approx(row, abs=0.006)
        if not attention:
            assert second == pytest.approx(paper, rel=0.005)


@pytest.mark.parametrize(
    ("n", "per_second", "saving", "estimate"),
    [
        (1, 135.1, 42.1, 42.5),
        (2, 102.3, 56.2, 56.7),
        (3, 85.9, 63.2, 63.7),
        (5, 69.5, 70.2, 70.8),
        (10, 54.6, 76.6, 77.3),
    ],
)
def test_residualvit_savings(n: int, per_second: float, saving: float, estimate: float) -> None:
    intra, predicted = Cost(clip_frame(L14, 256)), Cost(clip_frame(L14, 38, residual=True))
    mean = interleave_cost(intra, predicted, n).total
    assert 3 * mean == pytest.approx(per_second, abs=0.05)
    assert 100 * (1 - mean / intra.total) == pytest.approx(saving, abs=0.05)
    assert 100 * (1 - flops.interleave_ratio(n, 0.85)) == pytest.approx(estimate, abs=0.051)
    paper = {1: 42, 2: 56, 3: 63, 5: 70}
    assert n not in paper or round(100 * (1 - mean / intra.total)) == paper[n]


def test_residualvit_equation_1() -> None:
    ratio = flops.interleave_ratio(2, 0.85)
    assert ratio == pytest.approx(0.4333, abs=5e-5) and 1 - ratio == pytest.approx(0.567, abs=5e-4)
    assert ratio * 233.4 == pytest.approx(101.14, abs=0.005)
    assert ratio * 233.4 / 102.6 - 1 == pytest.approx(-0.014, abs=5e-4)


@pytest.mark.parametrize(
    ("config", "kept", "intra", "predicted", "bare", "mean", "rates", "saving"),
    [
        (
            B32,
            7,
            4.368,
            0.882,
            0.796,
            2.044,
            {3: (13.10, 6.13), 5: (21.8, 10.2), 1: (4.37, 2.04), 0.5: (2.18, 1.02)},
            53.2,
        ),
        (B16, 29, 16.867, 2.752, 2.667, 7.457, {3: (50.60, 22.37), 5: (84.3, 37.3), 0.5: (8.43, 3.73)}, 55.8),
    ],
    ids=["B-32", "B-16"],
)
def test_residualvit_b(
    config: object, kept: int, intra: float, predicted: float, bare: float, mean: float,
    rates: dict[float, tuple[float, float]], saving: float,
) -> None:  # fmt: skip
    full, frame = clip_frame(config, config.tokens), clip_frame(config, kept, residual=True)
    assert round(config.tokens * 0.15 + 1e-9) == kept
    assert full == pytest.approx(intra, abs=6e-4) and frame == pytest.approx(predicted, abs=6e-4)
    assert clip_frame(config, kept) == pytest.approx(bare, abs=6e-4)
    average = interleave_cost(Cost(full), Cost(frame), 2).total
    assert average == pytest.approx(mean, abs=6e-4)
    for rate, (plain, thinned) in rates.items():
        assert rate * full == pytest.approx(plain, abs=0.06) and rate * average == pytest.approx(thinned, abs=0.06)
    assert 100 * (1 - average / full) == pytest.approx(saving, abs=0.05)
    if config is B32:  # read off the paper's plot
        assert full == pytest.approx(4.4, rel=0.01)
        assert average == pytest.approx(2.0, rel=0.03) and 3 * average == pytest.approx(6.0, rel=0.03)
