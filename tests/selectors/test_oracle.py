"""The oracle: whose logit is explained, at which block, and how ties and empty maps are handled."""

from __future__ import annotations

import patchlens
import pytest
import torch
import toys
from patchlens.gradcam import token_values, token_values_gmacs, unit_range
from patchlens.keep import keep_of
from patchlens.selectors.oracle import Oracle, class_number

CLIP = toys.clip(8, seed=21)


def score(encoder, selector: Oracle | None = None, label: str | int | None = None):
    """The oracle's scores of a toy clip."""
    return (selector or Oracle()).score(encoder.tokens(CLIP), toys.context(encoder, CLIP, label))


NUMBERS = [
    ("left to right", 2, "by name"),
    ("LEFT TO RIGHT", 2, "capitals do not matter"),
    ("rising", 0, "nor where the class has them"),
    ("a, b + c", 3, "names may hold the grammar's signs"),
    ("4", 4, "by number"),
    (5, 5, "a number"),
    ("7 things", 5, "a name that begins with a number"),
]


@pytest.mark.parametrize(("label", "number", "why"), NUMBERS, ids=[n[-1] for n in NUMBERS])
def test_a_class_by_name_or_number(label, number, why):
    assert class_number(toys.CLASSES, label) == number


def test_a_number_is_a_number_even_where_classes_are_called_by_numbers():
    """MNIST-like names in another order: text is looked up among the names, a number never."""
    assert class_number(("1", "0"), "1") == 0
    assert class_number(("1", "0"), 1) == 1


@pytest.mark.parametrize("label", ["flying", "6", "-1", 6, "²", ""])
def test_an_unknown_class_is_one_sentence_with_the_known_ones(label):
    with pytest.raises(ValueError) as error:
        class_number(toys.CLASSES, label)
    known = "Rising, falling, left to right, a, b + c, still, 7 things."
    assert str(error.value) == f"The encoder knows no class {label!r}; it knows 6: {known}"


LABELS = [
    (Oracle(), None, None, "predicted", "nothing given: the predicted class"),
    (Oracle(), "falling", 1, "given", "the label of the clip"),
    (
        Oracle(label="predicted"),
        "falling",
        None,
        "predicted",
        "the knob says predicted although a label is given",
    ),
    (Oracle(label="still"), "falling", 4, "given", "the knob's class wins over the clip's"),
    (Oracle(label="3"), None, 3, "given", "by number"),
]


@pytest.mark.parametrize(
    ("selector", "label", "number", "origin", "why"), LABELS, ids=[x[-1] for x in LABELS]
)
def test_whose_logit_is_explained(space_time, selector, label, number, origin, why):
    scores = score(space_time, selector, label)
    predicted = int(space_time.encode(space_time.tokens(CLIP)).logits.argmax())
    number = predicted if number is None else number
    (value,) = token_values(space_time, [space_time.tokens(CLIP)], [number], -1)
    assert torch.equal(scores.fine, value.signed) and torch.equal(scores.values, unit_range(value.signed))
    assert (scores.facts["label"], scores.facts["label_from"]) == (toys.CLASSES[number], origin)
    assert f"'{toys.CLASSES[number]}'" in scores.unit


def test_classes_give_different_maps(space_time):
    maps = [score(space_time, label=str(i)).fine for i in range(6)]
    assert all(not torch.allclose(a, b) for i, a in enumerate(maps) for b in maps[:i])


BLOCKS = [
    ("space_time", Oracle(), 2, "mean pooling: the last block"),
    ("frame_cls", Oracle(), 2, "class token: the one before the last of four"),
    ("space_time", Oracle(block="0"), 0, "chosen"),
    ("frame_cls", Oracle(block="-3"), 1, "chosen, from the end"),
]


@pytest.mark.parametrize(("name", "selector", "block", "why"), BLOCKS, ids=[b[-1] for b in BLOCKS])
def test_which_block_is_watched(request, name, selector, block, why):
    scores = score(request.getfixturevalue(name), selector)
    assert scores.facts["block"] == block and f"block {block}" in scores.unit


def test_a_models_card_may_name_block_gradient_and_sign():
    encoder = toys.space_time()
    blocks = {"own either": "mean", "own positive": "0", "mean positive": "1"}
    encoder.loaded.facts["oracle"] = {"gradient": "own", "signs": {"own": "either", "mean": "positive"}, "blocks": blocks}
    named = score(encoder)
    assert named.facts["block"] == [0, 1, 2] and (named.facts["gradient"], named.facts["sign"]) == ("own", "either")
    assert named.unit.startswith("|gradient x activation| of") and "blocks 0 to 2, their mean" in named.unit
    literal = score(encoder, Oracle(gradient="mean"))
    assert literal.facts["block"] == 1 and literal.unit.startswith("grad-cam of"), "each gradient has its own"
    one_sided = score(encoder, Oracle(sign="positive"))
    assert one_sided.facts["block"] == 0 and one_sided.unit.startswith("gradient x activation of")
    assert score(encoder, Oracle(block="-1")).facts["block"] == 2, "what is asked for wins"


def test_the_mean_of_blocks_is_the_mean_of_their_maps(encoder):
    one_by_one = [score(encoder, Oracle(block=str(b), gradient="own")).fine for b in range(encoder.config.depth)]
    for name, maps in (("mean", one_by_one), ("mean2", one_by_one[-2:])):
        mean = score(encoder, Oracle(block=name, gradient="own"))
        torch.testing.assert_close(mean.fine, torch.stack(maps).mean(0), rtol=1e-4, atol=1e-7)


def test_without_a_card_it_is_lites_definition(space_time):
    scores = score(space_time, Oracle(block="0"))
    assert (scores.facts["gradient"], scores.facts["sign"]) == ("mean", "positive")
    assert not torch.allclose(scores.fine, score(space_time, Oracle(block="0", gradient="own")).fine)


BAD_BLOCKS = [
    ("last", "block is 'last'; give auto or a block number"),
    ("9", "block is 9; "),
    ("mean4", "block is 'mean4'; give mean .all blocks. or mean1 to mean3"),
    ("meanest", "block is 'meanest'; give mean"),
    ("mean0", "block is 'mean0'; give mean"),
]


@pytest.mark.parametrize(("block", "sentence"), BAD_BLOCKS, ids=[b[0] for b in BAD_BLOCKS])
def test_a_block_that_is_not_there_is_one_sentence(space_time, block, sentence):
    with pytest.raises(ValueError, match=sentence):
        score(space_time, Oracle(block=block))


def test_ties_of_the_relu_fall_to_the_value_before_it(space_time):
    """With more tokens asked for than have a positive value, the least negative ones follow."""
    scores = score(space_time)
    positive = int((scores.values > 0).sum())
    assert 0 < positive < 50
    tokens = space_time.tokens(CLIP)
    k = positive + 5
    keep = keep_of([(scores, Oracle(keep=(k + 0.5) / 60).rule())], tokens.grid)
    assert keep.count == k
    assert set(keep.index.tolist()) == set(scores.fine.argsort(descending=True)[:k].tolist())


def test_the_map_runs_from_0_to_1(encoder):
    values = score(encoder).values
    assert values.min() == 0 and values.max() == 1 and values.dtype == torch.float32


def test_either_sign_ranks_by_magnitude(encoder):
    """What speaks against the answer counts as what speaks for it; the order is that of the signed map's magnitude."""
    plain, either = (score(encoder, Oracle(gradient="own", block="0", sign=s)) for s in ("positive", "either"))
    assert torch.equal(either.fine, plain.fine.abs()) and torch.equal(either.values, unit_range(plain.fine.abs()))
    assert either.unit.startswith("|gradient x activation|") and either.facts["sign"] == "either"
    ranks = score(encoder, Oracle(gradient="own", block="0", sign="either", clean="rank")).values
    assert torch.equal(ranks.argsort(stable=True), plain.fine.abs().argsort(stable=True))


def test_an_empty_map_of_a_class_token_says_why(frame_cls):
    scores = score(frame_cls, Oracle(block="-1"))
    assert (scores.values == 0).all() and "choose an earlier block" in scores.facts["note"]
    keep = keep_of([(scores, Oracle(keep=0.5).rule())], frame_cls.tokens(CLIP).grid)
    assert keep.count == 60, "still exactly K, by the seeded hash"


def test_an_empty_map_elsewhere_says_why():
    """A head that does not look at the features: no token speaks for any class."""
    encoder = toys.space_time()
    encoder.vit.head.weight.zero_()
    scores = score(encoder)
    assert (scores.values == 0).all()
    assert (
        scores.facts["note"]
        == "The token-value map is zero everywhere: at this block no patch speaks for the class."
    )
    assert "note" not in score(toys.space_time()).facts


def test_its_cost_is_the_full_run_and_the_way_back(encoder):
    tokens = encoder.tokens(CLIP)
    counts = [60] if encoder.segments == "clip" else [15] * 8
    scores = score(encoder)
    assert scores.gmacs == pytest.approx(token_values_gmacs(encoder, counts, scores.facts["block"]))
    full = patchlens.run(CLIP, encoder=encoder, selector="everything", cache=False).report.full.total
    assert scores.gmacs > full and tokens.grid.n == sum(counts)


def test_the_label_of_a_run_reaches_the_oracle(space_time):
    trace = patchlens.run(CLIP, encoder=space_time, selector="oracle:keep=0.3", label="Falling", cache=False)
    assert trace.scores.facts["label"] == "falling" == trace.report.label
    assert trace.scores.facts["label_from"] == "given"
