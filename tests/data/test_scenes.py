"""The scenes benchmark: same video everywhere, spans and captions that are true, combinations that stay apart."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from patchlens.data import scenes
from patchlens.data.claims import ABSENT, ATTRIBUTES, OPEN, UNSAID, Caption, State, truth
from patchlens.data.dice import Dice
from patchlens.data.events import RGB, SPLITS, allowed, draw_props, state_of
from patchlens.data.scenes import EVENT_SECONDS, SECONDS, scene, scene_frames
from patchlens.data.staging import stream
from patchlens.data.stills import caption_batch
from patchlens.data.wording import WORDS, describe, vary

VIDEOS = [scene(index, seed=4, split=split) for split in SPLITS for index in range(12)]


def _digest() -> str:
    total = hashlib.sha256()
    for index in range(3):
        video = scene(index, 11, "test")
        total.update(scene_frames(video, video.times(0.5), 48).tobytes())
        total.update(repr(video.queries).encode())
    stills = caption_batch(range(12), 11, "train", 48, rounds=2, varied=True)
    total.update(stills.frames.tobytes() + repr(stills.captions).encode() + stills.claims.tobytes())
    return total.hexdigest()


def test_another_process_makes_the_same_videos_and_captions() -> None:
    here, core = Path(__file__).parent, Path(scenes.__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(core), str(here)]), "PYTHONHASHSEED": "77"}
    script = "from test_scenes import _digest; print(_digest())"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == _digest()


def test_a_frame_depends_on_its_time_only() -> None:
    video = scene(3, 4, "test")
    times = video.times()
    whole = scene_frames(video, times, 48)
    some = np.array([5, 4, 77, 100])
    assert np.array_equal(scene_frames(video, times[some], 48), whole[some])
    assert np.array_equal(scene_frames(video, np.arange(0, 20, 1.0), 48), whole[:60:3])


@pytest.mark.parametrize("video", VIDEOS, ids=lambda v: f"{v.split}-{v.index}")
def test_a_video_keeps_to_its_numbers(video: scenes.Scene) -> None:
    assert SECONDS[0] <= video.duration <= SECONDS[1] and len(video.events) >= 1
    assert video.shots[0].start == 0 and video.shots[-1].end == video.duration
    for before, after in zip(video.shots, video.shots[1:], strict=False):
        assert before.end == after.start
    ends = [0.0]
    for event in video.events:
        assert ends[-1] <= event.start < event.end <= video.duration
        assert EVENT_SECONDS[0] - 0.02 <= event.end - event.start <= EVENT_SECONDS[1] + 0.02
        assert 1 <= len(event.captions) <= 3 and 1 <= len(event.props) <= 2
        assert video.shots[event.shot].start <= event.start and event.end <= video.shots[event.shot].end
        ends.append(event.end)


@pytest.mark.parametrize("video", VIDEOS, ids=lambda v: f"{v.split}-{v.index}")
def test_captions_are_true_of_their_event_and_of_no_other(video: scenes.Scene) -> None:
    states = np.array([event.state.codes for event in video.events])
    for k, event in enumerate(video.events):
        held = truth(np.array([caption.codes for caption in event.captions]), states)
        assert (held[:, k] == 1).all()
        assert not np.delete(held, k, axis=1).any()


def test_videos_differ_in_kind() -> None:
    kinds = {prop.motion for video in VIDEOS for event in video.events for prop in event.props}
    assert kinds == {"still", "left", "right", "up", "down", "shaking", "rotating", "growing", "shrinking"}
    gaps = [b.start - a.end for v in VIDEOS for a, b in zip(v.events, v.events[1:], strict=False)]
    assert np.mean(np.array(gaps) == 0) > 0.3 and np.mean(np.array(gaps) > 2) > 0.2
    cut_at_once = [
        a.shot != b.shot for v in VIDEOS for a, b in zip(v.events, v.events[1:], strict=False) if a.end == b.start
    ]
    assert any(cut_at_once) and not all(cut_at_once)


def test_splits_share_attributes_and_no_combination() -> None:
    seen = {split: allowed(split) for split in SPLITS}
    assert sum(len(pairs) for pairs in seen.values()) == len(frozenset().union(*seen.values())) == 64
    for split, pairs in seen.items():
        assert {c for c, _ in pairs} == {s for _, s in pairs} == set(range(8))
        dice = Dice(stream(1))
        drawn = {(p.colour, p.shape) for _ in range(200) for p in draw_props(split, 10.0, dice)}
        assert drawn <= pairs
    varied = caption_batch(range(300), 1, "train", 16, varied=True).claims.reshape(-1, 14)
    for one in (varied[:, :6], varied[:, 6:12]):
        said = one[(one[:, 0] >= 0) & (one[:, 1] >= 0)]
        assert {tuple(row) for row in said[:, :2].tolist()} <= seen["train"]


def test_what_is_said_is_seen() -> None:
    """The colour of a caption's object is found where its box is."""
    stills = caption_batch(range(60), 2, "train", 96)
    for frame, facts, boxes in zip(stills.frames, stills.facts, stills.boxes, strict=True):
        for k in range(2):
            colour, shape, pattern = facts[6 * k : 6 * k + 3]
            if colour == ABSENT or ATTRIBUTES["shape"][shape] != "square" or pattern != 0:
                continue
            x, y, _ = (boxes[k] * 96).astype(int)
            patch = frame[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).mean(0)
            assert _nearest(patch) == ATTRIBUTES["colour"][colour]


def _nearest(rgb: np.ndarray) -> str:
    return min(RGB, key=lambda name: float(np.abs(np.array(RGB[name]) - rgb).sum()))


def test_boxes_lie_in_the_cell_that_is_told() -> None:
    stills = caption_batch(range(400), 3, "test", 16)
    borders = np.array([0.36, 0.64])
    for facts, boxes in zip(stills.facts, stills.boxes, strict=True):
        for k in range(2):
            column, row = facts[6 * k + 4 : 6 * k + 6]
            for told, at in ((column, boxes[k, 0]), (row, boxes[k, 1])):
                if told >= 0:  # a pan may carry a thing a little beyond
                    low, high = np.concatenate([[-0.1], borders, [1.1]])[[told, told + 1]]
                    assert low - 0.09 <= at <= high + 0.09


def test_relations_follow_places() -> None:
    dice = Dice(stream(5))
    for _ in range(300):
        props = draw_props("train", 10.0, dice)
        state = state_of(props)
        if len(props) == 2 and state.relation[0] in (1, -1) and not any(p.motion in ("left", "right") for p in props):
            assert (props[0].at[0] < props[1].at[0]) == (state.relation[0] == 1)


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        (((0, 1, 2, UNSAID, UNSAID, UNSAID),), 1.0),
        (((0, 2, UNSAID, UNSAID, UNSAID, UNSAID),), 0.0),
        (((4, 3, UNSAID, UNSAID, 0, UNSAID),), 0.5),
        (((4, 2, UNSAID, UNSAID, 0, UNSAID),), 0.0),
        (((UNSAID, 3, UNSAID, UNSAID, UNSAID, UNSAID), (0, UNSAID, UNSAID, UNSAID, UNSAID, UNSAID)), 1.0),
        (((0, UNSAID, UNSAID, UNSAID, UNSAID, UNSAID), (0, UNSAID, UNSAID, UNSAID, UNSAID, UNSAID)), 0.0),
        ((), 0.0),
    ],
)
def test_truth_has_three_values(claim: tuple[tuple[int, ...], ...], value: float) -> None:
    state = State(((0, 1, 2, 0, 0, 1), (4, 3, 0, 2, OPEN, 2)), (1, 0))
    assert truth(np.array([Caption("", claim).codes]), np.array([state.codes]))[0, 0] == value


def test_truth_turns_relations_with_the_pair() -> None:
    first, second = (0, 1, *(UNSAID,) * 4), (4, 3, *(UNSAID,) * 4)
    state = np.array([State(((0, 1, 2, 0, 0, 1), (4, 3, 0, 2, 2, 1)), (1, 0)).codes])
    said = {
        ((first, second), 1): 1.0,
        ((first, second), -1): 0.0,
        ((second, first), -1): 1.0,
        ((second, first), 1): 0.0,
    }
    for (objects, way), value in said.items():
        assert truth(np.array([Caption("", objects, (way, 0)).codes]), state)[0, 0] == value
    assert truth(np.array([Caption("", (first, second), (0, 1)).codes]), state)[0, 0] == 0.5


def test_wording_varies_within_a_closed_vocabulary() -> None:
    dice = Dice(stream(6))
    texts = set()
    for _ in range(1500):
        state = state_of(draw_props("train", 12.0, dice))
        caption = describe(state, dice.roll(), dice)
        other = vary(caption, allowed("train"), dice)
        held = truth(np.array([caption.codes]), np.array([state.codes]))
        assert held[0, 0] == 1 and len(caption.text.split()) <= 34
        texts |= {caption.text, other.text}
    assert {word for text in texts for word in text.split()} <= set(WORDS)
    assert len(texts) > 2500


def test_a_varied_caption_is_mostly_false() -> None:
    stills = caption_batch(range(500), 7, "train", 16, varied=True)
    own = truth(stills.claims[500:], stills.facts)[np.arange(500), np.arange(500)]
    assert np.mean(own == 0) > 0.85
    own = truth(stills.claims[:500], stills.facts)[np.arange(500), np.arange(500)]
    assert (own == 1).all()


def test_captions_of_256_test_frames_are_mostly_distinct() -> None:
    stills = caption_batch(range(256), 3, "test", 16)
    assert np.mean((truth(stills.claims, stills.facts) == 1).sum(1) == 1) > 0.7


def test_empty_frames_are_called_empty() -> None:
    stills = caption_batch(range(100), 8, "train", 16, empty=0.5)
    bare = stills.facts[:, 0] == ABSENT
    assert 0.3 < bare.mean() < 0.7
    assert (truth(stills.claims[bare], stills.facts[bare]) == 1).all()
    assert not truth(stills.claims[~bare], stills.facts[bare]).any()


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        scene(-1)
    with pytest.raises(ValueError, match="one of train"):
        scene(0, split="dev")
    with pytest.raises(ValueError, match="outside 0 to"):
        scene_frames(scene(0), [400.0])
    with pytest.raises(ValueError, match="from 0 on"):
        caption_batch([])


@pytest.mark.slow
def test_drawing_is_fast() -> None:
    cv2.setNumThreads(1)
    video = scene(1, 4)
    scene_frames(video, video.times(1.0))
    start = time.process_time()
    count = len(scene_frames(video, video.times()))
    assert count / (time.process_time() - start) > 300
    start = time.process_time()
    caption_batch(range(200), 9)
    assert 200 / (time.process_time() - start) > 300
