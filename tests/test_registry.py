"""The registry: a class in one file, or in a notebook cell, is known everywhere at once."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass

import patchlens
import pytest
import torch
import toys
from patchlens import registry
from patchlens.keep import TopK
from patchlens.knobs import knob
from patchlens.pipeline import run
from patchlens.registry import find, knob_values, misfit, plugins, reading_of, register
from patchlens.specs import parse_plan, spec_of
from patchlens.types import Scores


@pytest.fixture
def bright():
    """A selector written as in a notebook cell, and forgotten after the test."""
    known = plugins()

    @register("bright")
    @dataclass(frozen=True)
    class Bright:
        """Keep the brightest patches."""

        keep: float = knob(0.5, 0.01, 1.0)
        power: int = knob(1, 1, 4, stage="score")
        monotone = True

        def score(self, tokens, context):
            return Scores(tokens.patches.float().flatten(1).mean(1) ** self.power, "grey level")

        def rule(self):
            return TopK(self.keep)

    yield Bright
    registry._PLUGINS["selector"].clear()
    registry._PLUGINS["selector"].update(known)


def test_what_ships_is_registered():
    wanted = {
        "everything",
        "random",
        "uniform",
        "center",
        "rlt",
        "rlt-topk",
        "motion",
        "attention",
        "saliency",
        "oracle",
    }
    assert wanted <= set(plugins("selector"))
    assert find("rlt") is patchlens.RLT and find("rlt").name == "rlt"


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(KeyError, match="There is no selector named 'rtl'; choose one of .*random.*rlt"):
        find("rtl")


def test_a_class_from_a_notebook_cell_works_everywhere(bright, space_time):
    assert find("bright") is bright
    assert spec_of(bright(keep=0.25)) == "bright:keep=0.25"
    assert parse_plan("bright:keep=0.25,power=2").selectors == (bright(0.25, 2),)
    trace = run(toys.clip(), encoder=space_time, selector="bright:keep=0.25", cache=False)
    kept = trace.scores.values[trace.keep.mask]
    assert trace.keep.count == 15 and kept.min() > trace.scores.values[~trace.keep.mask].max()


def test_the_same_cell_run_again_replaces_the_class(bright):
    @register("bright")
    @dataclass(frozen=True)
    class Brighter:
        """Another one."""

    assert find("bright") is Brighter


def test_a_changed_cell_is_not_served_from_the_cache(bright, space_time):
    """A class from a notebook may change without changing its name, so its scores are made anew."""
    first = run(toys.clip(seed=41), encoder=space_time, selector="bright").scores.values
    bright.score = lambda self, tokens, context: Scores(-first, "minus")
    assert torch.equal(run(toys.clip(seed=41), encoder=space_time, selector="bright").scores.values, -first)


def test_knobs_are_checked_when_a_selector_is_made(bright):
    assert bright("0.25").keep == 0.25, "text becomes a number"
    for bad in (dict(keep=0), dict(keep=1.01), dict(power=1.5)):
        with pytest.raises(ValueError, match="give a"):
            bright(**bad)
    with pytest.raises(TypeError):
        bright(keeps=0.5)
    with pytest.raises(FrozenInstanceError):
        bright().keep = 0.1
    assert bright(0.5) == bright() and hash(bright(0.5)) == hash(bright())


def test_knob_values_of_one_stage(bright):
    made = bright(0.25, 2)
    assert knob_values(made) == {"keep": 0.25, "power": 2}
    assert knob_values(made, "score") == {"power": 2} and knob_values(made, "keep") == {"keep": 0.25}


def test_a_misfit_is_one_sentence():
    oracle = patchlens.Oracle()
    assert misfit(oracle, {"logits", "gradients", "attention"}, "tiny-video") is None
    sentence = "oracle needs gradients and logits, which the encoder toy does not offer."
    assert misfit(oracle, {"attention"}, "toy") == sentence == misfit(patchlens.Oracle, {"attention"}, "toy")


def test_selectors_say_what_they_want_of_the_decoder():
    assert reading_of([]) == reading_of([find("random")()]) == {}
    assert reading_of([find("random")(), find("motion")()]) == {"motion": True}
    assert reading_of([find("residualvit")()]) == {"motion": True, "window": 11}, "ResidualViT's window"
    assert reading_of([find("residualvit")(drop="uniform")]) == {}
    assert reading_of([find("residualvit")(drop="uniform")], motion=True) == {"motion": True, "window": 11}
