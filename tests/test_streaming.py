"""Features of long videos: what comes out does not depend on where the pieces end."""

from __future__ import annotations

import pytest
import torch
import toys
from patchlens.encoders.costs import cost_of
from patchlens.pipeline import run
from patchlens.selectors.residualvit import ResidualViT
from patchlens.streaming import first_frames, joined, later_frames, stream
from patchlens.types import Clip, Keep

CLIP = toys.clip(17, seed=8)


def pieces(size: int) -> list[Clip]:
    """The clip in pieces of `size` frames."""
    return [first_frames(later_frames(CLIP, start), size) for start in range(0, len(CLIP.frames), size)]


@pytest.mark.parametrize("plan", [None, ResidualViT(2, 0.6, "saliency"), ResidualViT(4, 0.8, "saliency", cuts="off")])
def test_pieces_make_no_difference(plan: ResidualViT | None) -> None:
    encoder = toys.frame_cls(residual=1)
    whole = list(stream([CLIP], encoder, plan))
    assert len(whole) == 1
    for size in (1, 4, 6):
        parts = list(stream(pieces(size), encoder, plan))
        assert torch.equal(torch.cat([p.times for p in parts]), CLIP.times)
        torch.testing.assert_close(torch.cat([p.features for p in parts]), whole[0].features, rtol=1e-5, atol=1e-5)
        assert torch.equal(torch.cat([p.intra for p in parts]), whole[0].intra)
        assert sum(p.full for p in parts) == pytest.approx(whole[0].full)


def test_it_is_what_a_run_gives_and_costs() -> None:
    encoder, plan = toys.frame_cls(residual=1), ResidualViT(2, 0.6, "saliency")
    (part,) = stream([CLIP], encoder, plan)
    trace = run(CLIP, encoder=encoder, selector=plan, cache=False)
    torch.testing.assert_close(part.features, trace.encoding.frames)
    assert part.gmacs == pytest.approx(trace.report.reduced.total + trace.report.selector_gmacs)
    assert part.full == pytest.approx(trace.report.full.total)


def test_i_frames_may_be_known() -> None:
    encoder, plan = toys.frame_cls(residual=1), ResidualViT(2, 0.6, "saliency")
    full = torch.cat([p.features for p in stream([CLIP], encoder)])
    anew = torch.cat([p.features for p in stream(pieces(5), encoder, plan)])
    known = torch.cat([p.features for p in stream(pieces(5), encoder, plan, known=full)])
    torch.testing.assert_close(known, anew, rtol=1e-5, atol=1e-5)


def test_joining_what_was_cut_gives_it_back() -> None:
    back = joined(first_frames(CLIP, 5), later_frames(CLIP, 5))
    assert torch.equal(back.frames, CLIP.frames) and torch.equal(back.times, CLIP.times)


def test_what_cannot_be_streamed_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="toy-space-time sees whole clips; give an encoder of single frames"):
        list(stream([CLIP], toys.space_time()))
    with pytest.raises(ValueError, match="residualvit needs residual_token"):
        list(stream([CLIP], toys.frame_cls(), ResidualViT(residual="on")))


def test_costs_without_a_plan_are_those_of_all_tokens() -> None:
    encoder = toys.frame_cls()
    (part,) = stream([CLIP], encoder)
    grid = encoder.tokens(CLIP).grid
    assert part.gmacs == part.full == cost_of(encoder, Keep(torch.ones(grid.n, dtype=torch.bool), grid))[0].total
