"""The action benchmark: same clip everywhere, labels that are true, difficulty that is what it says."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from patchlens.data import motions
from patchlens.data.casting import AREA
from patchlens.data.motions import CLASSES, SAMPLES, SCENES, MotionClip, batch, motion_clip, sample_clip

PAIRS = [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (12, 13), (14, 15)]


@pytest.fixture(scope="module")
def clips() -> list[MotionClip]:
    return [motion_clip(index, 5) for index in range(400)]


def _digest() -> str:
    total = hashlib.sha256()
    for index in range(20):
        clip = motion_clip(index, 11, size=48, frames=6)
        for part in (clip.frames, clip.actor, clip.camera):
            total.update(part.tobytes())
    return total.hexdigest()


def _centres(clip: MotionClip) -> np.ndarray:
    """The actor's centroid (T,2) in shares of the side, without the camera's motion; nan where unseen."""
    side = clip.frames.shape[1]
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    centres = []
    for mask, (dx, dy, zoom) in zip(clip.actor, clip.camera, strict=True):
        seen = (columns[mask].mean(), rows[mask].mean()) if mask.any() else (np.nan, np.nan)
        centres.append([(seen[0] - dx) / zoom / side, (seen[1] - dy) / zoom / side])
    return np.array(centres)


def test_same_arguments_give_the_same_clip_whatever_came_before() -> None:
    first = motion_clip(7, 3)
    motion_clip(8, 3, size=96, label=2)
    again = motion_clip(7, 3)
    assert np.array_equal(first.frames, again.frames) and np.array_equal(first.actor, again.actor)
    assert first.facts == again.facts and first.difficulty == again.difficulty
    assert not np.array_equal(first.frames, motion_clip(7, 4, label=first.label).frames)


def test_another_process_makes_the_same_clips() -> None:
    script = "from test_motions import _digest; print(_digest())"
    here, core = Path(__file__).parent, Path(motions.__file__).parents[2]
    path = os.pathsep.join([str(core), str(here)])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "77"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == _digest(), done.stderr


def test_shapes_types_and_ranges() -> None:
    clip = motion_clip(0, size=(48, 80), frames=5, fps=4)
    assert clip.frames.shape == (5, 48, 80, 3) and clip.frames.dtype == np.uint8
    assert clip.actor.shape == (5, 48, 80) and clip.actor.dtype == np.bool_
    assert clip.camera.shape == (5, 3) and clip.camera.dtype == np.float32
    assert clip.frames.flags.c_contiguous and clip.actor.flags.c_contiguous
    assert clip.facts["seconds"] == 1.25 and 0 <= clip.difficulty <= 1
    frames, labels, actors = batch([3, 5], 1, size=32, frames=4)
    assert frames.shape == (2, 4, 32, 32, 3) and labels.shape == (2,) and actors.shape == (2, 4, 32, 32)
    assert np.array_equal(frames[1], motion_clip(5, 1, size=32, frames=4).frames)


@pytest.mark.parametrize(
    ("index", "wrong"),
    [(-1, {}), (0, {"label": 16}), (0, {"ease": 1.5}), (0, {"scene": "rain"}), (0, {"frames": 1}),
     (0, {"size": 8}), (0, {"fps": 0.0})],
)  # fmt: skip
def test_bad_arguments_are_refused(index: int, wrong: dict) -> None:
    with pytest.raises(ValueError):
        motion_clip(index, **wrong)


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(ValueError):
        batch([])


def test_any_sixteen_consecutive_clips_hold_each_class_once(clips: list[MotionClip]) -> None:
    labels = [clip.label for clip in clips]
    assert len(CLASSES) == 16
    for start in range(0, 60, 7):
        assert sorted(labels[start : start + 16]) == list(range(16))
    assert set(Counter(labels).values()) == {25}


def test_default_difficulty_is_as_stated(clips: list[MotionClip]) -> None:
    facts = [clip.facts for clip in clips]
    assert 0.35 <= np.mean([f["camera"] != "static" for f in facts]) <= 0.45
    assert {f["camera"] for f in facts} == {"static", "pan", "zoom", "shake"}
    counts = [len(f["distractors"]) for f in facts]
    assert abs(np.mean(counts) - 2) < 0.2 and min(counts) == 0 and max(counts) == 4
    assert set(Counter(f["background"] for f in facts)) == {"smooth", "stripes", "patches", "photograph"}
    noise = [f["noise"] for f in facts]
    assert min(noise) == 0 and max(noise) == 14 and abs(np.mean(noise) - 7) < 1
    assert min(f["contrast"] for f in facts) >= 40
    assert 0.3 < np.mean([clip.difficulty for clip in clips]) < 0.6


def test_single_actors_keep_to_their_share_of_the_frame(clips: list[MotionClip]) -> None:
    # Each side of the bounds leaves room for a zoom of a tenth and for what the frame's edge cuts off.
    for clip in clips:
        most = 1.25 * AREA[1] * (1 if clip.label < 12 else 1.5)
        assert 0.65 * AREA[0] <= clip.facts["actor share"] <= most, clip.facts


@pytest.mark.parametrize("label", range(4))
def test_translations_go_where_they_say_and_outdo_the_camera(label: int) -> None:
    axis, sign = label // 2, 1 - 2 * (label % 2)
    starts = []
    for index in range(24):
        clip = motion_clip(index, 5, label=label)
        way = _centres(clip)
        step = way[-1] - way[0]
        # The frame's edge may hide up to half of a thing, which shortens the seen way a little.
        assert sign * step[axis] >= 0.3 and abs(step[1 - axis]) <= 0.08
        camera = (clip.camera[-1, :2] - clip.camera[0, :2]) / clip.frames.shape[1]
        assert sign * step[axis] > 1.5 * np.abs(camera).max()
        starts.append(way[0, axis])
    assert np.ptp(starts) > 0.2


def test_growing_appearing_shaking_and_rotating_are_true() -> None:
    for index in range(12):
        grown = motion_clip(index, 5, label=6, scene="static").actor.sum(axis=(1, 2))
        assert grown[-1] > 3 * grown[0]
        there = motion_clip(index, 5, label=8, scene="static").actor.any(axis=(1, 2))
        assert not there[:3].any() and there[-3:].all() and np.count_nonzero(np.diff(there)) == 1
        for label in (10, 11):
            swing = np.ptp(_centres(motion_clip(index, 5, label=label, frames=48)), axis=0)
            assert swing[label - 10] >= 0.1 and swing[11 - label] < 0.03


def test_clockwise_is_clockwise_on_the_screen() -> None:
    turned = 0
    for index in range(40):
        clip = motion_clip(index, 5, size=96, frames=24, label=4, scene="static")
        axes = []
        for mask in clip.actor:
            moments = cv2.moments(mask.astype(np.uint8), binaryImage=True)
            spread = moments["mu20"] - moments["mu02"]
            long = np.hypot(spread, 2 * moments["mu11"]) / moments["m00"] ** 2
            axes.append((0.5 * np.arctan2(2 * moments["mu11"], spread), long))
        if min(long for _, long in axes) < 0.1:
            continue  # Only a long thing has an axis that its mask shows.
        turn = np.unwrap([angle for angle, _ in axes], period=np.pi)
        # Image rows grow downwards, so a growing angle is a clockwise one.
        assert np.pi / 2 - 0.2 < turn[-1] - turn[0] < 1.5 * np.pi + 0.2
        turned += 1
    assert turned >= 3


def test_meeting_ends_touching_and_covering_hides() -> None:
    for index in range(12):
        meeting = motion_clip(index, 5, label=12, scene="static", size=96)
        apart, near = (cv2.connectedComponents(meeting.actor[k].astype(np.uint8))[0] - 1 for k in (0, -1))
        grown = cv2.dilate(meeting.actor[-1].astype(np.uint8), np.ones((3, 3), np.uint8))
        assert apart == 2 and (near == 1 or cv2.connectedComponents(grown)[0] == 2)
        share = motion_clip(index, 5, label=14, scene="static").actor.mean(axis=(1, 2))
        assert share[0] - share[-1] > 0.008


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_pairs_are_each_other_played_backwards(one: int, other: int) -> None:
    for index in range(3):
        forth, back = motion_clip(index, 9, label=one), motion_clip(index, 9, label=other)
        assert np.array_equal(forth.frames, back.frames[::-1])
        assert np.array_equal(forth.actor, back.actor[::-1])
        assert np.array_equal(forth.camera, back.camera[::-1])


def test_the_story_is_the_same_at_another_size_length_and_rate() -> None:
    for index in range(40):
        small = motion_clip(index, 21)
        large = motion_clip(index, 21, size=128)
        long = motion_clip(index, 21, frames=31, fps=30)
        assert small.label == large.label == long.label
        for other in (large, long):
            for fact in ("distractors", "camera", "background", "noise", "contrast"):
                assert small.facts[fact] == other.facts[fact]
        assert np.nanmax(np.abs(_centres(small) - _centres(large))) < 0.03
        # Growing things are painted at their middle size, which shifts with the length by a hair.
        assert (small.actor != long.actor[::2]).mean() < 0.002
        halved = cv2.resize(large.frames[8], (64, 64), interpolation=cv2.INTER_AREA)
        soft, soft_halved = (cv2.blur(picture, (5, 5)).astype(int) for picture in (small.frames[8], halved))
        assert np.abs(soft - soft_halved).mean() < 8


def test_ease_leads_to_plain_large_and_still() -> None:
    for index in range(32):
        clip = motion_clip(index, 2, ease=1.0)
        assert clip.facts["camera"] == "static" and not clip.facts["distractors"] and clip.facts["noise"] == 0
        assert clip.facts["actor share"] > 0.045
        assert clip.frames[:, 0, 0].std(axis=0).max() < 60
    assert np.mean([motion_clip(i, 2, ease=1.0).difficulty for i in range(16)]) < 0.15


@pytest.mark.parametrize("scene", SCENES)
def test_scenes_force_what_they_name(scene: str) -> None:
    clip = motion_clip(4, 1, label=8, scene=scene)
    assert clip.facts["scene"] == scene
    assert (np.ptp(clip.camera, axis=0).max() > 0) == (scene in ("pan", "zoom", "shake"))
    if scene == "busy":
        assert len(clip.facts["distractors"]) == 4
    if scene == "noise":
        assert clip.facts["noise"] == 30
    step = np.abs(np.diff(clip.frames.astype(int), axis=0)).mean(axis=(1, 2, 3))
    if scene == "cut":
        assert step.argmax() == 7 and step[7] > 1.5 * np.median(step)


def test_samples_render_small_and_unknown_names_are_refused() -> None:
    assert len(SAMPLES) == 8
    for name in SAMPLES:
        clip = sample_clip(name, size=48, frames=6)
        assert clip.frames.shape == (6, 48, 48, 3) and clip.actor.any()
    with pytest.raises(KeyError):
        sample_clip("nothing of the kind")


@pytest.mark.slow
def test_clips_are_made_faster_than_a_core_trains_on_them() -> None:
    cv2.setNumThreads(1)
    batch(range(8), 5, size=96)  # photographs are read once
    speeds = []
    for start in (0, 100, 200):
        begun = time.process_time()  # a busy machine shall not count
        batch(range(start, start + 100), 5, size=96)
        speeds.append(100 / (time.process_time() - begun))
    assert max(speeds) >= 75  # the benchmark asks for 150 on a core of its own; sharing one costs up to half
