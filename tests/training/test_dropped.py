"""Which patches P-frames keep in training: by turns random and what a strategy ranks first."""

from __future__ import annotations

import patchlens
import pytest
import torch
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.tiny_clip import load_tiny_clip
from patchlens.training.dropped import Dropped
from patchlens.types import Clip


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder("tiny-clip", load_tiny_clip("random"), "cpu", "float32")


def frames(encoder: Encoder) -> torch.Tensor:
    """Two pairs (2, 3, H, W, 3): a bright square that goes one patch to the right per frame, and one that rests."""
    height, width = encoder.inputs.size_hw
    made = torch.full((2, 3, height, width, 3), 90, dtype=torch.uint8)
    for t in range(3):
        made[0, t, 24:40, 8 * t + 8 : 8 * t + 24] = 250
        made[1, t, 24:40, 8:24] = 250
    return made


def test_the_paper_is_always_random(encoder: Encoder) -> None:
    noise = torch.rand(2, 2, encoder.config.tokens)
    assert Dropped(encoder, "random", 3.0).order([0, 1], frames(encoder), noise, 0) is noise


def test_every_other_pair_by_the_selector_and_the_next_time_the_other_ones(encoder: Encoder) -> None:
    dropped, noise = Dropped(encoder, "rlt-topk", 3.0), torch.rand(2, 2, encoder.config.tokens)
    first, second = (dropped.order([4, 5], frames(encoder), noise, epoch) for epoch in (0, 1))
    assert torch.equal(first[0], noise[0]) and torch.equal(second[1], noise[1])
    side = int(encoder.config.tokens**0.5)
    best = second[0, 0].topk(4).indices
    rows, columns = best // side, best % side
    assert set(rows.tolist()) <= {3, 4} and set(columns.tolist()) <= {1, 2, 3}  # where the square came and went
    assert (first[1] <= 1e-6).all() and torch.equal(first[1].argsort(-1), noise[1].argsort(-1))  # all at rest: at random


def test_motion_ranks_as_it_does_in_a_run(encoder: Encoder) -> None:
    """In steps of a quarter of a patch, and at rest evenly spread: as behind the plan."""
    dropped, seen = Dropped(encoder, "motion:steps=4", 3.0), frames(encoder)
    clip = Clip.from_frames(seen[0].numpy(), 3.0)
    plan = "residualvit:n=2,p=0.85,drop=motion:steps=4,cuts=off,residual=off"
    kept = patchlens.run(clip, encoder=encoder, selector=plan, cache=False).keep.mask.view(3, -1)[1:]
    found = dropped.order([1], seen[:1], torch.rand(1, 2, encoder.config.tokens), 0)[0].topk(22, -1).indices
    assert all(set(a.tolist()) == set(b.nonzero()[:, 0].tolist()) for a, b in zip(found, kept, strict=True))
    moved, rests = (dropped.values(number, seen[place]) for number, place in ((2, 0), (3, 1)))
    assert not torch.equal(moved, rests) and torch.equal(rests[0], rests[1])


def test_motion_counts_all_of_the_flow_which_in_a_run_begins_at_a_pixel(encoder: Encoder) -> None:
    seen = frames(encoder)
    values = Dropped(encoder, "motion", 3.0).values(0, seen[0])
    clip = Clip.from_frames(seen[0].numpy(), 3.0)
    trace = patchlens.run(clip, encoder=encoder, selector="residualvit:n=2,p=0.85,cuts=off,residual=off", cache=False)
    run = trace.scores.values.view(3, -1)[1:]
    assert ((values > 0) & (values < 1)).any(), "around what moves flow is small, not zero"
    torch.testing.assert_close(run, torch.where(values < 1, torch.zeros_like(values), values))


def test_a_strategy_that_is_none_is_refused(encoder: Encoder) -> None:
    with pytest.raises(KeyError):
        Dropped(encoder, "magic", 3.0)
