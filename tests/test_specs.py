"""The one grammar that says a plan everywhere, and requests as JSON."""

from __future__ import annotations

import json

import patchlens
import pytest
from hypothesis import given
from hypothesis import strategies as st
from patchlens.knobs import knobs_of
from patchlens.registry import plugins
from patchlens.specs import ClipSpec, EncoderSpec, Plan, Request, parse_plan, parse_plugin, spec_of

ROUND = [
    ("rlt:tau=0.1", patchlens.RLT(), "a numeric dial is always said"),
    ("center:keep=0.5", patchlens.Center(), "a default that is no dial is not"),
    ("rlt:tau=0.2", patchlens.RLT(0.2), "one knob"),
    ("random:keep=0.29,per=frame", patchlens.Random(0.29, "frame"), "two knobs"),
    (
        "oracle:keep=0.25,label=left to right,block=-2",
        patchlens.Oracle(0.25, "left to right", "-2"),
        "text with spaces",
    ),
    (
        "oracle:keep=0.5,label=a%2C b %2B c",
        patchlens.Oracle(label="a, b + c"),
        "text that holds the grammar's own signs",
    ),
    ("oracle:keep=0.5,label=50%25 : x=y", patchlens.Oracle(label="50% : x=y"), "the other signs"),
    ("oracle:keep=0.5,label=%C3%BCber", patchlens.Oracle(label="über"), "beyond ASCII"),
    (
        "residualvit:n=3,p=0.5,drop=attention:block=2,reach=0",
        patchlens.ResidualViT(3, 0.5, "attention:block=2"),
        "a plan inside a plan",
    ),
    ("oracle:keep=0.5,label=", patchlens.Oracle(label=""), "empty text"),
]


@pytest.mark.parametrize(("spec", "made", "why"), ROUND, ids=[r[-1] for r in ROUND])
def test_a_spec_and_its_selector_say_the_same(spec, made, why):
    assert parse_plugin(spec) == made
    assert spec_of(made) == spec


LOOSE = [
    (" rlt:tau=0.2 ", "rlt:tau=0.2", "spaces around"),
    ("rlt: tau = 0.2", "rlt:tau=0.2", "spaces inside"),
    ("rlt", "rlt:tau=0.1", "a default left out"),
    ("rlt:", "rlt:tau=0.1", "no knob after the colon"),
    ("rlt:tau=2e-1,", "rlt:tau=0.2", "a comma too many"),
]


@pytest.mark.parametrize(("loose", "spec", "why"), LOOSE, ids=[r[-1] for r in LOOSE])
def test_loose_writing_is_understood(loose, spec, why):
    assert str(parse_plan(loose)) == spec


BAD = [
    ("", ValueError, "The plan is empty; give a selector such as rlt:tau=0.1."),
    ("  ", ValueError, "The plan is empty"),
    ("rtl", KeyError, "There is no selector named 'rtl'"),
    ("rlt+", KeyError, "There is no selector named ''"),
    ("rlt:tua=1", ValueError, "'tua=1' in 'rlt:tua=1' is not a knob=value of rlt; it takes tau"),
    ("rlt:0.1", ValueError, "'0.1' in 'rlt:0.1' is not a knob=value of rlt; it takes tau"),
    ("rlt:tau", ValueError, "'tau' in 'rlt:tau' is not a knob=value of rlt; it takes tau"),
    ("everything:keep=1", ValueError, "is not a knob=value of everything; it takes no knobs."),
    ("rlt:tau=-1", ValueError, "tau is -1; give a number from 0 to 2."),
    ("rlt:tau=x", ValueError, "tau is 'x'; give a number from 0 to 2."),
    ("random:per=all", ValueError, "per is 'all'; choose one of clip, frame."),
    ("rlt+residualvit", ValueError, "residualvit stands alone in a plan; name the selector inside it by its drop"),
    ("residualvit:drop=moton", KeyError, "There is no selector named 'moton'"),
    ("residualvit:drop=residualvit", ValueError, "a schedule cannot stand inside another"),
    ("residualvit:n=11", ValueError, "n is 11; give a number from 1 to 10."),
    ("rlt:tau=0.1+random:keep=2", ValueError, "keep is 2; give a number from 0.01 to 1."),
]


@pytest.mark.parametrize(("spec", "error", "sentence"), BAD)
def test_a_bad_plan_is_one_sentence(spec, error, sentence):
    with pytest.raises(error) as raised:
        parse_plan(spec)
    assert sentence in raised.value.args[0]


@st.composite
def selectors(draw):
    """Any selector with any knob values."""
    cls = draw(st.sampled_from([c for c in plugins().values() if c.__module__.startswith("patchlens.")]))
    values = {}
    for k in knobs_of(cls):
        if k.name == "drop":
            values[k.name] = draw(st.sampled_from(["motion", "uniform", "attention:block=1", "oracle:label=a%2Bb"]))
        elif k.kind == "choice":
            values[k.name] = draw(st.sampled_from(k.options))
        elif k.kind == "text":
            values[k.name] = draw(st.text(max_size=12).map(str.strip))
        elif k.kind == "int":
            values[k.name] = draw(st.integers(int(k.low), int(k.high)))
        else:
            values[k.name] = draw(st.floats(k.low, k.high))
    return cls(**values)


@given(st.lists(selectors(), min_size=1, max_size=3))
def test_any_plan_survives_the_grammar(chosen):
    plan = Plan(tuple(chosen[:1] if any(getattr(s, "alone", False) for s in chosen) else chosen))
    assert parse_plan(str(plan)) == plan, "to the last digit: a share link must keep the same tokens"


def test_a_plan_may_be_text_a_selector_or_a_plan():
    plan = parse_plan("rlt:tau=0.2+random:keep=0.25")
    assert plan == Plan((patchlens.RLT(0.2), patchlens.Random(0.25))) == parse_plan(plan)
    assert parse_plan(patchlens.RLT(0.2)) == Plan((patchlens.RLT(0.2),))
    assert plan.requires == frozenset() and parse_plan("rlt+oracle").requires == {"logits", "gradients"}


def test_a_plan_as_json_is_flat_for_one_selector():
    rlt = {"pool": "plain", "compensate": "off"}
    assert parse_plan("rlt:tau=0.2").json() == {"name": "rlt", "tau": 0.2, **rlt}
    chain = parse_plan("rlt+random:keep=0.25").json()
    assert chain == {"name": "rlt", "tau": 0.1, **rlt, "then": [{"name": "random", "keep": 0.25, "per": "clip"}]}


REQUESTS = [
    Request(ClipSpec("ab" * 32)),
    Request(
        ClipSpec("cd" * 32, None, 4.5, (1.25, 7.5)),
        EncoderSpec("videomae-base", "random", "cpu", "float32", 3),
    ),
    Request(ClipSpec("ef" * 32, 8), EncoderSpec(), "rlt:tau=0.2+random", None, "left to right", 9),
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_request_is_json_both_ways_and_hashable(request_):
    text = request_.to_json()
    assert Request.from_json(text) == request_ and hash(Request.from_json(text)) == hash(request_)
    assert text == json.dumps(json.loads(text), sort_keys=True), "sorted keys"
