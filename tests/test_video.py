"""Reading videos: the right frames, at their true times, in every codec; what a clip says of itself; long videos."""

import av
import numpy as np
import pytest
import torch
from clips import cover, encode, numbered, numbers, shown_times
from patchlens.limits import VideoError
from patchlens.types import Clip
from patchlens.video import probe, read, sha256, windows

COUNT = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def plain(folder):
    """40 numbered frames at 25 per second, key frames every 8."""
    return encode(folder / "plain.mp4", numbered(COUNT), options={"g": "8"})


# which frames, and when


@pytest.mark.parametrize("count", [1, 3, 7, 16, 40, 1000])
def test_frames_are_those_shown_at_the_middle_of_equal_parts(plain, count):
    clip = read(plain, frames=count)
    middles = (np.arange(count) + 0.5) / count * COUNT
    assert numbers(clip) == sorted({int(m + 1e-6) for m in middles})
    assert clip.times.dtype == torch.float64
    assert clip.times.tolist() == pytest.approx([n / 25 for n in numbers(clip)])


def test_neither_frames_nor_rate_gives_every_picture(plain):
    assert numbers(read(plain, frames=None)) == list(range(COUNT))


def test_rate_takes_precedence_and_samples_the_middles_of_its_parts(plain):
    clip = read(plain, frames=3, fps=5)
    assert numbers(clip) == [2, 7, 12, 17, 22, 27, 32, 37]


def test_a_span_is_respected_and_groups_before_it_are_not_decoded(plain):
    clip = read(plain, frames=4, span=(0.8, 1.2))
    assert numbers(clip) == [21, 23, 26, 28]
    assert clip.source.span == (0.8, 1.2)
    assert clip.source.frames_read <= 10
    assert clip.source.duration == pytest.approx(1.6)


def test_a_span_between_two_pictures_gives_the_one_shown_then(plain):
    clip = read(plain, span=(0.41, 0.43))
    assert numbers(clip) == [10]


def test_a_span_outside_the_video_is_refused_with_the_real_range(plain):
    with pytest.raises(VideoError, match=r"plain.mp4 has no picture between 5 and 6 s.*0.00 to 1.60 s"):
        read(plain, span=(5, 6))


def test_times_are_true_where_the_rate_varies(folder):
    times = np.round(np.cumsum(np.random.default_rng(1).uniform(0.02, 0.3, COUNT)), 3)
    for kind in ("mp4", "mkv"):
        path = encode(folder / f"vfr.{kind}", numbered(COUNT), times=times)
        clip = read(path, frames=None)
        assert clip.times.tolist() == pytest.approx(times.tolist(), abs=1e-3)
        sparse = read(path, frames=9)
        assert sparse.times.tolist() == pytest.approx([times[n] for n in numbers(sparse)], abs=1e-3)
        assert sparse.source.fps == pytest.approx((COUNT - 1) / (times[-1] - times[0]), rel=0.2)


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts"])
def test_a_clock_that_starts_later_stays(folder, kind):
    path = encode(folder / f"late.{kind}", numbered(20), times=7 + np.arange(20) / 25)
    clip = read(path, frames=5)
    assert clip.times.tolist() == pytest.approx([7 + n / 25 for n in numbers(clip)], abs=1e-3)
    assert read(path, frames=None, span=(7.2, 7.4)).times.tolist() == pytest.approx(
        [7.2, 7.24, 7.28, 7.32, 7.36], abs=1e-3
    )


def test_pictures_before_the_edit_list_are_not_shown(folder):
    path = encode(folder / "edit.mp4", numbered(30), times=-0.2 + np.arange(30) / 25)
    clip = read(path, frames=None)
    assert clip.times.tolist() == pytest.approx(shown_times(path))
    assert numbers(clip) == list(range(5, 30))


CODECS = [
    ("libx264", "mkv", "yuv420p", {"bf": "3", "g": "10"}),
    ("libx265", "mp4", "yuv420p10le", {"x265-params": "log-level=none:keyint=12"}),
    ("mpeg4", "avi", "yuv420p", {"bf": "2", "g": "10"}),
    ("mpeg4", "avi", "yuv420p", {"g": "10"}),
    ("mpeg2video", "mpg", "yuv420p", {"bf": "2", "g": "10"}),
    ("libx264", "ts", "yuv420p", {"g": "10"}),
    ("libvpx-vp9", "webm", "yuva420p", {"g": "10", "cpu-used": "8", "deadline": "realtime"}),
    ("libvpx", "webm", "yuv420p", {"g": "10"}),
    ("prores_ks", "mov", "yuv422p10le", {}),
    ("ffv1", "mkv", "yuv420p", {}),
    ("mjpeg", "avi", "yuvj420p", {}),
    ("rawvideo", "avi", "bgr24", {}),
    ("gif", "gif", "rgb8", {}),
    ("wmv2", "wmv", "yuv420p", {}),
    ("flv", "flv", "yuv420p", {}),
]


@pytest.mark.parametrize(("codec", "kind", "pix_fmt", "options"), CODECS)
def test_every_codec_gives_the_same_numbers(folder, codec, kind, pix_fmt, options):
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no encoder {codec}")
    frames = numbered(30, 96, 161 if codec in ("ffv1", "rawvideo", "gif") else 160)
    path = encode(folder / f"{codec}{len(options)}.{kind}", frames, codec=codec, pix_fmt=pix_fmt, options=options)
    clip = read(path, frames=6)
    assert numbers(clip) == [2, 7, 12, 17, 22, 27]
    start = float(clip.times[0]) - 2 / 25
    assert (clip.times - start).tolist() == pytest.approx([n / 25 for n in numbers(clip)], abs=2e-3)
    everything = read(path, frames=None, proxy=True)
    assert numbers(everything) == list(range(30))
    later = read(path, frames=None, span=(start + 0.6, start + 0.9))
    assert set(later.times.tolist()) <= set(everything.times.tolist())
    assert [everything.times.tolist().index(t) for t in later.times.tolist()] == numbers(later)


def test_the_moving_track_is_chosen_not_the_decoy_before_it(folder):
    for kind in ("mp4", "mkv"):
        clip = read(encode(folder / f"decoy.{kind}", numbered(10), decoy=True), frames=5)
        assert clip.source.size_hw == (96, 160)
        assert numbers(clip) == [1, 3, 5, 7, 9]
        assert any("2 picture tracks" in note for note in clip.notes)


def test_a_cover_picture_is_no_video(folder):
    with pytest.raises(VideoError, match="only a cover picture"):
        read(cover(folder / "cover.m4a"))


def test_source_tells_hash_rate_and_duration(plain):
    source = read(plain).source
    assert source.sha256 == sha256(plain)
    assert (source.fps, source.codec, source.rotation) == (25.0, "h264", 0)
    assert source.duration == pytest.approx(COUNT / 25)
    assert read(plain, name="holiday").source.name == "holiday"
    assert Clip.from_file(plain, frames=2).source == read(plain, frames=2).source


def test_probe_counts_without_reading_all(plain):
    facts = probe(plain)
    assert (facts.pictures, facts.size_hw, facts.codec, facts.fps) == (COUNT, (96, 160), "h264", 25.0)
    assert facts.duration == pytest.approx(COUNT / 25) and facts.start == 0


def test_the_same_file_gives_the_same_bytes(plain):
    one, two = (read(plain, proxy=True, motion=True) for _ in range(2))
    assert torch.equal(one.frames, two.frames) and one.proxy == two.proxy
    assert torch.equal(one.motion.values, two.motion.values)


def test_progress_rises_to_one_and_cancel_stops(plain):
    told = []
    read(plain, frames=None, progress=told.append)
    assert told == sorted(told) and told[-1] == 1
    with pytest.raises(VideoError, match="cancelled"):
        read(plain, cancel=lambda: True)


SENSELESS = [
    {"frames": 0},
    {"fps": 0},
    {"span": (3, 2)},
    {"span": (float("nan"), 2)},
    {"size": (0, 4)},
    {"fit": "stretch"},
]


@pytest.mark.parametrize("senseless", SENSELESS)
def test_a_senseless_request_is_a_value_error(plain, senseless):
    with pytest.raises(ValueError, match="must"):
        read(plain, **senseless)


def test_windows_cover_the_video_once_and_carry_frames_over(plain):
    clips = list(windows(plain, 10, carry=2))
    assert [numbers(c) for c in clips][:2] == [list(range(10)), list(range(8, 18))]
    assert sorted({n for c in clips for n in numbers(c)}) == list(range(COUNT))
    for before, after in zip(clips, clips[1:], strict=False):
        assert torch.equal(before.times[-2:], after.times[:2]) and torch.equal(before.frames[-2:], after.frames[:2])
    assert len({c.source.sha256 for c in clips}) == 1


def test_windows_by_rate_take_the_frames_that_read_takes(plain):
    clips = list(windows(plain, 4, fps=5, carry=0, size=(32, 32)))
    assert torch.equal(torch.cat([c.times for c in clips]), read(plain, fps=5).times)
    with pytest.raises(ValueError, match="carry"):
        next(windows(plain, 4, carry=4))
