"""Grad-CAM over tokens against closed forms, finite differences and captum; its cost against torch's counter.

captum runs on `toys.Plain`, an ordinary batched ViT with the same weights, through a transposed tap.
"""

from __future__ import annotations

import copy

import pytest
import torch
import toys
from captum.attr import LayerGradCam, LayerGradientXActivation
from patchlens.attention import attention_gmacs, attention_received
from patchlens.evaluation.counted import flop_counter
from patchlens.flops import coefficients, vit_cost
from patchlens.gradcam import BACKWARD_ATTENTION, resolve_block, token_values, token_values_gmacs, unit_range
from torch.nn.attention import SDPBackend, sdpa_kernel

LABELS = [2, 0, 5]


def counts_of(tokens) -> list[int]:
    """Patches per segment of a whole clip."""
    grid = tokens.grid
    return [grid.n] if tokens.embedder.__self__.segments == "clip" else [grid.per_frame] * grid.t


def captum_map(plain: toys.Plain, x: torch.Tensor, label: int, block: int) -> torch.Tensor:
    """LayerGradCam at the transposed tap for one clip (B, K, D); frames answer with their mean."""
    cam = LayerGradCam(lambda x: plain(x).mean(0, keepdim=True), plain.taps[block])
    return cam.attribute(x, target=label, relu_attributions=False).flatten().detach()  # (B, 1, K)


def captum_own(plain: toys.Plain, x: torch.Tensor, label: int, block: int) -> torch.Tensor:
    """LayerGradientXActivation at the same tap, summed over features: every token with its own gradient."""
    explain = LayerGradientXActivation(lambda x: plain(x).mean(0, keepdim=True), plain.taps[block])
    return explain.attribute(x, target=label).sum(1).flatten().detach()  # (B, D, K)


def clips(encoder, count: int = 3):
    """Clips and their tokens; frame encoders get clips of different lengths."""
    lengths = [8] * count if encoder.segments == "clip" else [3, 1, 5][:count]
    made = [toys.clip(n, seed) for seed, n in enumerate(lengths)]
    return made, [encoder.tokens(c) for c in made]


def close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Equal to 1e-5 of the map's scale."""
    assert theirs.abs().max() > 1e-4, "the check would say nothing"
    assert float((ours - theirs).abs().max() / theirs.abs().max()) < 1e-5


ENCODERS = {
    "mean pool": lambda: toys.space_time(prefix=0),
    "mean pool, registers": lambda: toys.space_time(),
    "frames, class token": lambda: toys.frame_cls(),
    "frames, mean pool": lambda: toys.frame_cls(prefix=0, pool="mean"),
    "space-time, class token": lambda: toys.space_time(prefix=1, pool="cls"),
}


@pytest.fixture(scope="module", params=ENCODERS, ids=str)
def model(request):
    return ENCODERS[request.param]()


def test_packed_clips_equal_captum_on_each_alone(model):
    made, tokens = clips(model)
    plain = toys.Plain(model)
    for block in range(model.config.depth):
        if model.config.pool == "cls" and block == model.config.depth - 1:
            continue  # zero everywhere: the next test but one
        values = token_values(model, tokens, LABELS, block)
        for clip, value, label in zip(made, values, LABELS, strict=True):
            close(value.signed, captum_map(plain, plain.embed(clip.frames), label, block))
            assert value.label == label
            torch.testing.assert_close(
                value.logits, plain(plain.embed(clip.frames)).mean(0), rtol=1e-4, atol=1e-5
            )


def test_each_tokens_own_gradient_equals_captums_gradient_x_activation_in_every_block_at_once(model):
    made, tokens = clips(model)
    plain = toys.Plain(model)
    values = token_values(model, tokens, LABELS, range(model.config.depth), gradient="own")
    for clip, value, label in zip(made, values, LABELS, strict=True):
        assert value.maps.shape == (model.config.depth, clip_tokens(model, clip))
        for block in range(model.config.depth - (model.config.pool == "cls")):
            close(value.maps[block], captum_own(plain, plain.embed(clip.frames), label, block))


def clip_tokens(encoder, clip) -> int:
    return encoder.tokens(clip).grid.n


def test_one_backward_serves_all_blocks(model):
    _, tokens = clips(model)
    depth = model.config.depth
    stack = token_values(model, tokens, LABELS, range(depth))
    for block in range(depth):
        for value, alone in zip(stack, token_values(model, tokens, LABELS, block), strict=True):
            torch.testing.assert_close(value.maps[block], alone.signed, rtol=1e-4, atol=1e-7)


def test_in_the_last_block_of_a_mean_pool_both_gradients_agree(space_time):
    _, tokens = clips(space_time)
    own, mean = (token_values(space_time, tokens, LABELS, -1, gradient=g) for g in ("own", "mean"))
    for a, b in zip(own, mean, strict=True):
        close(a.signed, b.signed)
    with pytest.raises(ValueError, match="gradient is 'max'; choose mean .LITE. or own."):
        token_values(space_time, tokens, LABELS, 0, gradient="max")


def test_packed_equals_single(model):
    _, tokens = clips(model)
    block = -2
    packed = token_values(model, tokens, LABELS, block)
    alone = [token_values(model, [x], [y], block)[0] for x, y in zip(tokens, LABELS, strict=True)]
    for a, b in zip(packed, alone, strict=True):
        close(a.signed, b.signed)


def test_of_kept_tokens_alone_it_equals_captum_on_those(model):
    made, tokens = clips(model)
    keeps = [toys.some(x.grid, x.grid.n // 2, seed, first=3) for seed, x in enumerate(tokens)]
    plain, block = toys.Plain(model), -2
    values = token_values(model, tokens, LABELS, block, keeps)
    for clip, value, keep, label in zip(made, values, keeps, LABELS, strict=True):
        assert (value.signed[~keep.mask] == 0).all(), "a dropped token has no value"
        if model.segments == "clip":
            x = plain.embed(clip.frames)[:, keep.mask]
            close(value.signed[keep.mask], captum_map(plain, x, label, block))


def test_class_token_pooling_leaves_the_last_block_empty(frame_cls):
    _, tokens = clips(frame_cls)
    for value in token_values(frame_cls, tokens, LABELS, -1):
        assert (value.signed == 0).all() and value.logits.abs().sum() > 0
        assert (unit_range(value.signed) == 0).all(), "an all-zero map stays zero"


@pytest.mark.parametrize("prefix", [0, 2])
def test_the_last_block_of_a_mean_pool_head_in_closed_form(prefix):
    """There dy/dA is one vector for every token, (1/K) J_LN^T w, so a value is A_i . J_LN^T w / K."""
    encoder = toys.space_time(prefix=prefix)
    clip = toys.clip(seed=7)
    plain = toys.Plain(encoder).double()
    seen = []
    plain.taps[-1].register_forward_hook(lambda _, args, out: seen.append(args[0]))
    x = plain.trunk(plain.embed(clip.frames))
    (activation,) = seen  # (1, D, K)
    pooled = x[0, prefix:].mean(0)
    centred = pooled - pooled.mean()
    spread = (centred.square().mean() + encoder.config.eps_post) ** 0.5
    unit = centred / spread
    for label in (0, 3):
        g = plain.w["norm_post.weight"] * plain.w["head.weight"][label]
        j = (g - g.mean() - unit * (g * unit).mean()) / spread
        (value,) = token_values(encoder, [encoder.tokens(clip)], [label], -1)
        close(value.signed.double(), activation[0].T @ j / encoder.tokens(clip).grid.n)


def test_a_value_is_what_a_little_more_of_the_token_adds(space_time):
    """In float64: the last block's MLP output of a token times 1 + e adds e times the token's value."""
    clip, label, step = toys.clip(seed=8), 1, 1e-4
    (value,) = token_values(space_time, [space_time.tokens(clip)], [label], -1)
    plain = toys.Plain(space_time).double()
    x = plain.embed(clip.frames)
    for token in (0, 17, 59):
        sides = []
        for sign in (1, -1):

            def scale(_, args, token=token, sign=sign):
                out = args[0].clone()
                out[..., token] *= 1 + sign * step
                return (out,)

            hook = plain.taps[-1].register_forward_pre_hook(scale)
            sides.append(float(plain(x)[0, label]))
            hook.remove()
        assert (sides[0] - sides[1]) / (2 * step) == pytest.approx(
            float(value.signed[token]), rel=1e-3, abs=1e-6
        )


def test_the_mean_is_over_tokens_and_not_over_features(space_time):
    """The wrong axis gives another map, so that no test here could pass with it."""
    clip = toys.clip(seed=9)
    (value,) = token_values(space_time, [space_time.tokens(clip)], [0], 0)
    plain = toys.Plain(space_time)
    grabbed = []
    plain.taps[0].register_forward_hook(lambda _, args, out: grabbed.append(out))
    x = plain.embed(clip.frames).requires_grad_()
    logits = plain(x)
    (gradient,) = torch.autograd.grad(logits[0, 0], grabbed)  # (1, D, K)
    right = (gradient.mean(2, keepdim=True) * grabbed[0]).sum(1).flatten().detach()
    wrong = (gradient.mean(1, keepdim=True) * grabbed[0]).sum(1).flatten().detach()
    close(value.signed, right)
    assert float((right - wrong).abs().max() / right.abs().max()) > 0.1


def test_pooling_across_clips_would_give_other_maps(space_time):
    """Two clips at an early block: the mean gradient over both differs from each one's own."""
    _, tokens = clips(space_time, 2)
    alone = [token_values(space_time, [x], [y], 0)[0].signed for x, y in zip(tokens, (2, 0), strict=True)]
    other_label = token_values(space_time, tokens, [2, 4], 0)
    close(other_label[0].signed, alone[0])  # a neighbour's label must not matter
    assert float((other_label[1].signed - alone[1]).abs().max() / alone[1].abs().max()) > 0.1


def test_without_a_label_the_predicted_class_is_explained(encoder):
    _, tokens = clips(encoder)
    logits = [encoder.encode(x).logits for x in tokens]
    for value, y in zip(token_values(encoder, tokens, [None] * 3, -2), logits, strict=True):
        assert value.label == int(y.argmax())
        torch.testing.assert_close(value.logits, y, rtol=1e-4, atol=1e-5)


def test_it_is_float32_whatever_the_encoder_runs_in():
    exact, fast = toys.space_time(), toys.space_time(dtype="bfloat16")
    tokens = [exact.tokens(toys.clip())], [fast.tokens(toys.clip())]
    a, b = (token_values(e, t, [1], 1)[0].signed for e, t in zip((exact, fast), tokens, strict=True))
    assert torch.equal(a, b) and a.dtype == torch.float32


RANGES = [
    ([-1.0, 0.0, 1.0, 3.0], [0.0, 0.0, 1 / 3, 1.0], "ReLU first, then min-max"),
    ([1.0, 2.0, 3.0], [0.0, 0.5, 1.0], "min-max reaches down to 0"),
    ([-3.0, -1.0], [0.0, 0.0], "no token speaks for the class"),
    ([0.0, 0.0], [0.0, 0.0], "nothing at all"),
    ([2.0, 2.0], [0.0, 0.0], "all the same"),
]


@pytest.mark.parametrize(("signed", "expected", "why"), RANGES, ids=[r[-1] for r in RANGES])
def test_the_map_runs_from_0_to_1(signed, expected, why):
    assert unit_range(torch.tensor(signed)).tolist() == pytest.approx(expected)


def test_blocks_count_from_either_end(space_time):
    assert [resolve_block(space_time, b) for b in (0, 2, -1, -3)] == [0, 2, 2, 0]
    for block in (3, -4):
        with pytest.raises(ValueError, match=f"block is {block}; toy-space-time has blocks 0 to 2"):
            resolve_block(space_time, block)
    with pytest.raises(ValueError, match="block is 9"):
        token_values(space_time, [space_time.tokens(toys.clip())], [0], 9)


# --- Nothing is left behind ---


def state(model: torch.nn.Module) -> list:
    """All that an explanation could leave on a model."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [
        torch.is_grad_enabled(),
        torch.random.get_rng_state().tolist(),
        [m.training for m in model.modules()],
        [len(getattr(m, name)) for m in model.modules() for name in hooks],
        [(name, p.requires_grad, p.grad is None, p.grad_fn is None) for name, p in model.named_parameters()],
        [p.double().sum().item() for p in model.parameters()],
    ]


def test_the_model_is_left_as_it_was(encoder):
    tokens = [encoder.tokens(toys.clip())]
    before = copy.deepcopy(state(encoder.vit))
    (value,) = token_values(encoder, tokens, [0], 1)
    assert state(encoder.vit) == before
    assert not value.signed.requires_grad and not value.logits.requires_grad
    assert not tokens[0].embed().requires_grad, "the cached embeddings neither"


@pytest.mark.parametrize("at", [0, 1])
def test_the_model_is_left_as_it_was_after_an_error(space_time, at):
    """Once in the part of the pass without gradients, once in the part with them."""
    before = copy.deepcopy(state(space_time.vit))
    asked = []

    def check() -> None:
        asked.append(1)
        if len(asked) > at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        token_values(space_time, [space_time.tokens(toys.clip())], [0], 1, check=check)
    assert state(space_time.vit) == before


def test_it_works_where_gradients_are_switched_off(space_time):
    tokens = [space_time.tokens(toys.clip())]
    with torch.no_grad():
        (value,) = token_values(space_time, tokens, [0], 0)
        assert not torch.is_grad_enabled()
    assert torch.equal(value.signed, token_values(space_time, tokens, [0], 0)[0].signed)


# --- Cost: two flops per multiply-accumulate ---


def counted(work) -> float:
    """1e9 MACs of what `work` runs, by torch's counter."""
    with flop_counter() as counter:
        work()
    return counter.get_total_flops() / 2e9


def long(encoder_of):
    """A wider, longer toy, so that attention counts."""
    return encoder_of(
        width=48, heads=4, grid=(4, 6, 6) if encoder_of is toys.space_time else (1, 6, 6), patch=4
    )


@pytest.fixture(scope="module", params=[toys.space_time, toys.frame_cls], ids=["space_time", "frame_cls"])
def larger(request):
    return long(request.param)


def test_the_cost_of_encoding_is_what_ran(larger):
    tokens = larger.tokens(toys.clip(8, size=(24, 24)))
    for keep in (None, toys.some(tokens.grid, tokens.grid.n // 3, first=2)):
        per_segment = counts_of(tokens) if keep is None else larger.counts(keep)
        ran = counted(lambda keep=keep: larger.encode(tokens, keep))
        assert vit_cost(larger.config, per_segment).total == pytest.approx(ran, rel=0.01)
        with sdpa_kernel(SDPBackend.MATH):  # the same products as plain matrix products
            assert counted(lambda keep=keep: larger.encode(tokens, keep)) == pytest.approx(ran, rel=0.01)


def test_the_cost_of_a_map_is_what_ran(larger):
    tokens = larger.tokens(toys.clip(8, size=(24, 24)))
    for blocks in (*range(larger.config.depth), range(larger.config.depth)):
        tokens._embedded.clear()  # the embedding is part of the cost
        ran = counted(lambda blocks=blocks: token_values(larger, [tokens], [0], blocks))
        assert token_values_gmacs(larger, counts_of(tokens), blocks) == pytest.approx(ran, rel=0.01)


def test_fused_attention_runs_backward_with_five_products_for_two(space_time):
    """Plain matrix products need four, because they keep the attention weights."""
    encoder = long(toys.space_time)
    tokens, later = encoder.tokens(toys.clip(8, size=(24, 24))), encoder.config.depth - 1
    attention = coefficients(encoder.config, blocks=later, embed_kept=False).at(tokens.grid.n).attention
    tokens.embed()
    fused = counted(lambda: token_values(encoder, [tokens], [0], 0))
    with sdpa_kernel(SDPBackend.MATH):
        plain = counted(lambda: token_values(encoder, [tokens], [0], 0))
    assert (fused - plain) / attention == pytest.approx(BACKWARD_ATTENTION - 2, rel=0.01)


def test_the_cost_of_an_attention_map_is_what_ran(larger):
    tokens = larger.tokens(toys.clip(8, size=(24, 24)))
    for block in range(larger.config.depth):
        tokens._embedded.clear()
        ran = counted(lambda block=block: attention_received(larger, tokens, block))
        assert attention_gmacs(larger, tokens.grid, block) == pytest.approx(ran, rel=0.01)
