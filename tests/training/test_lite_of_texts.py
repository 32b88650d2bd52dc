"""A LITE selector for an encoder of texts: the oracle explains each clip's caption, and frames are chosen from apart."""

from __future__ import annotations

import patchlens as pl
import pytest
import torch
import toys
from patchlens.data.samples import Footage, Sample, SampleSet
from patchlens.encoders.catalog import BUNDLED, selector_file
from patchlens.evaluation.budgets import contender
from patchlens.evaluation.rows import EACH_FRAME, cells, compare, rows_of
from patchlens.evaluation.sweep import measure_set
from patchlens.ranker import ranker_for, ranker_gmacs
from patchlens.training import lite
from patchlens.training.maps import make_maps
from patchlens.training.ranks import Share

SHIPPED = pytest.mark.skipif(not selector_file("tiny-clip").is_file(), reason="tiny-clip has no trained selector here")
ORACLE = "oracle:gradient=own,block=mean,sign=either,clean=rank"


@pytest.fixture(scope="module")
def clip_like():
    return toys.clip_like()


def captioned(count: int, caption: bool = True) -> SampleSet:
    """Random clips, each with a sentence of its own."""

    def sample(i: int) -> Sample:
        def make(wanted):
            clip = toys.clip(wanted.frames, 200 + i, wanted.size_hw)
            return Footage(clip, caption=f"thing number {i}" if caption else None)

        return Sample(f"clip {i}", None, make)

    return SampleSet("toys", tuple(sample(i) for i in range(count)))


def test_the_map_explains_the_caption(clip_like, tmp_path):
    maps = make_maps(clip_like, captioned(3), "oracle", tmp_path, Share(), frames=2)
    assert maps.grid.t == 2 and maps.targets.shape == (3, 30)
    for i in range(3):
        clip = toys.clip(2, 200 + i)
        alone = pl.run(clip, encoder=clip_like, selector=f"oracle:label=thing number {i}", cache=False)
        torch.testing.assert_close(maps.targets[i], alone.scores.values)


def test_without_a_caption_the_oracle_asks_for_one(clip_like, tmp_path):
    with pytest.raises(ValueError, match="names no classes: give a text to compare with"):
        make_maps(clip_like, captioned(2, caption=False), "oracle", tmp_path, Share(), frames=2)


def test_the_whole_command_compares_frame_by_frame(clip_like, tmp_path):
    recipe = lite.Recipe(batch=4, epochs=1, hidden=(8,), oracle=ORACLE, frames=2)
    path = lite.run_training(clip_like, captioned(8), captioned(8), tmp_path, recipe, "cpu")
    _, card = ranker_for(clip_like, str(path))
    assert card["each_frame"] and card["task"] == "cosine" and card["recipe"]["frames"] == 2
    assert [r["selector"] for r in card["rows"]] == ["everything", *5 * ["random"], *5 * ["lite"]]
    assert all(r["vs_random"]["of"] == "cosine" for r in card["rows"] if r["selector"] == "lite")
    text = (tmp_path / "lite.md").read_text()
    assert "2 frames each" in text and "every frame keeps the same share" in text and "| cosine to the full run |" in text
    assert str(tmp_path) not in text


def test_what_takes_a_share_of_every_frame_meets_random_that_does(clip_like):
    plans = [EACH_FRAME, "saliency:per=frame", "saliency"]
    table = measure_set(clip_like, captioned(12), plans, budgets=[0.3], frames=3)
    found = {who.name: list(runs.values()) for (who, _), runs in cells(table).items()}
    rows = {r["selector"]: r["vs_random"] for r in rows_of(table)}
    assert rows["saliency:per=frame"] == compare(table, found["saliency:per=frame"], found[EACH_FRAME])
    assert rows["saliency"] == compare(table, found["saliency"], found["random"]) != rows["saliency:per=frame"]
    assert rows["random"] is None and rows[EACH_FRAME] is None


def test_scenes_are_learnt_on_one_split_and_held_out_of_another():
    train, test = lite.parts_of("scenes", 4, 3)
    assert len(train) == 4 and len(test) == 3
    assert train.name == "scenes, train split, stream 4" and test.name == "scenes, stream 3"


@SHIPPED
def test_tiny_clips_selector_serves_a_run_and_residualvits_p_frames():
    encoder = pl.load_encoder("tiny-clip", device="cpu")
    clip = pl.Clip.from_frames(toys.clip(4, 3, (96, 96)).frames)
    ranker, card = ranker_for(encoder)
    assert "a trained selector" in encoder.offers and card["encoder"] == "tiny-clip" and card["each_frame"]
    plain = pl.run(clip, encoder=encoder, selector="lite:keep=0.3,per=frame", cache=False)
    assert tuple(plain.keep.per_frame) == (43,) * 4
    assert plain.report.selector_gmacs == pytest.approx(ranker_gmacs(ranker.config, 4, 144))
    inner = pl.run(clip, encoder=encoder, selector="residualvit:n=1,p=0.7,drop=lite,cuts=off", cache=False)
    assert tuple(inner.keep.per_frame) == (144, 43, 144, 43)
    scores, keep = plain.scores.values.reshape(4, 144), inner.keep.mask.reshape(4, 144)
    for frame in (1, 3):
        assert scores[frame][keep[frame]].min() >= scores[frame][~keep[frame]].max()


@SHIPPED
def test_tiny_clips_selector_is_better_than_random_where_few_may_stay():
    """As its card claims, on clips of another stream."""
    from patchlens.data.datasets import open_set

    encoder = pl.load_encoder("tiny-clip", device="cpu")
    table = measure_set(encoder, open_set("scenes", 5, 96), [EACH_FRAME, "lite:per=frame"], budgets=[0.1], frames=1)
    (found,) = [r["vs_random"] for r in rows_of(table) if r["selector"] == "lite:per=frame"]
    assert found["interval"][0] > 0
    assert contender("lite:per=frame").knob == "keep" and BUNDLED.joinpath("tiny-clip.lite.md").is_file()
