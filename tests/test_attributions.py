"""captum's explanations on our tokens: equal to what they are by definition, and nothing left behind."""

from __future__ import annotations

import patchlens as pl
import pytest
import torch
import toys
from patchlens.attributions import METHODS, attribute
from patchlens.evaluation.counted import flop_counter
from patchlens.gradcam import answer, token_values
from patchlens.selectors.attribution import METHODS as OFFERED
from patchlens.selectors.attribution import AttributionMap

CLIP = toys.clip(4, seed=2)


def state(model: torch.nn.Module) -> list[int]:
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [len(getattr(m, h)) for m in model.modules() for h in hooks] + [p.requires_grad for p in model.parameters()]


@pytest.fixture(scope="module", params=["clip", "frames"])
def small(request):
    """Toys of few tokens, so that occlusion is quick."""
    return toys.space_time(grid=(2, 3, 5)) if request.param == "clip" else toys.frame_cls()


def embedded(encoder):
    tokens = encoder.tokens(CLIP)
    counts = (tokens.grid.n,) if encoder.segments == "clip" else (15,) * tokens.grid.t
    grey = encoder.vit.embed(torch.zeros(tokens.grid.n, encoder.config.patch_dim), torch.arange(tokens.grid.n))
    return tokens, tokens.embed(), grey, lambda x: float(answer(encoder.vit(x, counts).out, 3)[3])


def test_gradient_x_activation_is_the_oracle_with_each_tokens_own_gradient(small):
    tokens = small.tokens(CLIP)
    for block in range(small.config.depth - (small.config.pool == "cls")):
        made = attribute(small, tokens, 3, METHODS[0], block)
        (ours,) = token_values(small, [tokens], [3], block, gradient="own")
        torch.testing.assert_close(made.signed, ours.signed, rtol=1e-4, atol=1e-7)


def test_integrated_gradients_add_up_to_what_the_clip_adds_to_nothing(small):
    tokens, x, grey, value = embedded(small)
    with torch.no_grad():
        gained = value(x) - value(grey)
    made = attribute(small, tokens, 3, METHODS[1], steps=64)
    assert float(made.signed.sum()) == pytest.approx(gained, rel=0.02, abs=1e-3)


def test_occlusion_is_what_is_lost_with_one_token(small):
    tokens, x, grey, value = embedded(small)
    made = attribute(small, tokens, 3, METHODS[2])
    for token in (0, 7, tokens.grid.n - 1):
        without = x.clone()
        without[token] = grey[token]
        with torch.no_grad():
            assert float(made.signed[token]) == pytest.approx(value(x) - value(without), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_left_on_the_model_also_after_an_error(small, method):
    before, tokens = state(small.vit), small.tokens(CLIP)
    attribute(small, tokens, 3, method, steps=2)
    assert state(small.vit) == before and torch.is_grad_enabled()

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attribute(small, tokens, 3, method, check=stop)
    assert state(small.vit) == before and not small.vit.training


@pytest.mark.parametrize("method", METHODS)
def test_its_cost_is_what_ran(method):
    encoder = toys.space_time(grid=(2, 6, 6), width=48, prefix=0)
    tokens = encoder.tokens(toys.clip(4, size=(24, 24)))
    if method != METHODS[0]:
        tokens.embed()
    with flop_counter() as counter:
        made = attribute(encoder, tokens, 3, method, block=0, steps=4)
    assert made.gmacs == pytest.approx(counter.get_total_flops() / 2e9, rel=0.05)


def test_as_a_selector_it_says_whose_map_it_is(small):
    assert OFFERED == METHODS
    trace = pl.run(CLIP, encoder=small, selector=AttributionMap(method="occlusion"), label="still", cache=False)
    assert trace.scores.unit == "occlusion of 'still' (captum), 0..1" and trace.scores.values.max() == 1
    with pytest.raises(ValueError, match="method is 'guess'; choose one of gradient x activation"):
        attribute(small, small.tokens(CLIP), 3, "guess")
