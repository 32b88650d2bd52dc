"""LITE and LITE++ on toys: what the network computes and costs, what the file must be, how the budget follows a clip."""

from __future__ import annotations

from dataclasses import replace

import patchlens as pl
import pytest
import torch
import toys
from patchlens.encoders.catalog import CATALOG
from patchlens.evaluation.counted import flop_counter
from patchlens.flops import mlp_cost, vit_cost
from patchlens.glance import Glance, GlanceConfig, glance_gmacs, write_glance
from patchlens.keep import Adaptive
from patchlens.ranker import Ranker, RankerConfig, rank, ranker_gmacs, write_ranker
from patchlens.registry import misfit
from patchlens.selectors.lite import Lite
from patchlens.selectors.litepp import LitePlusPlus
from patchlens.specs import parse_plugin, spec_of

CLIP = toys.clip(8, seed=5)
BRANCHES = ("none", "block", "global")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Random networks for both toys, written as their trainings write them: {encoder name: (selector, glance)}."""
    folder, out = tmp_path_factory.mktemp("networks"), {}
    for name, width, branch in (("toy-space-time", 32, "global"), ("toy-frame-cls", 24, "block")):
        ranker = toys.redraw(Ranker(RankerConfig(width, (8, 4), branch, 8)), 3)
        glance = toys.redraw(Glance(GlanceConfig(6, 8, 16, (4, 4, 8))), 4)
        out[name] = folder / f"{name}.lite.safetensors", folder / f"{name}.glance.safetensors"
        write_ranker(out[name][0], ranker, {"encoder": name, "data": "toys"})
        write_glance(out[name][1], glance, {"encoder": name})
    return out


@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("segments", [1, 3])
def test_its_cost_is_what_runs(branch, segments):
    config = RankerConfig(32, (16, 8), branch, 8)
    ranker, x = Ranker(config).eval(), torch.randn(segments, 24, 32)
    with flop_counter() as counter, torch.no_grad():
        ranker(x, (2, 3, 4))
    assert counter.get_total_flops() / 2e9 == pytest.approx(ranker_gmacs(config, segments, 24), rel=1e-9)


def test_the_default_costs_a_third_of_a_gigamac_at_videomae_base():
    """LITE's figure: less than half a percent of the full pass, the branches included."""
    video = replace(CATALOG["videomae-base"], outputs=174)
    full = vit_cost(video, [1568]).total
    plain = ranker_gmacs(RankerConfig(768), 1, 1568)
    assert plain == mlp_cost(1568, (768, 256, 64, 1)).total == pytest.approx(0.334, abs=1e-3)
    for branch in BRANCHES:
        assert ranker_gmacs(RankerConfig(768, branch=branch), 1, 1568) < 0.005 * full


def test_without_a_branch_a_token_is_judged_by_itself_and_with_one_by_its_neighbours():
    x = torch.randn(1, 24, 16)
    other = x.clone()
    other[0, 5] += 1
    for branch in BRANCHES:
        ranker = toys.redraw(Ranker(RankerConfig(16, (8,), branch, 8)), 1)
        changed = (ranker(x, (2, 3, 4)) != ranker(other, (2, 3, 4)))[0]
        assert changed[5] and int(changed.sum()) == (1 if branch == "none" else 24)


def test_frames_of_a_frame_encoder_are_ranked_apart(frame_cls):
    tokens = frame_cls.tokens(CLIP)
    ranker = toys.redraw(Ranker(RankerConfig(24, (8,), "global", 8)), 1)
    x = tokens.embed()
    spoilt = x.clone()
    spoilt[:15] = 0
    a, b = rank(ranker, frame_cls, x, tokens.grid), rank(ranker, frame_cls, spoilt, tokens.grid)
    assert torch.equal(a[15:], b[15:]) and not torch.equal(a[:15], b[:15])


def test_a_run_counts_network_and_every_embedding(encoder, files):
    trace = pl.run(CLIP, encoder=encoder, selector=Lite(keep=0.4, weights=str(files[encoder.name][0])), cache=False)
    n = trace.grid.n
    assert trace.keep.count == int(0.4 * n) and trace.scores.values.min() > 0 and trace.scores.values.max() < 1
    segments = 1 if encoder.segments == "clip" else 8
    config = RankerConfig(encoder.config.width, (8, 4), "global" if segments == 1 else "block", 8)
    assert trace.report.selector_gmacs == pytest.approx(ranker_gmacs(config, segments, n // segments))
    each = encoder.config.patch_dim * encoder.config.width / 1e9
    kept_only = vit_cost(encoder.config, encoder.counts(trace.keep)).total
    assert trace.report.reduced.total == pytest.approx(kept_only + (n - trace.keep.count) * each)
    cost = trace.encoder["cost"]
    a, b, c = cost["per_segment"]
    polynomial = cost["once"] + sum(a + b * k + c * k * k for k in encoder.counts(trace.keep))
    assert polynomial == pytest.approx(trace.report.reduced.total)
    plain = encoder.encode(encoder.tokens(CLIP), trace.keep)
    torch.testing.assert_close(trace.encoding.pooled, plain.pooled, rtol=1e-5, atol=1e-6)


def test_what_it_needs_is_said_before_running(space_time, files):
    sentence = "lite needs a trained selector, which the encoder toy-space-time does not offer."
    assert misfit(Lite(), space_time.offers, space_time.name) == sentence
    own = Lite(weights=str(files["toy-space-time"][0]))
    assert misfit(own, space_time.offers, space_time.name) is None and parse_plugin(spec_of(own)) == own


def test_litepp_needs_what_it_is_not_given_by_file(space_time, files):
    lite, glance = (str(p) for p in files["toy-space-time"])
    with_selector = space_time.offers | {"a trained selector"}
    assert "a trained selector" in misfit(LitePlusPlus(), space_time.offers, "x")
    assert "a trained glance" in misfit(LitePlusPlus(weights=lite), space_time.offers, "x")
    assert "a trained glance" in misfit(LitePlusPlus(), with_selector, "x"), "as tiny-clip: a selector ships and no glance"
    assert misfit(LitePlusPlus(glance=glance), with_selector, "x") is None
    assert misfit(LitePlusPlus(weights=lite, glance=glance), space_time.offers, "x") is None


REFUSED = [
    ("toy-frame-cls", "ranks embeddings of width 24, and those of toy-space-time have 32; train one"),
    ("absent", "There is no file absent; make it with `patchlens train lite --encoder toy-space-time`"),
    ("glance", "is no selector of PatchLens"),
]


@pytest.mark.parametrize(("which", "sentence"), REFUSED, ids=[r[0] for r in REFUSED])
def test_another_file_is_one_sentence(space_time, files, which, sentence):
    path = {"glance": files["toy-space-time"][1], "absent": "absent"}.get(which) or files[which][0]
    with pytest.raises(ValueError, match=sentence):
        pl.run(CLIP, encoder=space_time, selector=Lite(weights=str(path)), cache=False)


def test_a_selector_of_another_encoder_says_so(space_time, tmp_path):
    write_ranker(tmp_path / "x.safetensors", Ranker(RankerConfig(32)), {"encoder": "other"})
    trace = pl.run(CLIP, encoder=space_time, selector=Lite(weights=str(tmp_path / "x.safetensors")), cache=False)
    assert any("was trained for other, and ranks tokens of toy-space-time" in note for note in trace.notes)


def test_a_file_written_anew_is_read_anew_past_the_cache(space_time, tmp_path):
    cache, path = pl.cache.Cache(tmp_path / "cache"), tmp_path / "x.safetensors"
    made = []
    for seed in (1, 2):
        write_ranker(path, toys.redraw(Ranker(RankerConfig(32, (4,))), seed), {"encoder": "toy-space-time"})
        made.append(pl.run(CLIP, encoder=space_time, selector=Lite(weights=str(path)), cache=cache).scores.values)
    assert not torch.equal(*made)


# --- LITE++ ---

BUDGETS = [
    (dict(), 0.1, 0.5, "in doubt: the base budget"),
    (dict(give_up=True), 0.1, 0.3, "in doubt and given up"),
    (dict(), 0.5, 0.5, "in between"),
    (dict(), 0.6, 0.5, "at the threshold: not above"),
    (dict(), 0.61, 0.3, "easy"),
    (dict(keep=0.3), 0.9, 0.2, "the paper's 0.2 for 0.3"),
    (dict(keep=0.15), 0.9, 0.1, "two thirds below"),
    (dict(smooth=True), 0.4, 0.4, "half-way down the line"),
    (dict(smooth=True), 0.2, 0.5, "where the line begins"),
    (dict(smooth=True), 0.7, 0.3, "past the line"),
    (dict(smooth=True, low=0.6, high=0.6), 0.6, 0.5, "a line without length is a step"),
]


@pytest.mark.parametrize(("changed", "sure", "ratio", "why"), BUDGETS, ids=[b[-1] for b in BUDGETS])
def test_the_budget_follows_confidence(changed, sure, ratio, why):
    rule = Adaptive(**{"keep": 0.5, "easy": 0.3, "low": 0.2, "high": 0.6, **changed})
    assert rule.ratio(sure) == pytest.approx(ratio)


def test_a_run_keeps_what_the_glance_says_and_pays_for_it(encoder, files):
    lite, glance = (str(p) for p in files[encoder.name])
    made = {}
    for high in (0.0, 1.0):
        selector = LitePlusPlus(keep=0.5, easy=0.2, high=high, low=0.0, weights=lite, glance=glance)
        made[high] = pl.run(CLIP, encoder=encoder, selector=selector, cache=False)
    n = made[0.0].grid.n
    assert [t.keep.count for t in made.values()] == [int(0.2 * n + 1e-9), int(0.5 * n + 1e-9)]
    plain = pl.run(CLIP, encoder=encoder, selector=Lite(keep=0.5, weights=lite), cache=False)
    assert torch.equal(made[1.0].keep.mask, plain.keep.mask)
    own = made[1.0].report.selector_gmacs - plain.report.selector_gmacs
    assert own == pytest.approx(glance_gmacs(GlanceConfig(6, 8, 16, (4, 4, 8))))
    facts = made[1.0].scores.facts
    assert 1 / 6 <= facts["confidence"] <= 1 and facts["glance"] in toys.CLASSES


def test_the_glances_cost_is_what_runs():
    for config in (GlanceConfig(6), GlanceConfig(3, 5, 20, (4, 8, 8))):
        frames = torch.randint(0, 255, (1, 9, 24, 30, 3), dtype=torch.uint8)
        with flop_counter() as counter, torch.no_grad():
            Glance(config)(frames)
        assert counter.get_total_flops() / 2e9 == pytest.approx(glance_gmacs(config), rel=1e-9)
