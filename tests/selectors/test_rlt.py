"""RLT to the letter: every fixture of the fact sheet, and an independent implementation on real videos."""

from __future__ import annotations

import weakref

import cv2
import numpy as np
import patchlens
import pytest
import torch
import torch.nn.functional as F
import toys
from hypothesis import given
from hypothesis import strategies as st
from patchlens.encoders.patches import cut
from patchlens.keep import Threshold, TopK, TopKPerFrame, keep_of
from patchlens.selectors.camera import warp_between
from patchlens.selectors.rlt import RLT, RLTTopK, StaticStream, neighbour_difference
from patchlens.types import Grid, Keep, Tokens

MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def tokens_of(frames: torch.Tensor, tubelet: int = 2, patch: int = 16) -> Tokens:
    """Frames as tokens, without an encoder."""
    t, h, w, _ = frames.shape
    grid = Grid(t // tubelet, h // patch, w // patch, tubelet, patch)
    return Tokens(
        cut(frames, tubelet, patch), grid, torch.arange(t), lambda *_: pytest.fail("RLT must not embed")
    )


def ours(frames: torch.Tensor, tau: float = 0.1, tubelet: int = 2, patch: int = 16) -> Keep:
    """The decision of the selector itself."""
    tokens, selector = tokens_of(frames, tubelet, patch), RLT(tau)
    return keep_of([(selector.score(tokens, None), selector.rule())], tokens.grid)


def theirs(
    frames: torch.Tensor, tau: float, tubelet: int = 2, patch: int = 16
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mask and run lengths, (t, h, w), written from the text in floats.

    Normalise as ImageNet; last frame of each tubelet against the first frame of the one before; average
    pooling over patches, then the mean over channels; strictly above tau; tubelet 0 stays. A length reaches
    to the next kept one.
    """
    x = (frames.permute(0, 3, 1, 2).float() / 255 - MEAN) / STD
    difference = (x[2 * tubelet - 1 :: tubelet] - x[0:-tubelet:tubelet]).abs()
    moved = F.avg_pool2d(difference, patch).mean(1) > tau
    mask = torch.cat([torch.ones_like(moved[:1]) if len(moved) else mask_of_one(x, patch), moved])
    lengths = torch.zeros(mask.shape, dtype=torch.int64)
    for t, y, x in mask.nonzero().tolist():
        later = [n for n in range(t + 1, len(mask)) if mask[n, y, x]]
        lengths[t, y, x] = (later[0] if later else len(mask)) - t
    return mask, lengths


def mask_of_one(x: torch.Tensor, patch: int) -> torch.Tensor:
    """All of a single tubelet."""
    return torch.ones(1, x.shape[2] // patch, x.shape[3] // patch, dtype=torch.bool)


def agree(frames: torch.Tensor, tau: float, tubelet: int = 2, patch: int = 16) -> float:
    """Check that both implementations say the same; returns the keep ratio."""
    keep = ours(frames, tau, tubelet, patch)
    mask, lengths = theirs(frames, tau, tubelet, patch)
    assert torch.equal(keep.mask.reshape(mask.shape), mask)
    assert torch.equal(keep.run_length.reshape(mask.shape), lengths)
    return keep.ratio


def still(frames: int = 16, side: int = 224) -> torch.Tensor:
    """A black clip."""
    return torch.zeros(frames, side, side, 3, dtype=torch.uint8)


# --- Fixtures of algorithms.md 1.1 and 1.2 ---

FLASHES = [
    (0, "11000000", "the first frame is compared with the last one of tubelet 1"),
    (1, "10000000", "frame 1 is never read"),
    (4, "10010000", "marks tubelet 3, and leaves tubelet 2, which shows it, dropped"),
    (5, "10100000", "the last frame of tubelet 2"),
    (14, "10000000", "frame 14 is never read"),
    (15, "10000001", "the last frame"),
]


@pytest.mark.parametrize(("frame", "flags", "why"), FLASHES, ids=[f"frame {f}" for f, *_ in FLASHES])
def test_a_flash_in_one_frame(frame, flags, why):
    frames = still()
    frames[frame, :16, :16] = 255
    mask = ours(frames).mask.reshape(8, 14, 14)
    assert "".join(str(int(x)) for x in mask[:, 0, 0]) == flags
    mask[:, 0, 0] = False
    assert mask.sum() == 195 and mask[0].sum() == 195, "every other place keeps its first token alone"


def ramp(step: float, frames: int = 16, side: int = 32) -> torch.Tensor:
    """A clip that brightens by `step` ImageNet units per frame, dithered: a patch is exact to 1/256."""
    level = torch.arange(frames)[:, None] * step * STD.flatten() * 255  # (T, 3) grey levels
    threshold = (torch.arange(256).float() / 256).reshape(16, 16).repeat(side // 16, side // 16)
    return (level[:, None, None, :] + threshold[None, :, :, None]).floor().to(torch.uint8)


@pytest.mark.parametrize(("step", "flags"), [(0.03, "10000000"), (0.04, "11111111")])
def test_a_ramp_over_the_gap_of_three_frames(step, flags):
    frames = ramp(step)
    values = neighbour_difference(tokens_of(frames)).values.reshape(8, -1)
    assert (values[1:] - 3 * step).abs().max() < 1e-3, "the pair lies three frames apart"
    mask = ours(frames).mask.reshape(8, -1)
    assert all("".join(str(int(x)) for x in place) == flags for place in mask.T)


def test_a_slow_drift_is_one_run_however_far_it_goes():
    """Adjacent tubelets are compared, never the start of the run."""
    frames = ramp(0.03, frames=64)
    keep = ours(frames)
    assert keep.count == keep.grid.per_frame and (keep.run_length[keep.mask] == 32).all()
    total = (frames[-1].float() - frames[0].float()).mean((0, 1)) / 255 / STD.flatten()
    assert (total > 1.8).all(), "eighteen times tau"


def test_lengths_come_in_token_order():
    """Two columns, the left one kept at 0 and 3: [3, 4, 1], where the released code says [3, 1, 4]."""
    frames = still(8, 32)[:, :16]
    frames[6:, :, :16] = 255
    keep = ours(frames)
    assert keep.mask.reshape(4, 2).tolist() == [[True, True], [False, False], [False, False], [True, False]]
    assert keep.run_length[keep.mask].tolist() == [3, 4, 1]


def test_the_default_threshold_is_about_5_7_grey_levels():
    assert RLT().tau == 0.1
    for levels, kept in ((5, False), (6, True)):
        frames = still(4, 16)
        frames[2:] = levels
        assert bool(ours(frames).mask[1]) is kept
    values = neighbour_difference(tokens_of(frames)).values
    expected = sum(6 / 255 / s for s in (0.229, 0.224, 0.225)) / 3
    assert float(values[1]) == pytest.approx(expected, rel=1e-6) and values[0] == torch.inf


def test_one_grey_level_is_worth_more_in_green():
    """Tau is in units of each channel's own spread."""
    values = []
    for channel in range(3):
        frames = still(4, 16)
        frames[2:, ..., channel] = 100
        values.append(float(neighbour_difference(tokens_of(frames)).values[1]))
    assert values == pytest.approx([100 / 255 / s / 3 for s in (0.229, 0.224, 0.225)], rel=1e-6)


def test_equality_is_dropped():
    frames = toys.clip(4, size=(32, 32)).frames
    values = neighbour_difference(tokens_of(frames)).values
    at = float(values[5])
    assert not ours(frames, at).mask[5], "strictly above"
    assert ours(frames, float(np.nextafter(np.float32(at), np.float32(0)))).mask[5]


def test_a_still_clip_keeps_its_first_tubelet_even_at_tau_zero():
    keep = ours(still(16, 32), 0.0)
    assert keep.mask.reshape(8, 4).sum(1).tolist() == [4] + [0] * 7


def test_one_tubelet_is_kept_whole():
    keep = ours(toys.clip(2, size=(32, 32)).frames)
    assert keep.count == 4 and keep.run_length.tolist() == [1] * 4


# --- The independent implementation ---


@pytest.mark.parametrize("tau", [0.05, 0.1, 0.3, 0.5])
@pytest.mark.parametrize(("tubelet", "patch"), [(2, 16), (1, 16), (2, 8), (4, 8), (3, 4)])
def test_equal_on_random_clips(tubelet, patch, tau):
    ratios = []
    for seed in range(4):
        frames = toys.clip(12, seed, size=(48, 64), grey=(10, 40, 100, 200)[seed]).frames
        ratios.append(agree(frames, tau, tubelet, patch))
    assert min(ratios) < 0.9, "something is dropped"


REAL = [
    "sam2_05_juggle.mp4",
    "intel_asl_book.mkv",
    "stgcn_skateboarding.mp4",
    "tv_hmdb_cartwheel.avi",
    "aa_yoga.mp4",
]


@pytest.mark.parametrize("name", REAL)
def test_equal_on_real_videos(shared, name):
    path = shared / "videos" / name
    if not path.exists():
        pytest.skip(f"{name} is not among the videos")
    clip = patchlens.Clip.from_file(path, frames=16, size=(224, 224), fit="crop", span=(0, 3))
    assert clip.frames.shape == (16, 224, 224, 3)
    ratios = [agree(clip.frames, tau) for tau in (0.05, 0.1, 0.3)]
    assert 1 > ratios[0] > ratios[1] > ratios[2] > 1 / 8
    agree(clip.frames, 0.1, tubelet=1)


@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.floats(0, 2), st.integers(0, 99))
def test_lengths_sum_to_t_at_each_place(t, h, w, tau, seed):
    frames = torch.randint(
        0, 256, (2 * t, 4 * h, 4 * w, 3), generator=torch.Generator().manual_seed(seed)
    ).to(torch.uint8)
    frames[frames > 230] = 0
    keep = ours(frames, tau, 2, 4)
    lengths = keep.grid.volume(keep.run_length)
    assert (lengths.sum(0) == t).all() and int(lengths.sum()) == keep.grid.n
    assert torch.equal(keep.run_length == 0, ~keep.mask)


# --- Units and knobs ---


def test_units_are_imagenets_whatever_the_encoders():
    clip = toys.clip(8, seed=2)
    one, two = toys.space_time(), toys.space_time()
    two.inputs = two.loaded.inputs = type(two.inputs)((12, 20), 8, 2, 4, (0.5,) * 3, (0.5,) * 3, "squash")
    a, b = (patchlens.run(clip, encoder=e, selector=RLT(0.2), cache=False) for e in (one, two))
    assert torch.equal(a.scores.values, b.scores.values) and torch.equal(a.keep.mask, b.keep.mask)
    assert not torch.equal(a.reference.pooled, b.reference.pooled), "the encoders do differ"
    assert a.scores.unit == "ImageNet-normalised mean |difference|"


def test_the_rule_is_a_strict_threshold_with_runs():
    assert RLT(0.2).rule() == Threshold(0.2, runs=True)


def test_its_cost_is_one_subtraction_per_value_read(space_time):
    tokens = space_time.tokens(toys.clip())
    assert neighbour_difference(tokens).gmacs == pytest.approx(3 * 12 * 20 * 3 / 1e9), (
        "3 pairs of frames of 12 x 20 x 3"
    )


def test_rlt_top_k_ranks_by_the_same_differences(space_time):
    tokens = space_time.tokens(toys.clip(seed=3))
    scores = RLTTopK(0.4).score(tokens, None)
    assert torch.equal(scores.values, RLT().score(tokens, None).values)
    keep = keep_of([(scores, RLTTopK(0.4).rule())], tokens.grid)
    assert keep.count == 24 and keep.per_frame[0] == 15, "tubelet 0 ranks first"
    assert keep.run_length is None, "a budget makes no runs: this is not RLT"
    few = keep_of([(scores, RLTTopK(0.1).rule())], tokens.grid)
    assert few.count == 6 == few.per_frame[0], "exact K wins over +inf"
    assert RLTTopK(0.4, "frame").rule() == TopKPerFrame(0.4) and RLTTopK(0.4).rule() == TopK(0.4)


# --- Streamed over long videos ---


def whole_stream(frames: torch.Tensor, pieces: list[int], tubelet: int, patch: int, device: str = "cpu") -> torch.Tensor:
    """Differences of frames that come in pieces of these lengths (repeated as needed)."""
    stream, out, at, i = StaticStream(tubelet, patch, device), [], 0, 0
    while at < len(frames):
        step = pieces[i % len(pieces)]
        out.append(stream.feed(frames[at : at + step]))
        at, i = at + step, i + 1
    return torch.cat([x for x in (*out, stream.finish()) if len(x)])


@given(
    pieces=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    frames=st.integers(1, 21),
    tubelet=st.sampled_from([1, 2, 3]),
    seed=st.integers(0, 99),
)
def test_a_stream_in_pieces_is_the_whole(pieces, frames, tubelet, seed):
    clip = toys.clip(frames, seed).frames
    held = torch.cat([clip, clip[-1:].expand(-frames % tubelet, -1, -1, -1)])
    expected = neighbour_difference(tokens_of(held, tubelet, 4)).values
    assert torch.equal(whole_stream(clip, pieces, tubelet, 4).reshape(-1), expected)


def test_an_hour_at_8_frames_a_second_is_forgotten_as_it_passes():
    alive: list[weakref.ref] = []
    stream, moved, tubelets = StaticStream(2, 16), 0, 0
    still = torch.randint(0, 200, (1, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for start in range(0, 8 * 3600, 60):
        frames = still.repeat(60, 1, 1, 1)
        frames[:, :16, :16] = (start // 60 * 37 % 200) + 20  # one patch changes once in 60 frames
        alive.append(weakref.ref(frames))
        values = stream.feed(frames)
        moved, tubelets = moved + int((values > 0.1).sum()), tubelets + len(values)
        del frames
        assert sum(r() is not None for r in alive[-3:]) == 0, "no piece outlives its turn"
    assert tubelets == 4 * 3600 and stream.before.numel() == 32 * 32 * 3
    assert moved == 4 + 479, "all of the first tubelet, then one patch whenever it changes"


def test_frames_that_patches_do_not_tile_are_named():
    with pytest.raises(ValueError, match="30 x 32 pixels cannot be cut into patches of 16"):
        StaticStream(2, 16).feed(torch.zeros(2, 30, 32, 3, dtype=torch.uint8))


def test_a_file_streamed_in_windows_is_the_file_read_at_once(shared):
    from patchlens import video

    path = shared / "videos" / "tv_hmdb_wave_truman.avi"
    every = list(video.windows(path, 7, fps=8, carry=0, size=(64, 64)))
    pieces = torch.cat([c.frames for c in every])
    stream = StaticStream(2, 16)
    streamed = torch.cat([x for x in (*[stream.feed(c.frames) for c in every], stream.finish()) if len(x)])
    held = torch.cat([pieces, pieces[-1:]]) if len(pieces) % 2 else pieces
    assert torch.equal(streamed.reshape(-1), neighbour_difference(tokens_of(held)).values)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_streams_the_same_bits():
    clip = toys.clip(40, 5, size=(64, 64)).frames
    assert torch.equal(whole_stream(clip, [7, 3], 2, 16, "cuda"), whole_stream(clip, [40], 2, 16))


# --- Camera motion undone (our extension) ---


def panned(step: float, frames: int = 8, actor: bool = True) -> torch.Tensor:
    """A textured world seen by a camera that moves `step` pixels a frame, with one thing that moves by itself."""
    noise = np.random.default_rng(0).integers(0, 256, (96, 160, 3), dtype=np.uint8)
    world = cv2.GaussianBlur(noise, (0, 0), 2.0)
    world = cv2.normalize(world, None, 0, 255, cv2.NORM_MINMAX)
    out = []
    for i in range(frames):
        shift = np.float32([[1, 0, -step * i], [0, 1, 0]])
        frame = cv2.warpAffine(world, shift, (96, 96), flags=cv2.INTER_LINEAR)
        if actor:
            frame[40:56, 8 * i : 8 * i + 16] = (250, 30, 30)
        out.append(frame)
    return torch.from_numpy(np.stack(out))


def test_a_pan_is_undone_and_what_moves_by_itself_stays():
    tokens = tokens_of(panned(2.0))
    ways = (RLT(0.3), RLT(0.3, compensate="on"))
    plain, undone = (keep_of([(s.score(tokens, None), s.rule())], tokens.grid) for s in ways)
    assert plain.ratio > 0.95, "everything moves under a pan"
    assert undone.ratio < 0.7 and (undone.mask & ~plain.mask).sum() <= 2
    volume = tokens.grid.volume(undone.mask)
    actor = [(t, x) for t in range(1, 4) for x in ((16 * t + 8) // 16, (16 * t + 23) // 16) if x < 6]
    assert all(volume[t, 2:4, x].any() for t, x in actor)
    assert volume[1:, :, 5].all(), "what comes into sight is new"
    assert undone.run_length is not None


def test_a_still_camera_is_left_alone():
    tokens = tokens_of(panned(0.0))
    assert torch.equal(RLT(compensate="on").score(tokens, None).values, neighbour_difference(tokens).values)
    blank = tokens_of(torch.full((8, 32, 32, 3), 90, dtype=torch.uint8))
    assert torch.equal(RLT(compensate="on").score(blank, None).values, neighbour_difference(blank).values)


def test_the_homography_is_that_of_the_camera():
    frames = panned(3.0, actor=False).numpy()
    matrix = warp_between(frames[0], frames[1])
    corners = cv2.perspectiveTransform(np.float32([[[10, 10]], [[80, 15]], [[40, 85]]]), matrix)
    assert np.abs(corners - np.float32([[[7, 10]], [[77, 15]], [[37, 85]]])).max() < 0.5
    assert warp_between(frames[0] * 0, frames[1]) is None, "nothing to follow"
