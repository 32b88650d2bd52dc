"""One contract for every registered selector: a new file in `selectors/` is tested the moment it exists."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
import torch
import toys
from patchlens.keep import Rule, keep_of, rule_json
from patchlens.knobs import knobs_of
from patchlens.pipeline import run
from patchlens.registry import knob_values, misfit, plugins
from patchlens.specs import parse_plan, parse_plugin, spec_of
from patchlens.types import Keep, Scores

SELECTORS = {name: cls for name, cls in sorted(plugins().items()) if cls.__module__.startswith("patchlens.")}
CLIP = toys.clip(8, seed=31)
LABEL = "still"


@pytest.fixture(params=SELECTORS)
def selector(request):
    """Every selector with its defaults."""
    return SELECTORS[request.param]()


def decide(selector, encoder, seed: int = 0, clip=CLIP) -> tuple[Scores, Keep]:
    """Scores and decision, as the pipeline makes them."""
    if problem := misfit(selector, encoder.offers, encoder.name):
        pytest.skip(problem)
    tokens = encoder.tokens(clip)
    scores = selector.score(tokens, toys.context(encoder, clip, 4, seed))
    return scores, keep_of([(scores, selector.rule())], tokens.grid, seed, encoder.segments == "frame")


def variants(selector) -> list:
    """The selector with its ratio or threshold at several places."""
    dial = next((k for k in knobs_of(type(selector)) if k.name in ("keep", "tau")), None)
    if dial is None:
        return [selector]
    places = (dial.low, 0.05, 0.2, 0.29, 0.5, 0.8, dial.high)
    return [replace(selector, **{dial.name: x}) for x in sorted(set(places)) if dial.low <= x <= dial.high]


def test_scores_have_one_number_per_token_and_a_unit(selector, encoder):
    scores, keep = decide(selector, encoder)
    assert scores.values.shape == keep.mask.shape == (encoder.tokens(CLIP).grid.n,)
    assert scores.values.dtype == torch.float32 and scores.unit and scores.gmacs >= 0
    assert json.loads(json.dumps(scores.facts)) == scores.facts, "facts come back from the cache as they were"
    assert isinstance(selector.rule(), Rule) and json.loads(json.dumps(rule_json(selector.rule())))["kind"]


def test_at_least_one_token_stays_and_at_most_all(selector, encoder):
    for one in variants(selector):
        _, keep = decide(one, encoder)
        assert 1 <= keep.count <= keep.grid.n
        if encoder.segments == "frame":
            assert keep.per_frame[0] >= 1


def test_a_keep_ratio_is_kept_exactly(selector, encoder):
    for one in variants(selector):
        if "keep" not in knob_values(one):
            continue
        _, keep = decide(one, encoder)
        grid, ratio = keep.grid, one.keep
        per_frame = getattr(one, "per", "clip") == "frame"
        k = max(1, int(ratio * (grid.per_frame if per_frame else grid.n) + 1e-9))
        assert keep.count == (k * grid.t if per_frame else k)


def test_the_same_seed_keeps_the_same(selector, encoder):
    (a, one), (b, two) = decide(selector, encoder, seed=5), decide(selector, encoder, seed=5)
    assert torch.equal(a.values, b.values) and torch.equal(one.mask, two.mask)


def test_a_higher_budget_keeps_a_superset_where_that_is_promised(selector, encoder):
    keeps = sorted((decide(one, encoder)[1] for one in variants(selector)), key=lambda k: k.count)
    if selector.monotone:
        assert not any((few.mask & ~many.mask).any() for few, many in zip(keeps, keeps[1:], strict=False))


def test_run_lengths_sum_to_t_where_there_are_some(selector, encoder):
    for one in variants(selector):
        _, keep = decide(one, encoder)
        if keep.run_length is not None:
            assert (keep.grid.volume(keep.run_length).sum(0) == keep.grid.t).all()
            assert torch.equal(keep.run_length > 0, keep.mask)


def test_dropped_pixels_do_not_matter_to_the_encoding(selector, encoder):
    tokens = encoder.tokens(CLIP)
    _, keep = decide(selector, encoder)
    spoilt = tokens.patches.clone()
    spoilt[~keep.mask] = 255 - spoilt[~keep.mask]
    a = encoder.encode(tokens, keep)
    b = encoder.encode(replace(tokens, patches=spoilt, _embedded={}), keep)
    assert (
        torch.equal(a.pooled, b.pooled)
        and torch.equal(a.tokens, b.tokens)
        and a.tokens.shape[0] == keep.count
    )


def test_it_leaves_the_encoder_as_it_was(selector, encoder):
    before = encoder.encode(encoder.tokens(CLIP))
    decide(selector, encoder)
    after = encoder.encode(encoder.tokens(CLIP))
    assert torch.equal(before.tokens, after.tokens) and torch.equal(before.logits, after.logits)
    assert not any(p.requires_grad for p in encoder.vit.parameters())
    assert not any(m._forward_hooks or m._backward_hooks for m in encoder.vit.modules())


def test_a_whole_run_works(selector, encoder):
    if problem := misfit(selector, encoder.offers, encoder.name):
        pytest.skip(problem)
    trace = run(CLIP, encoder=encoder, selector=selector, label=LABEL, cache=False)
    assert trace.request.plan == spec_of(selector)
    assert trace.report.tokens_kept == trace.keep.count == len(trace.encoding.tokens)
    assert trace.report.selector_gmacs == trace.scores.gmacs


def test_keeping_all_is_the_plain_model(encoder):
    made = encoder.encode(
        encoder.tokens(CLIP),
        Keep(torch.ones(encoder.tokens(CLIP).grid.n, dtype=torch.bool), encoder.tokens(CLIP).grid),
    )
    plain = toys.Plain(encoder)
    torch.testing.assert_close(made.logits, plain(plain.embed(CLIP.frames)).mean(0), rtol=1e-5, atol=1e-5)


def test_its_knobs_say_what_they_are(selector):
    assert [k.name for k in knobs_of(type(selector))] == [f.name for f in fields(selector)], (
        "every field is a knob"
    )
    for k in knobs_of(type(selector)):
        assert k.check(k.default) == k.default and k.stage in ("score", "keep") and k.help
        if k.kind in ("float", "int"):
            assert k.low <= k.default <= k.high and k.step > 0 and k.unit
    summary = (type(selector).__doc__ or "").strip().splitlines()[0]
    assert (
        summary.endswith(".")
        and isinstance(selector.monotone, bool)
        and isinstance(selector.requires, frozenset)
    )


def test_it_survives_the_grammar_and_json(selector):
    for one in variants(selector):
        assert parse_plugin(spec_of(one)) == one and hash(one) == hash(parse_plugin(spec_of(one)))
        data = json.loads(json.dumps(parse_plan(one).json()))
        assert type(one)(**{k: v for k, v in data.items() if k != "name"}) == one and data["name"] == one.name


def test_what_an_encoder_lacks_is_said_in_one_sentence(selector, monkeypatch):
    bare = toys.frame_cls(classes=None)
    monkeypatch.setattr(type(bare), "offers", frozenset())
    if not selector.requires:
        assert misfit(selector, bare.offers, bare.name) is None
        return
    needs = " and ".join(sorted(selector.requires))
    sentence = f"{selector.name} needs {needs}, which the encoder toy-frame-cls does not offer."
    with pytest.raises(ValueError) as error:
        run(CLIP, encoder=bare, selector=selector, cache=False)
    assert str(error.value) == sentence == misfit(type(selector), bare.offers, bare.name)
