"""One contract for every registered merger: a new file in `mergers/` is tested the moment it exists."""

from __future__ import annotations

import json
import tempfile
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import pytest
import torch
import toys
from patchlens.evaluation.budgets import dial
from patchlens.flops import merged_cost, vit_cost
from patchlens.knobs import knobs_of
from patchlens.merge import Look, cuts, mean_share
from patchlens.pipeline import run
from patchlens.pruner import Pruner, PrunerConfig, write_pruner
from patchlens.registry import misfit, plugins
from patchlens.specs import Request, parse_merger, spec_of
from patchlens.types import Encoding, Keep
from patchlens.views.report import trace_json
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

MERGERS = {name: cls for name, cls in sorted(plugins("merger").items()) if cls.__module__.startswith("patchlens.")}
CLIPS = [toys.clip(8, seed=s) for s in (31, 32, 33)]


@pytest.fixture(params=MERGERS)
def merger(request):
    """Every merger with its defaults."""
    return MERGERS[request.param]()


def fit(merger, encoder):
    """The merger as this encoder can run it: one that is trained gets weights of its width."""
    merger = with_weights(merger, encoder.config.width)
    if problem := misfit(merger, encoder.offers, encoder.name):
        pytest.skip(problem)
    return merger


def with_weights(merger, width: int):
    """Random ones, for a merger that takes a file."""
    return replace(merger, weights=random_pruner(width)) if hasattr(merger, "weights") else merger


@cache
def random_pruner(width: int) -> str:
    path = Path(tempfile.mkdtemp()) / "pruner.safetensors"
    write_pruner(path, toys.redraw(Pruner(PrunerConfig(width)), width), {})
    return str(path)


def at(merger, r: int):
    """The merger with r at that, or with a share kept that lets so many of ten go."""
    knob = dial(merger)
    return replace(merger, **{knob.name: min(r, knob.high) if knob.kind == "int" else max(knob.low, 1 - r / 10)})


def strengths(merger) -> list:
    """The merger at several settings of its dial, and with every choice of its other knobs."""
    choices = [replace(merger, **{k.name: o}) for k in knobs_of(type(merger)) if k.kind == "choice" for o in k.options]
    return [merger, *(at(merger, r) for r in (0, 1, 2, 3, 5, 900))] + choices


def clip_keep(encoder, i: int, count: int) -> Keep:
    return toys.some(encoder.tokens(CLIPS[i]).grid, count, seed=i, first=5)


def same(a: Encoding, b: Encoding, near: float = 1e-5) -> bool:
    pairs = ((a.tokens, b.tokens), (a.pooled, b.pooled), (a.logits, b.logits))
    return torch.equal(a.groups, b.groups) and all(torch.allclose(x, y, atol=near, rtol=near) for x, y in pairs)


def test_groups_say_where_every_token_went(merger, encoder):
    merger = fit(merger, encoder)
    tokens, front = encoder.tokens(CLIPS[0]), encoder.config.prefix
    keep = clip_keep(encoder, 0, 31)
    for one in strengths(merger):
        made = encoder.encode(tokens, keep, merger=one)
        groups = made.groups
        assert groups.shape == (tokens.grid.n,) and groups.dtype == torch.int64
        alive = groups[groups >= 0].unique()
        assert torch.equal(groups[alive], alive), "the token that a group is named for is part of it"
        assert bool((groups[~keep.mask] == -1).all()) and keep.mask[alive].all()
        left = sum(one.lengths(k + front, encoder.config.depth, front)[-1][1] - front for k in encoder.counts(keep))
        assert len(alive) == len(made.tokens) == left >= len(encoder.counts(keep))
        if encoder.segments == "frame":
            here = (groups >= 0).nonzero().squeeze(1)
            assert torch.equal(groups[here] // 15, here // 15), "nothing leaves its frame"


def test_nothing_to_merge_is_the_plain_model(merger, encoder):
    merger = fit(merger, encoder)
    tokens = encoder.tokens(CLIPS[0])
    plain, idle = encoder.encode(tokens), encoder.encode(tokens, merger=at(merger, 0))
    torch.testing.assert_close((idle.tokens, idle.logits), (plain.tokens, plain.logits), rtol=1e-6, atol=1e-6)
    assert torch.equal(idle.groups, torch.arange(tokens.grid.n))
    assert merged_cost(encoder.config, at(merger, 0), [15, 7]) == (vit_cost(encoder.config, [15, 7]), 0)


def test_packed_is_per_clip_is_masked(merger, encoder):
    merger = fit(merger, encoder)
    tokens = [encoder.tokens(c) for c in CLIPS]
    keeps = [None, clip_keep(encoder, 1, 31), clip_keep(encoder, 2, 31)]
    for one in strengths(merger):
        packed = encoder.encode_many(tokens, keeps, merger=one)
        masked = encoder.encode_many(tokens, keeps, backend="masked", merger=one)
        for made, other, x, keep in zip(packed, masked, tokens, keeps, strict=True):
            assert same(made, encoder.encode(x, keep, merger=one))
            assert same(made, other, 3e-4), "another kernel's round-off, stretched by saliency and log size"


def test_gradients_are_those_of_each_clip_alone(merger, space_time):
    merger = fit(merger, space_time)
    torch.manual_seed(0)
    start, counts = torch.randn(60 + 31, 32), (60, 31)
    results = []
    for parts in ([(start, counts)], [(x, (len(x),)) for x in start.split(counts)]):
        leaves = [x.clone().requires_grad_() for x, _ in parts]
        for leaf, (_, count) in zip(leaves, parts, strict=True):
            space_time.vit(leaf, count, merger=at(merger, 3)).out.square().sum().backward()
        results.append(torch.cat([x.grad for x in leaves]))
    assert results[0].abs().sum() > 0
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


def test_the_closed_form_is_half_of_torchs_count(merger, encoder):
    merger = fit(merger, encoder)
    vit, front = encoder.vit, encoder.config.prefix
    counts = (15, 15, 9, 4) if encoder.segments == "frame" else (60, 31)
    for one in strengths(merger):
        patches = torch.zeros(sum(counts), encoder.config.patch_dim)
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
            vit(vit.embed(patches, torch.arange(len(patches)) % 15), counts, merger=one)
        cost, own = merged_cost(encoder.config, one, counts)
        assert counter.get_total_flops() == pytest.approx(2e9 * (cost.total + own), rel=1e-12)
        shares = [mean_share(one.lengths(k + front, encoder.config.depth, front), front) for k in counts]
        assert all(0 < s <= 1 for s in shares) and (shares[0] == 1) == (one == at(one, 0))


def test_protected_tokens_stay_in_front_and_nothing_joins_them(merger):
    torch.manual_seed(1)
    merger = with_weights(merger, 8)
    for front in (0, 1, 2, 3):
        for cut in cuts(at(merger, 4).lengths(40 + front, 3, front), front):
            x, q, k = torch.randn(2, cut.length, 8), *torch.randn(2, 2, cut.length, 2, 4)
            look = Look(x, q, k, torch.rand(2, cut.length) + 1, cut.left, front, cut.block, cut.depth)
            made = at(merger, 4).decide(look)
            assert made.stay.shape == (2, cut.left) and made.into.shape == (2, cut.length)
            assert torch.equal(made.stay[:, :front], torch.arange(front).expand(2, -1))
            assert torch.equal(made.into[:, :front], torch.arange(front).expand(2, -1))
            assert bool(((made.into[:, front:] >= front) | (made.into[:, front:] == -1)).all())
            assert torch.equal(made.into.gather(1, made.stay), torch.arange(cut.left).expand(2, -1))
            shorter, size = made.apply(x)
            torch.testing.assert_close(shorter[:, :front], x[:, :front])
            torch.testing.assert_close(size[:, :front], look.size[:, :front])


def test_a_run_with_a_selector_and_a_merger(merger, encoder):
    merger = fit(merger, encoder)
    options = dict(encoder=encoder, selector="rlt:tau=0.1", merger=at(merger, 2), cache=False)
    trace, again = run(CLIPS[0], **options), run(CLIPS[0], **options)
    assert torch.equal(trace.encoding.groups, again.encoding.groups)
    assert torch.equal(trace.encoding.pooled, again.encoding.pooled)
    r, counts = trace.report, encoder.counts(trace.keep)
    assert r.tokens_kept == trace.keep.count > r.tokens_left == len(trace.encoding.tokens)
    cost, own = merged_cost(encoder.config, at(merger, 2), counts)
    assert r.reduced == cost and r.selector_gmacs == own + trace.scores.gmacs
    assert cost.total < vit_cost(encoder.config, counts).total and own > 0
    assert trace.request.merger == spec_of(at(merger, 2)) == trace_json(trace)["merger"]
    assert trace_json(trace)["tokens"]["left"] == r.tokens_left
    assert Request.from_json(trace.request.to_json()) == trace.request


def test_its_knobs_say_what_they_are_and_survive_the_grammar(merger):
    assert [k.name for k in knobs_of(type(merger))] == [f.name for f in fields(merger)], "every field is a knob"
    for k in knobs_of(type(merger)):
        assert k.check(k.default) == k.default and k.help and (k.kind in ("choice", "text") or (k.unit and k.step > 0))
    for one in strengths(merger):
        assert parse_merger(spec_of(one)) == one and json.loads(json.dumps(spec_of(one)))
    assert parse_merger(merger) is merger and parse_merger(None) is None


def test_what_an_encoder_lacks_is_said_in_one_sentence(frame_cls):
    sentence = "sta needs space-time attention, which the encoder toy-frame-cls does not offer."
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        run(CLIPS[0], encoder=frame_cls, merger="sta:r=1", cache=False)
    with pytest.raises(KeyError, match="no merger named 'tom'"):
        run(CLIPS[0], encoder=frame_cls, merger="tom", cache=False)
