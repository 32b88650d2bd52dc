"""The oracle's maps of all blocks at once are those of the oracle at each block, and the card's table beside them."""

from __future__ import annotations

import json

import patchlens as pl
import pytest
import torch
import toys
from patchlens.encoders.catalog import BUNDLED
from patchlens.evaluation.stack import stack
from patchlens.gradcam import unit_range

CLIP = toys.clip(8, seed=3)


def test_the_stack_holds_the_oracles_map_of_each_block_and_of_their_mean(space_time):
    trace = pl.run(CLIP, encoder=space_time, selector="random:keep=0.5", label="still", cache=False)
    maps, about = stack(trace, space_time)
    depth = space_time.config.depth
    assert json.loads(json.dumps(about)) == about
    assert maps.shape == (2, depth + 1, 60) and about["label"] == "still" and about["blocks"] == depth
    for i, gradient in enumerate(about["gradients"]):
        for place, block in enumerate([*range(depth), "mean"]):
            for sign, signed in (("positive", maps[i, place]), ("either", maps[i, place].abs())):
                spec = f"oracle:block={block},gradient={gradient},sign={sign}"
                alone = pl.run(CLIP, encoder=space_time, selector=spec, label="still", cache=False).scores
                torch.testing.assert_close(signed, alone.fine)
                torch.testing.assert_close(unit_range(signed), alone.values)
                assert about["units"][sign][i][place] == alone.unit
                assert about["gmacs"][place] == alone.gmacs
    blocks = {f"{gradient} {sign}": depth - 1 for gradient in ("mean", "own") for sign in ("positive", "either")}
    assert about["auto"] == {"gradient": "mean", "signs": {"mean": "positive", "own": "positive"}, "blocks": blocks}
    assert about["accuracy"] is about["clips"] is about["all_tokens"] is None, "nobody measured a toy"


def test_it_explains_what_the_plans_oracle_explains(space_time):
    for spec, label in (("oracle:label=predicted", None), ("oracle", "still"), ("oracle:label=0", space_time.classes[0])):
        trace = pl.run(CLIP, encoder=space_time, selector=spec, label="still", cache=False)
        assert stack(trace, space_time)[1]["label"] == (label or trace.classes[int(trace.reference.logits.argmax())])


def test_the_bundled_models_table_comes_with_intervals_and_chance():
    encoder = pl.load_encoder("tiny-video")
    trace = pl.run(toys.clip(16, seed=4, size=(64, 64)), encoder="tiny-video", selector="oracle", cache=False)
    _, about = stack(trace, encoder)
    card = json.loads((BUNDLED / "tiny-video-card.json").read_text("utf-8"))
    assert [{k: v for k, v in row.items() if k != "intervals"} for row in about["accuracy"]] == card["oracle_table"]
    assert about["clips"] == card["oracle_clips"] and about["auto"]["signs"] == card["oracle"]["signs"]
    assert {k: str(v) for k, v in about["auto"]["blocks"].items()} == card["oracle"]["blocks"]
    assert {row["block"] for row in about["accuracy"]} == {*map(str, range(6)), "mean", "random"}
    for row in about["accuracy"]:
        for column, (low, high) in row["intervals"].items():
            assert column.startswith(("predicted", "true")) and low <= row[column] <= high
    assert about["all_tokens"]["top1"] == pytest.approx(0.9766, abs=1e-3)
