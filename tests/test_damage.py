"""Damaged files, hundreds of mutants, and the real edge cases: a clip or a sentence, and the program lives on."""

import random
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import encode, moving, numbered, numbers, shown_times, written
from patchlens.limits import Limits, VideoError
from patchlens.types import Clip
from patchlens.video import read
from refusals import refused, sentence

MUTATIONS = 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


# broken in the middle


def noisy(count):
    noise = np.random.default_rng(0).integers(-30, 30, (count, 96, 160, 3))
    return np.clip(numbered(count).astype(int) + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
@pytest.mark.parametrize("isolate", [False, True])
def test_what_lies_before_a_cut_is_used_with_a_note(folder, kind, isolate):
    path = folder / f"whole.{kind}"
    if not path.exists():
        encode(path, noisy(100), options={"g": "20"}, muxer={"movflags": "+faststart"} if kind == "mp4" else None)
    whole = path.read_bytes()
    cut = written(folder / f"cut.{kind}", whole[: len(whole) // 2])
    clip = read(cut, frames=8, isolate=isolate)
    assert 5 <= len(clip.frames) <= 8
    assert clip.times.tolist() == pytest.approx([n / 25 for n in numbers(clip)], abs=1e-3)
    assert clip.times[-1] < 3.2
    note = " ".join(clip.notes)
    assert ("announces 100 pictures" if kind == "mp4" else "announces 4.0 s") in note


def test_a_hole_in_the_data_ends_the_clip_there(folder):
    data = bytearray(encode(folder / "solid.mp4", noisy(100), options={"g": "20"}).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path = written(folder / "hole.mp4", bytes(data))
    for options in ({}, {"motion": True, "proxy": True}):
        clip = read(path, frames=8, **options)
        assert "damaged" in " ".join(clip.notes)
        assert len(clip.frames) >= 5 and clip.times[-1] < 3.2


def test_pictures_of_rubble_are_refused(folder):
    data = bytearray(encode(folder / "solid20.mp4", noisy(20)).read_bytes())
    start, end = data.find(b"mdat") + 4, data.find(b"moov") - 4
    data[start:end] = bytes(end - start)
    assert "no picture of its h264 video can be decoded" in refused(written(folder / "rubble.mp4", bytes(data)))


# hundreds of mutants through one warm worker


def mutate(random_, data):
    """Flip bits, overwrite, remove or cut; the head and the tail, where containers keep their maps, are hit often."""
    data, kind = bytearray(data), random_.randrange(6)
    if kind == 0:
        for _ in range(random_.choice([1, 4, 16, 64])):
            data[random_.randrange(len(data))] ^= 1 << random_.randrange(8)
    elif kind == 1:
        data = data[: random_.randrange(1, len(data))]
    elif kind == 2:
        start = random_.randrange(len(data))
        size = min(random_.choice([8, 100, 3000]), len(data) - start)
        data[start : start + size] = random_.randbytes(size)
    elif kind == 3:
        start = random_.randrange(len(data))
        del data[start : start + random_.randrange(1, 2000)]
    else:
        low, high = (0, min(1500, len(data))) if kind == 4 else (max(0, len(data) - 3000), len(data))
        for _ in range(random_.choice([1, 3, 8])):
            data[random_.randrange(low, high)] = random_.choice([0, 1, 127, 128, 255])
    return bytes(data) or b"\0"


@pytest.fixture(scope="module")
def sources(folder):
    """Small files of many kinds; the small ones of the real edge cases too, where they are present."""
    slide = moving(20, height=64, width=96)
    made = [
        encode(folder / "m.mp4", slide, options={"g": "8"}),
        encode(folder / "m.mkv", slide, options={"g": "8"}, rotation=90),
        encode(folder / "m.webm", slide, codec="libvpx-vp9", options={"cpu-used": "8", "deadline": "realtime"}),
        encode(folder / "m.avi", slide, codec="mpeg4", options={"bf": "2", "g": "8"}),
        encode(folder / "m.mpg", slide, codec="mpeg2video", options={"bf": "2", "g": "8"}),
        encode(folder / "m.gif", slide, codec="gif", pix_fmt="rgb8"),
        encode(folder / "m.ts", slide),
        encode(folder / "m.wmv", slide, codec="wmv2"),
        encode(folder / "m.mov", slide[:5], codec="prores_ks", pix_fmt="yuv422p10le"),
    ]
    edge = Path(__file__).resolve().parents[2] / "shared" / "videos" / "edge"
    return made + sorted(p for p in edge.glob("*") if p.stat().st_size < 60_000)


def test_mutants_give_a_clip_or_a_sentence(folder, sources):
    dice, outcomes = random.Random(7), {"clip": 0, "refused": 0, "crashed": 0}
    limits = replace(Limits.public(), wall=15.0)
    for _ in range(MUTATIONS):
        source = dice.choice(sources)
        kind = dice.choice([source.suffix] * 4 + [".mp4", ".mkv", ".avi", ".txt"])
        path = written(folder / f"mutant{kind}", mutate(dice, source.read_bytes()))
        options = {
            "frames": dice.choice([4, 16, None]),
            "size": dice.choice([None, (32, 32)]),
            "fit": dice.choice(["squash", "crop"]),
            "proxy": dice.random() < 0.3,
            "motion": dice.random() < 0.5,
        }
        try:
            clip = read(path, isolate=True, limits=limits, **options)
            assert isinstance(clip, Clip) and all("\n" not in note for note in clip.notes)
            outcomes["clip"] += 1
        except VideoError as error:
            outcomes["crashed" if "crashed" in sentence(error) else "refused"] += 1
    assert sum(outcomes.values()) == MUTATIONS
    assert outcomes["clip"] > 40 and outcomes["refused"] > 20, outcomes


# the real edge cases

REFUSED = {
    "ax_sample_audio_only.mp4": "holds sound",
    "tc_audio.mp3": "cannot be opened",
    "mpy_attached_pic.mp3": "cannot be opened",
    "mb_mpeg4.mp4": "no pictures",
    "mb_wmv.wmv": "no picture",
    "st_broken.mp4": "cannot be opened",
}


def test_every_edge_file_gives_a_clip_or_a_sentence(shared):
    for path in sorted((shared / "videos" / "edge").iterdir()):
        options = {"frames": 4, "size": (64, 64), "motion": path.stat().st_size < 500_000, "isolate": True}
        if path.name in REFUSED:
            assert REFUSED[path.name] in refused(path, **options)
            continue
        clip = read(path, **options)
        assert 1 <= len(clip.frames) <= 4 and (clip.times >= 0).all()
        assert clip.source.size_hw[0] > 0 and clip.display.shape[1] <= 480


@pytest.mark.parametrize(
    "name", ["st_sideways.mov", "dec_video_90.mov", "dec_video_180.mov", "tc_nasa_rotated.mp4", "tc_odd_mpeg2.mp4"]
)
def test_real_files_agree_with_opencv(shared, name):
    path = shared / "videos" / "edge" / name
    capture = cv2.VideoCapture(str(path))
    truth = capture.read()[1][..., ::-1]
    clip = read(path, frames=None, size=truth.shape[:2])
    assert clip.source.size_hw == truth.shape[:2]
    assert np.abs(clip.frames[0].numpy().astype(int) - truth).mean() < 2


def test_true_times_of_real_files(shared):
    for name in ("ax_sample_android_slow_motion.mp4", "tc_nonzero_start.mp4", "ax_sample_edit_list.mp4"):
        path = shared / "videos" / "edge" / name
        clip = read(path, frames=None, size=(16, 16), limits=Limits(frames=40))
        assert clip.times.tolist() == pytest.approx(shown_times(path, len(clip.frames)))
