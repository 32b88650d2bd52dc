"""Knobs: one declaration, checked values, sentences with the value, the bound and the cure."""

from __future__ import annotations

from dataclasses import dataclass, fields

import pytest
from patchlens.knobs import Knob, choice, knob, knobs_of, text


@dataclass(frozen=True)
class Example:
    """A plug-in with a knob of every kind, and a field that is none."""

    tau: float = knob(0.1, 0.0, 2.0, step=0.005, unit="grey levels", help="how much")
    count: int = knob(3, 1, 9, stage="score")
    per: str = choice("clip", ("clip", "frame"))
    label: str = text("auto", help="a class")
    other: int = 5


def test_knobs_come_in_order_with_all_that_was_declared():
    tau, count, per, label = knobs_of(Example)
    assert tau == Knob("tau", 0.1, "float", 0.0, 2.0, 0.005, (), "grey levels", "keep", "how much")
    assert (count.kind, count.default, count.stage) == ("int", 3, "score")
    assert (per.kind, per.options, per.stage) == ("choice", ("clip", "frame"), "keep")
    assert (label.kind, label.stage) == ("text", "score")
    assert [f.name for f in fields(Example)][-1] == "other", "a plain field is no knob"


VALUES = [
    ("tau", 0.2, 0.2, "a number"),
    ("tau", "0.2", 0.2, "text, as the command line gives it"),
    ("tau", " 1e-1 ", 0.1, "any way to write a number"),
    ("tau", 1, 1.0, "a whole number for a float"),
    ("tau", 0.0, 0.0, "the lower bound"),
    ("tau", 2.0, 2.0, "the upper bound"),
    ("count", "4", 4, "text for a whole number"),
    ("count", 4.0, 4, "a float that is whole"),
    ("per", "frame", "frame", "an option"),
    ("label", 7, "7", "text takes anything"),
]


@pytest.mark.parametrize(("name", "value", "expected", "why"), VALUES, ids=[v[-1] for v in VALUES])
def test_a_value_becomes_the_knobs_type(name, value, expected, why):
    (one,) = (k for k in knobs_of(Example) if k.name == name)
    found = one.check(value)
    assert found == expected and type(found) is type(expected)


BAD = [
    ("tau", 2.1, "tau is 2.1; give a number from 0 to 2."),
    ("tau", -1e-9, "tau is -1e-09; give a number from 0 to 2."),
    ("tau", float("nan"), "tau is nan; give a number from 0 to 2."),
    ("tau", "inf", "tau is inf; give a number from 0 to 2."),
    ("tau", "much", "tau is 'much'; give a number from 0 to 2."),
    ("tau", None, "tau is None; give a number from 0 to 2."),
    ("tau", "", "tau is ''; give a number from 0 to 2."),
    ("count", 2.5, "count is 2.5; give a whole number from 1 to 9."),
    ("count", 10, "count is 10; give a number from 1 to 9."),
    ("per", "video", "per is 'video'; choose one of clip, frame."),
]


@pytest.mark.parametrize(("name", "value", "sentence"), BAD)
def test_a_bad_value_is_one_sentence_with_value_bound_and_cure(name, value, sentence):
    (one,) = (k for k in knobs_of(Example) if k.name == name)
    with pytest.raises(ValueError) as error:
        one.check(value)
    assert str(error.value) == sentence


def test_bounds_in_words():
    assert [k.bounds for k in knobs_of(Example)] == ["from 0 to 2", "from 1 to 9", "clip | frame", "any text"]
