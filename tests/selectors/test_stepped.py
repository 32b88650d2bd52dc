"""Motion in steps of a share of a patch, ties evenly spread, by itself and in P-frames; codec vectors and flow alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import toys
from patchlens.selectors.cues import Motion
from patchlens.selectors.residualvit import ResidualViT
from patchlens.selectors.spread import spread
from patchlens.types import Clip, MotionMap

FRAMES, SIDE = 3, 12  # frames; patches in a side
QUARTERS = Motion(steps=4)


def encoder():
    return toys.frame_cls(classes=None, grid=(1, SIDE, SIDE))


def scored(values: torch.Tensor, selector, kind: str = "DIS flow"):
    """Scores (t, h, w) of a clip that moves by `values` (h, w) source pixels, one source pixel to one the encoder sees."""
    model = encoder()
    patch = model.inputs.patch
    clip = toys.clip(FRAMES, size=(SIDE * patch, SIDE * patch))
    clip = replace(clip, motion=MotionMap(values.float().expand(FRAMES, -1, -1).contiguous(), kind, 0.0))
    tokens = model.tokens(clip)
    made = selector.score(tokens, toys.context(model, model.fit(clip)))
    return tokens.grid.volume(made.values), patch, made


def chosen(values: torch.Tensor, count: int) -> set[int]:
    return set(values.flatten().topk(count).indices.tolist())


@pytest.mark.parametrize(("h", "w"), [(12, 12), (14, 14), (8, 16), (1, 5)])
def test_the_order_names_every_patch_once_and_any_start_of_it_covers_the_frame(h, w):
    order = spread(h, w)
    assert order.dtype == np.float32 and len(set(order.tolist())) == h * w and order.min() > 0 and order.max() == 1
    if h * w > 100:
        for count in (16, 22, 40, 64):
            there = np.zeros(h * w)
            there[np.argsort(-order)[:count]] = 1
            quarters = there.reshape(2, h // 2, 2, w // 2).sum((1, 3))
            assert quarters.max() - quarters.min() <= 3, count
            assert abs(quarters - count / 4).max() <= 2, count


def test_what_moves_less_than_a_quarter_of_a_patch_counts_as_still_and_is_spread():
    patch = encoder().inputs.patch
    noise = torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * patch / 4 * 0.99
    made, _, _ = scored(noise, QUARTERS)
    assert all(chosen(frame, 22) == chosen(torch.from_numpy(spread(SIDE, SIDE)), 22) for frame in made)
    raw, _, _ = scored(noise, Motion())
    assert chosen(raw[1], 22) == chosen(noise, 22), "without steps every difference counts"


def test_in_p_frames_flow_below_a_pixel_is_none_and_codec_vectors_count_as_they_are():
    values = torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(3)) * 3
    flow, _, scores = scored(values, ResidualViT())
    raw, _, _ = scored(values, Motion())
    assert torch.equal(flow, torch.where(raw < 1, torch.zeros_like(raw), raw)) and 0 < (flow == 0).sum() < flow.numel()
    assert scores.unit.endswith("; below 1 none")
    codec, _, vectors = scored(values, ResidualViT(), "codec vectors")
    assert torch.equal(codec, raw) and "none" not in vectors.unit
    steps, _, _ = scored(values, ResidualViT(drop="motion:steps=4"))
    assert torch.equal(steps, scored(values, QUARTERS)[0])


def test_what_moves_comes_first_by_whole_steps():
    patch = encoder().inputs.patch
    moved = torch.zeros(SIDE, SIDE)
    moved[2:4, 5:8], moved[9, 9] = patch * 0.55, patch * 1.1
    made, _, scores = scored(moved, QUARTERS)
    assert chosen(made[1], 1) == {9 * SIDE + 9} and chosen(made[1], 7) == set(moved.flatten().nonzero()[:, 0].tolist())
    assert made[1, 9, 9] == pytest.approx(patch, rel=0.02) and made[1, 2, 5] == pytest.approx(patch / 2, rel=0.03)
    assert f"in steps of {patch / 4:g}" in scores.unit
    rest = chosen(made[1], 20) - chosen(made[1], 7)
    still = torch.from_numpy(spread(SIDE, SIDE)).masked_fill(moved.flatten() > 0, 0)
    assert rest == chosen(still, 13)


def test_codec_vectors_and_flow_are_ranked_alike():
    values = torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 9
    flow, codec = (scored(values, QUARTERS, kind)[0] for kind in ("DIS flow", "codec vectors"))
    assert torch.equal(flow, codec)


def test_steps_are_of_what_the_encoder_sees_whatever_the_sources_size():
    """A source twice as large moves twice as many pixels, and the same patches are kept."""
    model = encoder()
    side = SIDE * model.inputs.patch
    values = torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(2)) * 3
    small, _, _ = scored(values, QUARTERS)
    clip = Clip.from_frames(toys.clip(FRAMES, size=(2 * side, 2 * side)).frames)
    clip = replace(clip, motion=MotionMap(2 * values.expand(FRAMES, -1, -1).contiguous(), "codec vectors", 0.0))
    tokens = model.tokens(clip)
    large = QUARTERS.score(tokens, toys.context(model, model.fit(clip)))
    torch.testing.assert_close(tokens.grid.volume(large.values), 2 * small)


def test_p_frames_rank_as_their_strategy_does():
    model = encoder()
    clip = toys.clip(FRAMES, size=(SIDE * model.inputs.patch,) * 2)
    context = toys.context(model, clip)
    from patchlens.specs import parse_plugin

    for drop in ("motion:steps=4", "random", "center", "saliency"):
        assert torch.equal(ResidualViT(drop=drop).score(model.tokens(clip), context).values,
                           parse_plugin(drop).score(model.tokens(clip), context).values)  # fmt: skip
