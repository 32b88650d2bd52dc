"""Limits hold before memory grows, name themselves and the cure, and are stricter for strangers."""

from pathlib import Path

import pytest
from clips import encode, numbered, numbers, written
from patchlens import worker
from patchlens.limits import Limits
from patchlens.video import read
from refusals import refused


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def plain(folder):
    return encode(folder / "plain.mp4", numbered(30), options={"g": "10"})


def gif_bomb():
    screen = b"GIF89a\xff\xff\xff\xff\x80\0\0" + b"\0\0\0\xff\xff\xff"
    return screen + b"\x2c\0\0\0\0\xff\xff\xff\xff\0" + b"\x02\x02\x44\x01\0" + b"\x3b"


def vp9_bomb(path):
    """A small WebM whose VP9 key frames claim 65536 x 65536 pixels; the container still says 160 x 96."""
    encode(path, numbered(3), codec="libvpx-vp9", options={"g": "1", "cpu-used": "8", "deadline": "realtime"})
    data = bytearray(path.read_bytes())
    place = data.find(b"\x49\x83\x42")
    assert place > 0
    while place > 0:
        data[place + 3] |= 0x0F
        data[place + 4 : place + 7] = b"\xff\xff\xff"
        data[place + 7] |= 0xF0
        place = data.find(b"\x49\x83\x42", place + 1)
    return bytes(data)


def peak_mb(pid):
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to measure memory with")
def test_resolution_bombs_are_refused_before_they_grow(folder, plain):
    bombs = [written(folder / "bomb.gif", gif_bomb()), written(folder / "bomb.webm", vp9_bomb(folder / "vp9.webm"))]
    read(plain, frames=2, isolate=True)
    before = peak_mb(worker.shared().pid)
    pid = worker.shared().pid
    for bomb in bombs:
        assert "exceed the limit of 35.4 megapixels" in refused(bomb, isolate=True)
    assert worker.shared().pid == pid, "the worker was lost"
    assert peak_mb(pid) - before < 100


def test_every_limit_names_itself_and_the_cure(plain):
    assert "the limit is 0.0 MB" in refused(plain, limits=Limits(bytes=100))
    assert "160 x 96 px" in refused(plain, limits=Limits(side=128))
    assert "scale it down" in refused(plain, limits=Limits(pixels=100 * 100))
    assert "the limit is 4" in refused(plain, limits=Limits(sampled=4))
    assert "limit of 0.5 s" in refused(plain, span=(0, 1), limits=Limits(seconds=0.5))
    assert "0.001 s allowed" in refused(plain, limits=Limits(wall=0.001), frames=None, proxy=True)
    assert "fewer" in refused(plain, size=(4000, 4000), limits=Limits(memory=2**28))


def test_a_long_video_is_cut_with_a_note_and_its_later_part_can_be_asked_for(plain):
    clip = read(plain, frames=None, limits=Limits(seconds=0.4))
    assert numbers(clip) == list(range(10)) and "first 0.4 s" in clip.notes[0]
    clip = read(plain, frames=None, limits=Limits(frames=7))
    assert len(clip.frames) == 7 and "7 frames" in clip.notes[0]
    clip = read(plain, frames=None, span=(0.8, 1.0), limits=Limits(frames=7))
    assert numbers(clip) == list(range(20, 25)) and not clip.notes


def test_public_limits_are_stricter_and_yield_to_the_environment(monkeypatch):
    own, public = Limits(), Limits.public()
    assert all(
        getattr(public, k) < getattr(own, k) for k in ("bytes", "pixels", "seconds", "frames", "sampled", "wall")
    )
    assert "64 MB" in public.describe() and "\n" not in public.describe()
    monkeypatch.setenv("PATCHLENS_MAX_BYTES", str(2**20))
    monkeypatch.setenv("PATCHLENS_MAX_WALL", "2.5")
    assert (Limits.public().bytes, Limits.public().wall) == (2**20, 2.5)
    monkeypatch.setenv("PATCHLENS_MAX_FRAMES", "many")
    with pytest.raises(ValueError, match="PATCHLENS_MAX_FRAMES is 'many'"):
        Limits.public()
    with pytest.raises(ValueError, match="Limits.wall"):
        Limits(wall=0)
