"""Grounding: the fixture of algorithms.md 2.7 to the letter, its edges, and the whole way on a small encoder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from patchlens.data import asked
from patchlens.data.asked import scene_asked
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.tiny_clip import load_tiny_clip
from patchlens.evaluation import filmed
from patchlens.evaluation.grounding import FULL, Question, _video, answer, ground, seen
from patchlens.evaluation.grounding_table import against, markdown, result
from patchlens.evaluation.moments import Moment, hits, iou, moments, segments, smooth
from patchlens.evaluation.retrieval import retrieval
from patchlens.flops import merged_cost, vit_cost
from patchlens.selectors.cues import flow
from patchlens.selectors.residualvit import ResidualViT
from patchlens.specs import parse_plugin, parse_way, way_spec
from patchlens.types import Clip


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder("tiny-clip", load_tiny_clip("random"), "cpu", "float32")


def test_the_fixture() -> None:
    found = moments(np.array([0.1, 0.5, 0.6, 0.1, 0.7]), fps=1.0, duration=5.0)
    assert found == [Moment(4, 4, 0.7), Moment(1, 3, 0.6), *[Moment(0.0, 5.0, None)] * 3]


def test_smoothing_averages_what_is_there() -> None:
    values = np.arange(20.0) ** 2
    got = smooth(values)
    assert got[10] == pytest.approx(values[3:18].mean())
    assert got[0] == pytest.approx(values[:8].mean()) and got[6] == pytest.approx(values[:14].mean())
    assert got[19] == pytest.approx(values[12:].mean())
    assert np.array_equal(smooth(values[:15]), values[:15])


def test_segments_end_before_the_first_frame_below_and_at_the_last_index() -> None:
    assert segments(np.array([1.0, 1, 0, 0, 1, 1])) == [(0, 2), (4, 5)]
    assert segments(np.array([0.0, 0, 1])) == [(2, 2)]
    assert segments(np.array([0.5, 0.5])) == [(0, 1)]


def test_the_shift_lowers_the_threshold() -> None:
    values = np.array([1.0, 0.58, 0.2, 0.6])
    assert segments(values, 1.0) == [(0, 1), (3, 3)] and segments(values, 0.95) == [(0, 2), (3, 3)]


def test_the_mean_score_ranks_by_the_mean() -> None:
    values = np.array([0.9, 0.5, 0.0, 0.0, 0.8, 0.8, 0.0])
    assert [m.start for m in moments(values, 1.0, 7.0)[:2]] == [0, 4]
    assert [m.start for m in moments(values, 1.0, 7.0, score="mean")[:2]] == [4, 0]
    with pytest.raises(ValueError, match="max or mean"):
        moments(values, 1.0, 7.0, score="median")


def test_overlap_is_by_the_hull_and_strict() -> None:
    assert iou((0, 4), (2, 6)) == pytest.approx(2 / 6) and iou((0, 1), (3, 4)) == 0 and iou((2, 2), (2, 2)) == 0
    exactly_half = [Moment(0, 5, 1.0)]
    assert hits(exactly_half, (0, 10), 20).tolist() == [[True, False, False]] * 2
    assert hits(exactly_half, (0, 10), 9.9)[0, 1]  # the true span is cut at the video's end


def test_later_ranks_count_for_r5_only() -> None:
    ranked = [Moment(0, 5, 0.9), Moment(10, 20, 0.8)]
    assert hits(ranked, (10, 20), 30).tolist() == [[False] * 3, [True] * 3]


WAYS = {"center": ResidualViT(2, 0.85, "center", "off"), "none dropped": ResidualViT(3, 0.0, "center", "off")}


@pytest.fixture(scope="module")
def found(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> dict:
    return ground(encoder, scene_asked(3), WAYS, Question(fps=2.0, queries=6))


def test_a_perfect_similarity_reaches_the_ceiling_and_a_random_encoder_does_not(found: dict) -> None:
    data = found[FULL].as_dict()
    row = data["rows"][1]
    assert data["queries"] >= 6 and row["rank"] == 1 and row["iou"] == 0.5
    assert row["ceiling"] > 0.6 and row["recall"] <= row["ceiling"]
    assert row["interval"][0] <= row["recall"] <= row["interval"][1]


def test_ways_are_paired_with_every_frame_in_full(found: dict, encoder: Encoder) -> None:
    full, center, same = found[FULL], found["center"], found["none dropped"]
    assert np.array_equal(full.found, same.found) and same.facts["cosine"] == pytest.approx(1)
    assert full.difference(full, 1, 0.5).mean == 0 and center.facts["cosine"] < 1
    one = center.facts["gmacs_per_frame"] / full.facts["gmacs_per_frame"]
    assert 0.4 < one < 0.7, "a third of the frames in full, more where shots begin"
    assert full.facts["gmacs_per_s"] == pytest.approx(2 * full.facts["gmacs_per_frame"])
    whole = result(found, encoder, "scenes", Question(fps=2.0))
    assert [w["way"] for w in whole["ways"]][1:] == [f"residualvit:n={n},p={p},drop=center,residual=off,reach=0"
                                                     for n, p in ((2, 0.85), (3, 0))]  # fmt: skip
    text = markdown(whole)
    assert text.count("\n") == 5 and "every frame in full" in text and "saved" in text


def test_every_two_ways_are_paired(found: dict, encoder: Encoder) -> None:
    whole = result(found, encoder, "scenes", Question(fps=2.0))
    full, center, same = whole["ways"]
    assert [[d["minus"] for d in way["differences"]] for way in whole["ways"]] == [
        [], [full["way"]], [full["way"], center["way"]]]  # fmt: skip
    for row, mine, theirs in zip(same["differences"][1]["rows"], same["rows"], center["rows"], strict=True):
        assert row["difference"] == pytest.approx(mine["recall"] - theirs["recall"])
        (low, high), (least, most) = row["interval"], row["bounds"]
        assert low <= least <= row["difference"] <= most <= high
    text = against(whole, center["way"]).splitlines()
    assert len(text) == 4 and text[2].startswith("| every frame in full | ") and text[3].startswith(f"| {same['way']} | ")
    row = same["differences"][1]["rows"][1]
    points = [100 * x for x in (row["difference"], *row["bounds"])]
    said = f"{points[0]:+.1f} (>= {points[1]:+.1f}, <= {points[2]:+.1f})"
    assert text[3].split(" | ")[2] == said == text[2].split(" | ")[2], "no patch dropped is as good as full"
    with pytest.raises(ValueError, match="There is no way 'random'"):
        against(whole, "random")


EVERYWHERE = ["motion:keep=0.15,per=frame", "random:keep=0.15,per=frame", "uniform:keep=0.15,per=frame"]


def test_dropping_everywhere_costs_what_every_frames_few_patches_do(encoder: Encoder) -> None:
    ways = {spec: parse_plugin(spec) for spec in EVERYWHERE}
    out = ground(encoder, scene_asked(3), ways, Question(fps=0.5, queries=3))
    one = vit_cost(encoder.config, [21]).total  # floor(0.15 * 144), and no patch that is dropped is embedded
    for spec in EVERYWHERE:
        assert out[spec].facts["gmacs_per_frame"] == pytest.approx(one) and 0 < out[spec].facts["cosine"] < 0.999
    assert len({out[spec].facts["cosine"] for spec in EVERYWHERE}) == 3


def test_a_merger_shortens_p_frames_alone(encoder: Encoder) -> None:
    specs = ["residualvit:p=0,drop=center,residual=off,cuts=off", "tome:r=20"]
    ways = {"full": specs[0], "merged": "+".join(specs), "everywhere": specs[1]}
    parsed = {name: parse_way(spec) for name, spec in ways.items()}
    selectors = {name: plan.selectors[0] for name, (plan, _) in parsed.items()}
    mergers = {name: merger for name, (_, merger) in parsed.items() if merger}
    out = ground(encoder, scene_asked(3), selectors, Question(fps=0.5, queries=3), mergers=mergers)
    spent = {name: one.facts["gmacs_per_frame"] for name, one in out.items()}
    own = merged_cost(encoder.config, mergers["merged"], [144])
    one = own[0].total + own[1]
    frames = out["merged"].facts["frames"]
    p_frames = frames - -(-frames // 3)
    assert spent["everywhere"] == pytest.approx(one)
    saved = vit_cost(encoder.config, [144]).total - one
    assert spent["full"] - spent["merged"] == pytest.approx(p_frames / frames * saved)
    assert out["everywhere"].facts["cosine"] < out["merged"].facts["cosine"] < 0.9999
    assert out["merged"].facts["way"] == way_spec(*parsed["merged"])


def test_a_short_videos_frames_are_made_once_and_give_the_same(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "PIECE", 16)
    video = next(iter(scene_asked(3)))
    ways = {spec: parse_plugin(spec) for spec in ("residualvit:residual=off", "residualvit:n=3,drop=center,residual=off")}
    made, pieces = [], lambda filming: made.append(filming) or video.pieces(filming)
    shared = _video(encoder, replace(video, pieces=pieces), ways, Question(fps=0.5), {})
    assert len(made) == len(set(made)) == 2, "with and without motion"
    monkeypatch.setattr(filmed, "FRAMES", 0)
    anew = _video(encoder, replace(video, pieces=pieces), ways, Question(fps=0.5), {})
    assert len(made) == 5
    for name, values in anew.items():
        np.testing.assert_allclose(shared[name], values, rtol=1e-6)


def test_flow_does_not_end_where_a_piece_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "PIECE", 16)
    video, filming = next(iter(scene_asked(3))), asked.Filming(0.5, (96, 96), motion=True)
    parts = list(filmed.Filmed(video).pieces(filming))
    whole = flow(Clip.from_frames(torch.cat([p.frames for p in parts]), 0.5))
    assert len(parts) > 2 and torch.equal(torch.cat([p.motion.values for p in parts]), whole.values)


def test_a_killed_evaluation_goes_on(encoder: Encoder, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    from patchlens.evaluation import grounding

    question = Question(fps=0.25, queries=30)
    whole = ground(encoder, scene_asked(3), {}, question)
    made, calls = grounding._video, []

    def once(*args: object) -> dict:
        calls.append(args[1].name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return made(*args)

    monkeypatch.setattr(grounding, "_video", once)
    with pytest.raises(KeyboardInterrupt):
        ground(encoder, scene_asked(3), {}, question, tmp_path / "parts")
    again = ground(encoder, scene_asked(3), {}, question, tmp_path / "parts")
    assert np.array_equal(again[FULL].found, whole[FULL].found) and calls.count("scene 3/0") == 1


def test_known_features_give_the_same_as_encoding_anew(encoder: Encoder) -> None:
    video = next(iter(scene_asked(3)))
    from patchlens.data.asked import Filming

    pieces = lambda: video.pieces(Filming(1.0, (96, 96)))  # noqa: E731
    full = seen(pieces(), encoder, None, 0)
    anew, known = (seen(pieces(), encoder, WAYS["center"], 0, k) for k in (None, full.features))
    torch.testing.assert_close(anew.features, known.features, rtol=1e-4, atol=1e-5)
    assert anew.gmacs == pytest.approx(known.gmacs) and torch.equal(anew.intra, known.intra)


def test_one_sentence_is_answered_on_the_videos_clock(encoder: Encoder) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (12, 96, 96, 3), np.uint8)
    said = answer(encoder, [Clip.from_frames(frames, 2.0, start=10.0)], "a red star", None, 2.0)
    assert said["times"][0] == 10 and len(said["similarities"]) == 12 and said["saved"] == 0
    assert all(10 <= m["start"] <= m["end"] <= 16 for m in said["moments"])
    with pytest.raises(ValueError, match="'dog'"):
        answer(encoder, [Clip.from_frames(frames, 2.0)], "a red dog")


def test_retrieval_reports_both_ways(encoder: Encoder) -> None:
    out = retrieval(encoder, frames=64)
    for key in ("text_to_frame_r1", "text_to_frame_r1_true", "frame_to_text_r1", "frame_to_text_r1_true"):
        assert 0 <= out[key]["interval"][0] <= out[key]["value"] + 1e-9 <= out[key]["interval"][1] <= 1
    assert out["distinct"] > 0.7
