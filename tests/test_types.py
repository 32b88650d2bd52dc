"""The types that join everything: one token order, and invariants checked where a value is made."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest
import torch
import toys
from hypothesis import given
from hypothesis import strategies as st
from patchlens.types import Clip, Cost, Grid, Keep, Report, Scores

GRID = Grid(4, 3, 5, 2, 4)
sides = st.integers(1, 7)


@given(sides, sides, sides)
def test_the_grid_numbers_tokens_in_t_y_x_order(t, h, w):
    grid = Grid(t, h, w, 2, 16)
    cells = [(a, b, c) for a in range(t) for b in range(h) for c in range(w)]
    assert [grid.index(*cell) for cell in cells] == list(range(grid.n))
    assert [grid.cell(n) for n in range(grid.n)] == cells


def test_a_grid_knows_its_pixels():
    assert (GRID.n, GRID.per_frame, GRID.frames, GRID.size_hw) == (60, 15, 8, (12, 20))
    assert GRID.box(GRID.index(3, 2, 4)) == (16, 8, 20, 12), "x before y, end exclusive"
    assert GRID.volume(torch.arange(60))[3, 2, 4] == GRID.index(3, 2, 4)


@pytest.mark.parametrize("side", ["t", "h", "w", "tubelet", "patch"])
def test_a_grid_has_no_empty_side(side):
    with pytest.raises(ValueError, match=f"Grid.{side} is 0"):
        replace(GRID, **{side: 0})


def test_frames_of_tokens_are_the_frames_that_were_cut(encoder):
    clip = toys.clip(seed=3)
    tokens = encoder.tokens(clip)
    assert torch.equal(tokens.frames, clip.frames)


def test_a_token_holds_the_pixels_of_its_box(space_time):
    clip = toys.clip(seed=4)
    tokens = space_time.tokens(clip)
    for n in (0, 7, 33, 59):
        t, _, _ = tokens.grid.cell(n)
        x0, y0, x1, y1 = tokens.grid.box(n)
        cell = clip.frames[2 * t : 2 * t + 2, y0:y1, x0:x1]  # (tubelet, p, p, C)
        assert torch.equal(tokens.patches[n], cell.permute(3, 0, 1, 2))


def test_embedding_some_tokens_is_embedding_all_and_picking(encoder):
    tokens = encoder.tokens(toys.clip())
    keep = toys.some(tokens.grid, 11, first=2)
    torch.testing.assert_close(tokens.embed(keep), tokens.embed()[keep.mask], rtol=0, atol=2e-6)
    assert tokens.embed() is tokens.embed(), "all embeddings are made once"


def test_what_is_dropped_is_never_embedded(space_time):
    seen = []
    tokens = space_time.tokens(toys.clip())
    watched = replace(
        tokens, embedder=lambda patches, index: seen.append(index) or tokens.embedder(patches, index)
    )
    keep = toys.some(tokens.grid, 5)
    watched.embed(keep)
    assert torch.equal(torch.cat(seen), keep.index)


def test_tokens_must_fit_their_grid(space_time):
    tokens = space_time.tokens(toys.clip())
    with pytest.raises(ValueError, match=r"the grid asks for \(60, C, 2, 4, 4\)"):
        replace(tokens, patches=tokens.patches[:-1])


SCORES = [
    (torch.zeros(3, dtype=torch.float64), None, "values must be float32"),
    (torch.zeros(3, 1), None, "values must be float32"),
    (torch.tensor([0.0, float("nan")]), None, "values holds NaN"),
    (torch.zeros(2), torch.tensor([float("nan"), 0.0]), "fine holds NaN"),
    (torch.zeros(2), torch.zeros(3), "fine"),
]


@pytest.mark.parametrize(("values", "fine", "sentence"), SCORES)
def test_scores_are_float32_without_nan(values, fine, sentence):
    with pytest.raises(ValueError, match=sentence):
        Scores(values, "unit", fine)


def test_infinite_scores_are_allowed():
    assert Scores(torch.tensor([torch.inf, -torch.inf, 0.0]), "unit").values[0] == torch.inf


def mask(*kept: int, n: int = 4) -> torch.Tensor:
    """A mask of n tokens that keeps some."""
    out = torch.zeros(n, dtype=torch.bool)
    out[list(kept)] = True
    return out


TWO = Grid(2, 1, 2, 1, 1)
KEEPS = [
    (mask(), None, "at least one", "nothing stays"),
    (torch.ones(4), None, "must be bool", "a float mask"),
    (torch.ones(5, dtype=torch.bool), None, r"must be bool \(4,\)", "another grid's mask"),
    (mask(0, 1), [2, 0, 0, 2], "0 exactly where dropped", "a length at a dropped token"),
    (mask(0, 1, 2), [2, 2, 0, 0], "0 exactly where dropped", "no length at a kept one"),
    (mask(0, 1), [2, 1, 0, 0], "sum to t", "a run that ends too early"),
    (mask(0, 1), [1, 3, 0, 0], "sum to t", "right in sum, wrong per place"),
    (mask(0, 1), [3, 2, -1, 0], "0 exactly where dropped", "a negative length at a dropped token"),
    (mask(0, 1), [2, 2], "run_length", "lengths of the kept tokens alone"),
]


@pytest.mark.parametrize(("kept", "lengths", "sentence", "why"), KEEPS, ids=[k[-1] for k in KEEPS])
def test_a_keep_that_breaks_its_word_cannot_be_made(kept, lengths, sentence, why):
    with pytest.raises(ValueError, match=sentence):
        Keep(kept, TWO, None if lengths is None else torch.tensor(lengths))


def test_a_keep_counts():
    keep = Keep(mask(0, 1, 3), TWO, torch.tensor([2, 1, 0, 1]))
    assert (keep.count, keep.ratio, keep.index.tolist(), keep.per_frame) == (3, 0.75, [0, 1, 3], [2, 1])


def test_the_public_types_are_frozen():
    for value in (GRID, toys.clip(), Keep(mask(0), TWO), Scores(torch.zeros(1), "unit"), Cost()):
        with pytest.raises(FrozenInstanceError):
            value.anything = 1


CLIPS = [
    (dict(frames=torch.zeros(2, 4, 4, 3)), "uint8"),
    (dict(frames=torch.zeros(2, 4, 4, 1, dtype=torch.uint8)), "uint8"),
    (dict(frames=torch.zeros(0, 4, 4, 3, dtype=torch.uint8), times=torch.zeros(0)), "at least one frame"),
    (dict(times=torch.tensor([0.0, 0.0])), "strictly rising"),
    (dict(times=torch.tensor([0.0, 1.0, 2.0])), "one strictly rising time per frame"),
    (dict(times=torch.tensor([0.0, float("nan")])), "strictly rising"),
]


@pytest.mark.parametrize(("change", "sentence"), CLIPS)
def test_a_clip_is_upright_rgb_with_rising_times(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(toys.clip(2), **change)


def test_a_clip_of_frames_uses_their_pixels_untouched_and_knows_them_by_content():
    frames = toys.clip(5).frames
    clip = Clip.from_frames(frames.numpy(), fps=10)
    assert torch.equal(clip.frames, frames) and clip.times.dtype == torch.float64
    assert clip.times.tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert clip.source.sha256 == Clip.from_frames(frames, fps=10).source.sha256
    others = (
        Clip.from_frames(frames.flip(0), 10),
        Clip.from_frames(frames, 5),
        Clip.from_frames(frames[:4], 10),
    )
    assert clip.source.sha256 not in {other.source.sha256 for other in others}


@pytest.mark.parametrize("bad", [torch.zeros(2, 4, 4, 3), torch.zeros(4, 4, 3, dtype=torch.uint8)])
def test_frames_of_another_kind_are_refused(bad):
    with pytest.raises(ValueError, match="must be uint8"):
        Clip.from_frames(bad)
    with pytest.raises(ValueError, match="fps is 0"):
        Clip.from_frames(toys.clip(2).frames, fps=0)


def test_what_is_saved_is_after_the_selector_was_paid():
    report = Report(100, 25, Cost(8, 2), Cost(1, 1), selector_gmacs=3, cosine=1.0)
    assert report.keep_ratio == 0.25
    assert report.saved == pytest.approx(1 - (1 + 1 + 3) / 10)
    assert replace(report, selector_gmacs=30).saved < 0, "a selector may cost more than it saves"
    assert Cost(1, 2) + Cost(3, 4) == Cost(4, 6) and Cost(1, 2).total == 3
