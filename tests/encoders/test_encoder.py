"""The Encoder equals an ordinary ViT with the same weights, packed or alone, whole or with tokens dropped."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import toys
from patchlens.encoders.block import MLP
from patchlens.encoders.encoder import Encoder, held_rows, pick_device, pick_dtype
from patchlens.encoders.patches import cut, fit_frames, frame_choice, normalise
from patchlens.encoders.vit import ViT, ViTConfig
from patchlens.keep import run_lengths
from patchlens.pipeline import run
from patchlens.specs import parse_merger
from patchlens.types import Clip, Grid, Keep


def close(ours: torch.Tensor, theirs: torch.Tensor, bar: float = 1e-5) -> None:
    """Equal in relation to the scale of what is expected."""
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max() / theirs.abs().max()) < bar


def several(encoder: Encoder) -> tuple[list[Clip], list]:
    """Three clips; a frame encoder gets 5, 1 and 3 frames."""
    lengths = [8, 8, 8] if encoder.segments == "clip" else [5, 1, 3]
    clips = [toys.clip(n, seed) for seed, n in enumerate(lengths)]
    return clips, [encoder.tokens(c) for c in clips]


def test_all_tokens_equal_the_plain_model(encoder):
    clips, tokens = several(encoder)
    plain = toys.Plain(encoder)
    for clip, x, made in zip(clips, tokens, encoder.encode_many(tokens), strict=True):
        states = plain.trunk(plain.embed(clip.frames))
        pooled, logits = plain.finish(states)
        close(made.tokens, states[:, encoder.config.prefix :].flatten(0, 1))
        close(made.pooled, pooled.mean(0))
        close(made.logits, logits.mean(0))
        if encoder.segments == "frame":
            close(made.frames, pooled)
        else:
            assert made.frames is None
        assert made.tokens.shape == (x.grid.n, encoder.config.width) and made.groups is None


def test_kept_tokens_equal_the_plain_model_on_those(space_time):
    clips, tokens = several(space_time)
    keeps = [toys.some(x.grid, k, seed) for seed, (x, k) in enumerate(zip(tokens, (20, 1, 45), strict=True))]
    plain = toys.Plain(space_time)
    for clip, keep, made in zip(clips, keeps, space_time.encode_many(tokens, keeps), strict=True):
        states = plain.trunk(plain.embed(clip.frames)[:, keep.mask])
        close(made.tokens, states[0, 2:])
        close(made.logits, plain.finish(states)[1][0])


def test_kept_tokens_of_frames_equal_the_plain_model_frame_by_frame(frame_cls):
    clip = toys.clip(5, seed=3)
    tokens = frame_cls.tokens(clip)
    keep = toys.some(tokens.grid, 30, seed=4, first=6)
    plain = toys.Plain(frame_cls)
    x, rows = plain.embed(clip.frames), []
    for frame, mask in zip(x, keep.mask.reshape(5, -1), strict=True):
        rows.append(plain.finish(plain.trunk(frame[None, mask]))[0][0])
    close(frame_cls.encode(tokens, keep).frames, torch.stack(rows))


@pytest.mark.parametrize("backend", [None, "masked"])
def test_packed_clips_equal_each_alone(encoder, backend):
    _, tokens = several(encoder)
    keeps = [None, toys.some(tokens[1].grid, 9, first=4), toys.some(tokens[2].grid, 26, first=4)]
    packed = encoder.encode_many(tokens, keeps, backend)
    for x, keep, made in zip(tokens, keeps, packed, strict=True):
        alone = encoder.encode(x, keep)
        for name in ("tokens", "pooled", "logits"):
            close(getattr(made, name), getattr(alone, name))


def test_a_neighbour_in_the_pack_changes_nothing(encoder):
    """Attention that leaked across a border would show in the first clip when the second is replaced."""
    clips, tokens = several(encoder)
    keeps = [toys.some(x.grid, 10, seed, first=4) for seed, x in enumerate(tokens)]
    first = encoder.encode_many(tokens, keeps)[0]
    tokens[1] = encoder.tokens(Clip.from_frames(255 - clips[1].frames))
    close(encoder.encode_many(tokens, keeps)[0].tokens, first.tokens, 1e-6)


def test_dropped_pixels_do_not_matter(encoder):
    clip = toys.clip(6 if encoder.segments == "frame" else 8, seed=5)
    tokens = encoder.tokens(clip)
    keep = toys.some(tokens.grid, 24, seed=6, first=2)
    noise = torch.where(keep.mask[:, None, None, None, None], tokens.patches, 255 - tokens.patches)
    other = replace(tokens, patches=noise, _embedded={})
    a, b = encoder.encode(tokens, keep), encoder.encode(other, keep)
    assert torch.equal(a.tokens, b.tokens) and torch.equal(a.logits, b.logits)
    assert not torch.equal(encoder.encode(other).logits, encoder.encode(tokens).logits)


# --- Frames without a patch ---


def sparse(per_frame: list[int], h: int = 3, w: int = 5) -> Keep:
    """A Keep of the first so many patches of each frame."""
    mask = torch.stack([torch.arange(h * w) < k for k in per_frame])
    return Keep(mask.reshape(-1), Grid(len(per_frame), h, w, 1, 4))


def test_an_empty_frame_repeats_the_feature_before_it_and_costs_nothing(frame_cls):
    clip = toys.clip(6, seed=7)
    tokens, keep = frame_cls.tokens(clip), sparse([4, 0, 0, 7, 0, 2])
    assert frame_cls.counts(keep) == (4, 7, 2)
    made = frame_cls.encode(tokens, keep)
    assert made.frames.shape == (6, 24) and made.tokens.shape == (13, 24)
    assert [int((made.frames[i] == made.frames[:i]).all(1).nonzero()[-1]) for i in (1, 2, 4)] == [0, 1, 3]
    close(made.pooled, made.frames.mean(0))
    shown = [
        frame_cls.encode(frame_cls.tokens(Clip.from_frames(clip.frames[i : i + 1])), sparse([k]))
        for i, k in ((0, 4), (3, 7), (5, 2))
    ]
    close(made.logits, torch.stack([shown[i].logits for i in (0, 0, 0, 1, 1, 2)]).mean(0))


def test_the_rows_that_are_held():
    assert held_rows(sparse([4, 0, 0, 7, 0, 2])).tolist() == [0, 0, 0, 1, 1, 2]
    with pytest.raises(ValueError, match="The first frame kept no patch"):
        held_rows(sparse([0, 1]))


def test_features_that_are_compared_by_cosine_are_normalised_per_frame():
    encoder = toys.frame_cls(classes=None)
    made = encoder.encode(encoder.tokens(toys.clip(4)))
    plain = toys.Plain(encoder)
    features = torch.nn.functional.normalize(plain(plain.embed(toys.clip(4).frames)), dim=-1)
    close(made.frames, features)
    assert made.logits is None and made.frames.shape == (4, 6), "the projection's width"


# --- Frames in, patches out ---

CHOICES = [
    (16, 16, 2, list(range(16)), "as many as wanted"),
    (1, 16, 2, [0] * 16, "one frame is held"),
    (3, 8, 2, [0, 0, 1, 1, 1, 1, 2, 2], "too few are spread evenly"),
    (15, 16, 2, [0, 1, 2, 3, 4, 5, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14], "one too few: one is shown twice"),
    (17, 16, 2, [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16], "one too many: one is left out"),
    (3, None, 1, [0, 1, 2], "any number, one frame per token"),
    (3, None, 2, [0, 1, 2, 2], "any number, but whole tubelets"),
    (1, None, 1, [0], "one frame"),
]


@pytest.mark.parametrize(("have", "want", "tubelet", "index", "why"), CHOICES, ids=[c[-1] for c in CHOICES])
def test_which_frames_are_looked_at(have, want, tubelet, index, why):
    found = frame_choice(have, want, tubelet)
    assert found.tolist() == index and found.dtype == torch.int64


@pytest.mark.parametrize("have", [1, 3, 15, 17, 100])
def test_any_number_of_frames_fills_a_space_time_encoder(space_time, have):
    clip = toys.clip(have)
    tokens = space_time.tokens(clip)
    assert tokens.grid == Grid(4, 3, 5, 2, 4) and len(tokens.frame_index) == 8
    assert torch.equal(tokens.frames, clip.frames[tokens.frame_index])
    assert (
        tokens.frame_index[0] == 0
        and tokens.frame_index[-1] == have - 1
        and (tokens.frame_index.diff() >= 0).all()
    )


FITS = [
    ("squash", (24, 40), (0, 0, 40, 24), "the same shape"),
    ("squash", (50, 20), (0, 0, 20, 50), "another shape is squashed, nothing is lost"),
    ("crop", (24, 40), (0, 0, 40, 24), "the same shape"),
    ("crop", (24, 60), (10, 0, 50, 24), "wide: the middle"),
    ("crop", (44, 40), (0, 10, 40, 34), "tall: the middle"),
    ("crop", (6, 30), (10, 0, 20, 6), "smaller than wanted"),
]


@pytest.mark.parametrize(("fit", "size", "rect", "why"), FITS, ids=[f"{f[0]} {f[-1]}" for f in FITS])
def test_frames_are_fitted_and_the_rectangle_is_told(fit, size, rect, why):
    frames = toys.clip(3, size=size).frames
    made, seen = fit_frames(frames, (12, 20), fit)
    assert made.shape == (3, 12, 20, 3) and made.dtype == torch.uint8 and seen == tuple(map(float, rect))
    x0, y0, x1, y1 = rect
    inside = frames[:, y0:y1, x0:x1].float().mean((1, 2))
    assert (made.float().mean((1, 2)) - inside).abs().max() < 3, "the pixels are those of the rectangle"


def test_a_rectangle_inside_a_rectangle_is_told_in_source_pixels():
    encoder = toys.space_time(fit="crop")
    clip = replace(
        toys.clip(8, size=(24, 60)), rect=(100.0, 200.0, 220.0, 248.0)
    )  # 2 source pixels per pixel
    assert encoder.fit(clip).rect == (120.0, 200.0, 200.0, 248.0)
    tokens = encoder.tokens(clip)
    assert torch.equal(tokens.frames, encoder.fit(clip).frames)


def test_frames_of_the_right_size_are_untouched(encoder):
    clip = toys.clip()
    assert encoder.fit(clip) is clip and torch.equal(encoder.tokens(clip).frames, clip.frames)


def test_frames_that_cannot_be_cut_are_refused():
    with pytest.raises(
        ValueError, match="8 frames of 12 x 21 pixels cannot be cut into tubelets of 2 frames by 4 x 4"
    ):
        cut(torch.zeros(8, 12, 21, 3, dtype=torch.uint8), 2, 4)


def test_normalisation_is_per_channel():
    patches = torch.randint(0, 256, (5, 3, 2, 4, 4), dtype=torch.uint8)
    mean, std = torch.tensor(toys.MEAN), torch.tensor(toys.STD)
    expected = (patches.float() / 255 - mean[:, None, None, None]) / std[:, None, None, None]
    torch.testing.assert_close(
        normalise(patches, toys.MEAN, toys.STD), expected.flatten(1), rtol=1e-5, atol=1e-6
    )


# --- Where and how it runs ---


@pytest.mark.parametrize("make", [toys.space_time, toys.frame_cls])
def test_bfloat16_is_close_to_float32(make):
    exact, fast = make(), make(dtype="bfloat16")
    tokens = [toys.clip(8, seed) for seed in range(3)]
    for clip in tokens:
        keep = toys.some(exact.tokens(clip).grid, 30, first=3)
        a, b = exact.encode(exact.tokens(clip), keep), fast.encode(fast.tokens(clip), keep)
        assert b.pooled.dtype == torch.float32, "what comes out is float32"
        assert torch.cosine_similarity(a.pooled, b.pooled, dim=0) > 0.999
        assert not torch.equal(a.pooled, b.pooled), "it really ran in bfloat16"
    assert fast.facts["dtype"] == "bfloat16" and exact.facts["dtype"] == "float32"


def test_devices_and_dtypes_by_name():
    cpu = pick_device("cpu")
    assert pick_dtype("auto", cpu) == torch.float32 and pick_dtype("bf16", cpu) == torch.bfloat16
    assert pick_dtype("auto", torch.device("cuda")) == torch.bfloat16
    for bad in ("tpu9", "cuda:99"):
        with pytest.raises(
            ValueError, match=f"The device '{bad}' cannot be used here; give auto, cpu, cuda or mps."
        ):
            pick_device(bad)
    with pytest.raises(ValueError, match="dtype is 'int8'; choose auto, float32, bfloat16 or float16."):
        pick_dtype("int8", cpu)


def test_what_an_encoder_offers():
    assert toys.space_time().offers == {"embeddings", "gradients", "attention", "logits", "space-time attention"}
    assert toys.frame_cls().offers == {"embeddings", "gradients", "attention", "logits", "class_token", "frames"}
    assert toys.frame_cls(classes=None).offers == {"embeddings", "gradients", "attention", "class_token", "frames"}


def test_lists_of_different_length_are_refused(space_time):
    tokens = space_time.tokens(toys.clip())
    with pytest.raises(ValueError, match="There are 2 clips and 1 keeps; give one keep per clip."):
        space_time.encode_many([tokens, tokens], [None])


def test_weights_want_no_gradients_and_the_model_is_in_evaluation_mode(encoder):
    assert not encoder.vit.training and not any(p.requires_grad for p in encoder.vit.parameters())
    assert not encoder.encode(encoder.tokens(toys.clip())).logits.is_inference(), (
        "the oracle can differentiate through it"
    )


# --- Run lengths: the learned encoding, and the mean weighted by them ---


def lengths_encoder(**config):
    """An encoder whose weights have a length encoding of four rows, as long as its clips."""
    return toys.space_time(lengths=4, **config)


def rlt_keep(grid: Grid, weighted: bool = False) -> Keep:
    """Column 0 of the first row kept at t = 0 and 3, everything else at t = 0 only."""
    mask = torch.arange(grid.n) < grid.per_frame
    mask[grid.index(3, 0, 0)] = True
    return Keep(mask, grid, torch.from_numpy(run_lengths(mask.numpy(), grid)), weighted=weighted)


def test_the_length_encoding_pairs_lengths_with_tokens_in_their_order():
    """The fact sheet's fixture: correct lengths are 3, 4, 1; the released code pairs 3, 1, 4 with the same tokens."""
    encoder = lengths_encoder(grid=(4, 1, 2), prefix=0)
    vit, grid = encoder.vit, Grid(4, 1, 2, 2, 4)
    mask = torch.tensor([1, 1, 0, 0, 0, 0, 1, 0], dtype=torch.bool)
    keep = Keep(mask, grid, torch.from_numpy(run_lengths(mask.numpy(), grid)))
    lengths = keep.run_length[keep.index]
    assert lengths.tolist() == [3, 4, 1]
    patches = torch.randn(3, vit.config.patch_dim)
    plain = vit.embedding(patches) + vit.position[keep.index]
    torch.testing.assert_close(vit.embed(patches, keep.index, lengths), plain + vit.length[[2, 3, 0]])
    clip = toys.clip(8, size=(4, 8))
    tokens = encoder.tokens(clip)
    made = encoder.encode(tokens, keep)
    x = normalise(tokens.patches[keep.index], toys.MEAN, toys.STD)
    torch.testing.assert_close(made.logits, vit(vit.embed(x, keep.index, lengths), (3,)).out[0])
    wrong = vit(vit.embed(x, keep.index, torch.tensor([3, 1, 4])), (3,)).out[0]
    assert not torch.allclose(made.logits, wrong, atol=1e-3)


def test_the_length_encoding_starts_at_zero_and_is_off_without_rows():
    assert "length" not in toys.space_time().vit.state_dict() and toys.space_time().vit.length is None
    fresh = ViT(lengths_encoder().config)
    assert fresh.length.shape == (4, 32) and not fresh.length.any() and fresh.length.requires_grad
    encoder = lengths_encoder()
    tokens = encoder.tokens(toys.clip(8))
    keep = rlt_keep(tokens.grid)
    before = encoder.encode(tokens, keep).logits
    with torch.no_grad():
        encoder.vit.length[3] += torch.randn(32)  # the row of runs that last the whole clip
    assert not torch.allclose(encoder.encode(tokens, keep).logits, before, atol=1e-3)
    several = encoder.encode_many([tokens, tokens], [None, keep])
    torch.testing.assert_close(several[0].logits, encoder.encode(tokens).logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(several[1].logits, encoder.encode(tokens, keep).logits, rtol=1e-5, atol=1e-5)


def test_the_mean_can_count_tokens_by_their_run_lengths(space_time):
    tokens = space_time.tokens(toys.clip(8))
    plain, heavy = (space_time.encode(tokens, rlt_keep(tokens.grid, weighted)) for weighted in (False, True))
    keep, vit = rlt_keep(tokens.grid), space_time.vit
    share = keep.run_length[keep.index, None] / tokens.grid.n
    torch.testing.assert_close(heavy.tokens, plain.tokens)
    torch.testing.assert_close(heavy.pooled, vit.norm_post((heavy.tokens * share).sum(0)), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(plain.pooled, vit.norm_post(plain.tokens.mean(0)), rtol=1e-5, atol=1e-5)
    mixed = space_time.encode_many([tokens] * 3, [rlt_keep(tokens.grid), rlt_keep(tokens.grid, True), None])
    for made, alone in zip(mixed, (plain, heavy, space_time.encode(tokens)), strict=True):
        torch.testing.assert_close(made.pooled, alone.pooled, rtol=1e-5, atol=1e-5)
    merged = space_time.encode(tokens, rlt_keep(tokens.grid, True), merger=parse_merger("tome:r=0"))
    torch.testing.assert_close(merged.pooled, heavy.pooled, rtol=1e-5, atol=1e-5)


def test_runs_weigh_in_when_the_plan_says_so(space_time):
    clip = toys.clip(8)
    plans = ("rlt:tau=0.25", "rlt:tau=0.25,pool=runs")
    plain, heavy = (run(clip, encoder=space_time, selector=plan, cache=False) for plan in plans)
    assert torch.equal(plain.keep.mask, heavy.keep.mask) and heavy.keep.weighted and not plain.keep.weighted
    assert not torch.allclose(plain.encoding.pooled, heavy.encoding.pooled, atol=1e-4)


def test_the_mlp_gives_the_same_bits_with_and_without_gradients():
    """Without them the activation overwrites its input."""
    for activation in ("gelu", "quick_gelu"):
        mlp = MLP(ViTConfig(width=8, depth=1, heads=2, mlp=16, grid=(1, 2, 2), patch=4, activation=activation))
        x = torch.randn(5, 8)
        with torch.no_grad():
            kept, made = x.clone(), mlp(x)
        assert torch.equal(made, mlp(x)) and torch.equal(kept, x)
