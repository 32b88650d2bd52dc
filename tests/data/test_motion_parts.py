"""The parts of the action benchmark: masks, camera numbers, photographs and speed."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
from patchlens.data.motions import motion_clip
from patchlens.data.textures import PHOTOGRAPHS, photograph


def test_masks_agree_with_the_pictures() -> None:
    checked = 0
    for index in range(60):
        clip = motion_clip(index, 5, label=8, scene="static")
        moving = {"drifting", "jittering"} & set(clip.facts["distractors"])
        if clip.facts["noise"] > 2 or clip.facts["gain"] or moving:
            continue
        changed = np.abs(clip.frames[-1].astype(int) - clip.frames[0]).mean(axis=2) > 25
        mask = clip.actor[-1]
        # Stripes may come near the background's colour, and something else may be flickering.
        assert (changed & mask).sum() > 0.6 * mask.sum()
        checked += 1
    assert checked >= 3


def test_camera_numbers_describe_the_background() -> None:
    shown = 0
    for index in range(30):
        clip = motion_clip(index, 5, label=8, scene="pan", size=96)
        if clip.facts["background"] == "smooth" or clip.facts["noise"] > 6 or clip.facts["gain"]:
            continue
        dx, dy = (clip.camera[-1, :2] - clip.camera[0, :2]).tolist()
        moved = cv2.warpAffine(clip.frames[0], np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]]), (96, 96))
        inside = ~clip.actor[-1, 20:76, 20:76]
        apart = [
            np.median(np.abs(clip.frames[-1].astype(int) - then)[20:76, 20:76][inside].mean(axis=1))
            for then in (clip.frames[0], moved)
        ]
        assert apart[1] <= apart[0]
        shown += apart[1] < 0.7 * apart[0]
    assert shown >= 4


def test_every_photograph_is_packaged() -> None:
    for name in PHOTOGRAPHS:
        assert photograph(name).shape == (256, 256, 3)
    with pytest.raises(FileNotFoundError):
        photograph("no such picture")


def test_fast_enough_to_train_on() -> None:
    motion_clip(0, size=96)
    threads, best = cv2.getNumThreads(), 0.0
    cv2.setNumThreads(1)
    try:
        for _ in range(3):
            started = time.process_time()
            for index in range(32):
                motion_clip(index, 1, size=96)
            best = max(best, 32 / (time.process_time() - started))
    finally:
        cv2.setNumThreads(threads)
    assert best >= 75, f"{best:.0f} clips per second"
