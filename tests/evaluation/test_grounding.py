"""Grounding: the fixture of algorithms.md 2.7 to the letter, its edges, and the whole way on a small encoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from patchlens.data.scenes import scene
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.tiny_clip import load_tiny_clip
from patchlens.evaluation import grounding
from patchlens.evaluation.grounding import (
    Moment,
    evaluate_scenes,
    ground_scenes,
    hits,
    iou,
    moments,
    retrieval,
    segments,
    smooth,
)


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


def test_a_perfect_similarity_reaches_the_ceiling_and_a_random_encoder_does_not(encoder: Encoder) -> None:
    found = ground_scenes(encoder, queries=12)
    row = found.as_dict()["rows"][1]
    assert found.as_dict()["queries"] >= 12 and row["rank"] == 1 and row["iou"] == 0.5
    assert row["ceiling"] > 0.8 and row["recall"] <= row["ceiling"]
    assert row["interval"][0] <= row["recall"] <= row["interval"][1]
    assert found.difference(found, 1, 0.5).mean == 0


def test_pieces_give_the_same_features_as_the_whole(encoder: Encoder) -> None:
    video = scene(0, 3, "test")
    times = video.times()[:30]
    whole, pieces = (grounding.full_rate(encoder, n)(video, times) for n in (30, 7))
    assert torch.allclose(whole, pieces, atol=1e-5)


def test_other_features_can_be_grounded(encoder: Encoder) -> None:
    asked = []

    def features(video: object, times: np.ndarray) -> torch.Tensor:
        asked.append(len(times))
        return torch.ones(len(times), encoder.config.outputs)

    out = evaluate_scenes(encoder, 1, features=features)
    assert asked and out["videos"] == 1


def test_retrieval_reports_both_ways(encoder: Encoder) -> None:
    out = retrieval(encoder, frames=64)
    for key in ("text_to_frame_r1", "text_to_frame_r1_true", "frame_to_text_r1", "frame_to_text_r1_true"):
        assert 0 <= out[key]["interval"][0] <= out[key]["value"] + 1e-9 <= out[key]["interval"][1] <= 1
    assert out["distinct"] > 0.7
