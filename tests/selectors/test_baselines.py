"""The baselines: exact counts, seeds that matter, and the middle of the picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toys
from patchlens.keep import All, Strided, TopK, TopKPerFrame, keep_of
from patchlens.selectors.baselines import Center, Everything, Random, Skip, Uniform
from patchlens.types import Clip, Keep


def decide(selector, encoder, clip=None, seed: int = 0) -> Keep:
    """A selector's decision on a toy clip."""
    clip = clip or toys.clip()
    tokens = encoder.tokens(clip)
    scores = selector.score(tokens, toys.context(encoder, clip, seed=seed))
    return keep_of([(scores, selector.rule())], tokens.grid, seed)


def test_everything_keeps_everything(space_time):
    assert decide(Everything(), space_time).count == 60 and Everything().rule() == All()


@pytest.mark.parametrize(("keep", "k"), [(0.3, 18), (0.5, 30), (0.7, 42), (0.01, 1), (1.0, 60)])
def test_random_keeps_exactly_k(space_time, keep, k):
    assert all(decide(Random(keep), space_time, seed=s).count == k for s in range(5)), (
        "RLT's own baseline keeps K - 1"
    )


def test_random_is_drawn_anew_for_every_seed_and_every_clip(space_time):
    masks = {
        decide(Random(0.5), space_time, toys.clip(seed=c), s).mask.numpy().tobytes()
        for c in range(4)
        for s in range(4)
    }
    assert len(masks) == 16
    a, b = (decide(Random(0.5), space_time, seed=3).mask for _ in range(2))
    assert torch.equal(a, b)


def test_random_favours_no_token(space_time):
    share = np.mean([decide(Random(0.5), space_time, seed=s).mask.numpy() for s in range(300)], axis=0)
    assert share.min() > 0.36 and share.max() < 0.64, "four to five standard deviations of 0.029"


def test_random_does_not_touch_the_callers_generator(space_time):
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    decide(Random(), space_time)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_random_per_frame_gives_every_frame_its_share(frame_cls):
    assert set(decide(Random(0.4, "frame"), frame_cls).per_frame) == {6}


def test_uniform_is_evenly_spaced(space_time):
    keep = decide(Uniform(0.5), space_time)
    assert keep.index.tolist() == [i * 59 // 29 for i in range(30)]
    assert decide(Uniform(0.5), space_time, toys.clip(seed=9), seed=5).index.tolist() == keep.index.tolist()
    assert Uniform(0.3, "frame").rule() == Strided(0.3, True)


def test_center_keeps_the_nearest_patches_of_every_frame(space_time):
    keep = decide(Center(0.4), space_time)
    volume = keep.mask.reshape(4, 3, 5)
    for frame in volume:
        kept = {(int(y), int(x)) for y, x in frame.nonzero()}
        assert len(kept) == 6
        assert {(1, 2), (1, 1), (1, 3), (0, 2), (2, 2)} <= kept, "the middle and its four neighbours"
        assert kept - {(1, 2), (1, 1), (1, 3), (0, 2), (2, 2)} <= {(0, 1), (0, 3), (2, 1), (2, 3)}, (
            "one of the next four"
        )


def test_center_breaks_equal_distances_by_the_seed_and_not_by_position(space_time):
    sixth = {int(i) for s in range(40) for i in decide(Center(0.4), space_time, seed=s).mask[:15].nonzero()}
    assert {1, 3, 11, 13} <= sixth, "each of four equally near patches is chosen by some seed"


def test_center_over_the_whole_clip_is_the_same_budget(space_time):
    keep = decide(Center(0.4, "clip"), space_time)
    assert (
        keep.count == 24
        and Center(0.4, "clip").rule() == TopK(0.4)
        and Center(0.4).rule() == TopKPerFrame(0.4)
    )


@pytest.mark.parametrize("cuts", ["on", "off"])
def test_skip_sees_one_frame_in_three_and_those_behind_cuts_and_the_others_take_their_feature(frame_cls, cuts):
    clip = toys.clip(8, seed=3)
    frames = torch.cat([clip.frames[:1].repeat(4, 1, 1, 1), 255 - clip.frames[:1].repeat(4, 1, 1, 1)])
    clip = Clip.from_frames(frames.numpy(), 4.0)
    tokens = frame_cls.tokens(clip)
    keep = decide(Skip(2, cuts), frame_cls, clip)
    leaning = [0, 0, 0, 3, 4, 4, 4, 7] if cuts == "on" else [0, 0, 0, 3, 3, 3, 6, 6]
    per = tokens.grid.per_frame
    assert list(keep.per_frame) == [per if i == anchor else 0 for i, anchor in enumerate(leaning)]
    full, made = frame_cls.encode(tokens).frames, frame_cls.encode(tokens, keep).frames
    assert torch.allclose(made, full[leaning], atol=1e-6)
