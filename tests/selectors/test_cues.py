"""Motion, attention and saliency: pooled to the right patches, and with their cost told."""

from __future__ import annotations

from dataclasses import replace

import patchlens
import pytest
import torch
import toys
from clips import encode, moving
from patchlens.attention import attention_gmacs
from patchlens.selectors.cues import AttentionReceived, Motion, Saliency, spectral_residual
from patchlens.selectors.residuals import Residuals
from patchlens.types import Clip, MotionMap

# --- Motion ---


def moved(encoder, clip: Clip) -> torch.Tensor:
    """Motion scores as (t, h, w)."""
    tokens = encoder.tokens(clip)
    scores = Motion().score(tokens, toys.context(encoder, encoder.fit(clip)))
    assert scores.values.shape == (tokens.grid.n,)
    return tokens.grid.volume(scores.values)


def with_motion(clip: Clip, values: torch.Tensor, **changes) -> Clip:
    """A clip that brings its own motion."""
    return replace(clip, motion=MotionMap(values, "codec vectors", 0.5), **changes)


def test_motion_falls_on_the_patch_that_moved(space_time):
    """One block per pixel of a 12 x 20 source: what moves at y = 5, x = 9 belongs to patch (1, 2)."""
    values = torch.zeros(8, 12, 20)
    values[4, 5, 9] = 16.0
    found = moved(space_time, with_motion(toys.clip(), values))
    assert found[2, 1, 2] == pytest.approx(16 / 16 / 2), "the mean over 4 x 4 blocks and two frames"
    assert found.sum() == pytest.approx(0.5)


def test_motion_is_averaged_by_area_where_blocks_and_patches_do_not_meet(space_time):
    """A map of 2 x 2 blocks over patches of 3 x 5: the middle patches lie half in each."""
    values = torch.tensor([[1.0, 3.0], [5.0, 7.0]]).repeat(8, 1, 1)
    found = moved(space_time, with_motion(toys.clip(), values))[0]
    rows, columns = torch.tensor([0.0, 2.0, 4.0]), torch.tensor([1.0, 1.0, 2.0, 3.0, 3.0])
    torch.testing.assert_close(found, rows[:, None] + columns[None])


def test_motion_outside_the_rectangle_is_not_seen():
    """The source is 24 x 60 px, the encoder sees the middle 24 x 40."""
    encoder = toys.space_time(fit="crop")
    clip = toys.clip(8, size=(24, 60))
    values = torch.zeros(8, 24, 60)
    values[:, :, :10] = 9.0
    values[:, 0:8, 10:18] = 2.0  # patch (0, 0)
    found = moved(encoder, with_motion(clip, values))
    assert found[:, 0, 0].tolist() == pytest.approx([2.0] * 4) and found.sum() == pytest.approx(8.0)


def test_motion_follows_the_frames_that_were_chosen(space_time):
    """A clip of 3 frames is held to 8: tokens read the motion of the frames they show."""
    values = torch.arange(3.0)[:, None, None].expand(3, 12, 20)
    found = moved(space_time, with_motion(toys.clip(3), values))
    assert found[:, 0, 0].tolist() == [0.0, 1.0, 1.0, 2.0], "frames 0 0 1 1 1 1 2 2"


def test_without_vectors_flow_is_measured_and_said(space_time):
    """The right half slides 4 px per frame over a still left half."""
    frames = moving(8, dx=4.0, height=96, width=160)
    frames[:, :, :80] = frames[:1, :, :80]
    clip = Clip.from_frames(frames)
    tokens = space_time.tokens(clip)
    scores = Motion().score(tokens, toys.context(space_time, space_time.fit(clip)))
    found = tokens.grid.volume(scores.values)
    assert scores.facts["motion"] == "DIS flow" and "DIS flow" in scores.unit
    assert found[1:, :, 3:].mean() == pytest.approx(4, rel=0.25), "pixels of the source per sampled frame"
    assert found[1:, :, :2].mean() < 0.5


def test_a_file_with_vectors_uses_them(space_time, tmp_path):
    file = encode(tmp_path / "a.mp4", moving(24), options={"bf": "0", "g": "250"})
    trace = patchlens.run(file, encoder=space_time, selector="motion:keep=0.3", frames=8, cache=False)
    assert trace.clip.motion.kind == "codec vectors" and trace.keep.count == 18
    assert float(trace.scores.values.median()) == pytest.approx(12, rel=0.25), "4 px per frame over 3 frames"


# --- Attention ---


@pytest.mark.parametrize("block", [0, 1, -1])
@pytest.mark.parametrize("make", [toys.space_time, toys.frame_cls, lambda: toys.space_time(prefix=0)])
def test_attention_received_equals_the_plain_models_softmax(make, block):
    encoder = make()
    clip, plain = toys.clip(8, seed=6), toys.Plain(make())
    tokens, c = encoder.tokens(clip), encoder.config
    scores = AttentionReceived(block=str(block)).score(tokens, toys.context(encoder, clip))
    block %= c.depth
    x = plain.start(plain.embed(clip.frames))
    for i in range(block):
        x = plain.block(x, i)
    weights = plain.attention(plain.norm(x, f"blocks.{block}.norm1", c.eps), f"blocks.{block}.attention")[1]
    rows = weights[:, :, 0] if c.pool == "cls" else weights.mean(2)  # (B, heads, S)
    expected = rows.mean(1)[:, c.prefix :].flatten()
    torch.testing.assert_close(scores.values, expected, rtol=1e-4, atol=1e-7)
    assert scores.facts["block"] == block and str(block) in scores.unit
    assert scores.gmacs == pytest.approx(attention_gmacs(encoder, tokens.grid, block)) and scores.gmacs > 0


@pytest.mark.parametrize("block", ["9", "-4", "last"])
def test_a_block_that_is_not_there_is_one_sentence(space_time, block):
    with pytest.raises(ValueError) as error:
        patchlens.run(toys.clip(), encoder=space_time, selector=f"attention:block={block}", cache=False)
    sentence = str(error.value)
    assert block in sentence and "block" in sentence and "invalid literal" not in sentence


# --- Saliency ---


def test_saliency_sees_the_odd_patch(space_time):
    frames = torch.full((8, 96, 160, 3), 90, dtype=torch.uint8)
    frames += torch.randint(0, 4, frames.shape, dtype=torch.uint8)
    frames[:, 36:60, 100:124] = 250
    clip = Clip.from_frames(frames)
    tokens = space_time.tokens(clip)
    scores = Saliency().score(tokens, toys.context(space_time, clip))
    found = tokens.grid.volume(scores.values)
    assert (found.flatten(1).argmax(1) == 1 * 5 + 3).all(), (
        "rows 36..60 of 96, columns 100..124 of 160: patch (1, 3)"
    )
    assert scores.gmacs > 0 and "stand-in" in scores.unit


def test_saliency_is_in_units_of_the_frames_mean():
    smooth = spectral_residual(toys.clip(1, size=(48, 80)).frames[0])
    assert smooth.shape == (64, 64) and float(smooth.mean()) == pytest.approx(1.0)


def test_a_black_frame_has_no_nan():
    assert torch.isfinite(spectral_residual(torch.zeros(32, 32, 3, dtype=torch.uint8))).all()


# --- Residuals ---


def test_residuals_are_what_motion_does_not_explain():
    """A sliding texture is explained; a square that appears on it is not."""
    frames = torch.from_numpy(moving(4, dx=3, height=96, width=160))
    frames[2:, 32:64, 64:96] = 250
    encoder = toys.frame_cls(grid=(1, 3, 5), patch=32)
    tokens = encoder.tokens(Clip.from_frames(frames))
    found = tokens.grid.volume(Residuals().score(tokens, toys.context(encoder, Clip.from_frames(frames))).values)
    assert int(found[2].argmax()) == 1 * 5 + 2, "the patch in which the square appears"
    assert found[2].max() > 10 * found[1].max() and torch.equal(found[0], found[1])
