"""Choosing an oracle: the table of a toy holds what single runs give, and the rule takes its best row."""

from __future__ import annotations

import pytest
import torch
import toys
from patchlens.evaluation import oracles
from patchlens.gradcam import token_values
from patchlens.keep import TopK, keep_of
from patchlens.types import Scores

CLIPS = [toys.clip(8, seed=s) for s in range(6)]


@pytest.fixture(scope="module")
def found(space_time):
    """A card's table on six toy clips in two batches; the labels are what the toy answers, but for the last two clips."""
    tokens = [space_time.tokens(c) for c in CLIPS]
    labels = [int(space_time.encode(x).logits.argmax()) for x in tokens]
    labels[4:] = [(y + 1) % 6 for y in labels[4:]]
    batches = [(tokens[:3], torch.tensor(labels[:3])), (tokens[3:], torch.tensor(labels[3:]))]
    return oracles.oracle_card(space_time, batches, (0.3, 0.5)), tokens, labels


@pytest.mark.parametrize("block", ["0", "1", "mean"])
@pytest.mark.parametrize("gradient", ["own", "mean"])
@pytest.mark.parametrize("sign", ["positive", "either"])
@pytest.mark.parametrize("kind", ["predicted", "true"])
def test_a_row_is_what_single_runs_give(space_time, found, block, gradient, sign, kind):
    card, tokens, labels = found
    (row,) = [r for r in card["oracle_table"] if (r["block"], r["gradient"], r["sign"]) == (block, gradient, sign)]
    right = 0
    for x, y in zip(tokens, labels, strict=True):
        wanted = y if kind == "true" else None
        (value,) = token_values(space_time, [x], [wanted], range(3), gradient=gradient)
        signed = value.signed if block == "mean" else value.maps[int(block)]
        best = Scores(abs(signed) if sign == "either" else signed, "map")
        right += int(space_time.encode(x, keep_of([(best, TopK(0.3))], x.grid)).logits.argmax()) == y
    assert row[f"{kind} 0.3"] == round(right / 6, 4) and 0 < row["label probability"] < 1


def test_auto_is_the_best_row_with_the_predicted_label(found):
    card, *_ = found
    rows = {(r["gradient"], r["sign"], r["block"]): r["predicted 0.3"] for r in card["oracle_table"] if r["gradient"]}
    chosen = card["oracle"]

    def rate(gradient, sign=None):
        sign = sign or chosen["signs"][gradient]
        return rows[gradient, sign, chosen["blocks"][f"{gradient} {sign}"]]

    assert rate(chosen["gradient"]) == max(rows.values())
    for gradient in ("own", "mean"):
        assert rate(gradient) == max(v for (g, *_), v in rows.items() if g == gradient)
        for sign in ("positive", "either"):
            assert rate(gradient, sign) == max(v for (g, s, _), v in rows.items() if (g, s) == (gradient, sign))
    assert card["oracle_clips"] == 6 and not any(block == "random" for *_, block in rows)


def test_the_card_in_words_has_every_row(found):
    card, *_ = found
    text = oracles.oracle_markdown(card)
    assert sum(line.startswith("| ") for line in text) == len(card["oracle_table"]) + 1
    assert text[-1].endswith("the best at predicted 0.3 on these clips.")
    assert oracles.oracle_markdown({}) == []
