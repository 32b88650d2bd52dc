"""The cache: bounded, written whole or not at all, and never the reason for an error."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from patchlens.cache import Cache, cache_key, default_folder, write_whole


class Maker:
    """Counts how often a value was made."""

    def __init__(self, size: int = 10) -> None:
        self.calls, self.size = 0, size

    def __call__(self) -> dict:
        self.calls += 1
        return {
            "values": torch.arange(self.size, dtype=torch.float32),
            "unit": "x",
            "facts": {"block": 3, "none": None},
        }


def same(a: dict, b: dict) -> bool:
    """Equal values, equal bytes."""
    return a.keys() == b.keys() and all(
        torch.equal(a[k], b[k]) and a[k].dtype == b[k].dtype
        if isinstance(a[k], torch.Tensor)
        else a[k] == b[k]
        for k in a
    )


def test_a_key_holds_every_part_and_no_order():
    assert cache_key(a=1, b=(1, 2)) == cache_key(b=(1, 2), a=1)
    keys = {
        cache_key(a=1),
        cache_key(a=2),
        cache_key(b=1),
        cache_key(a="1"),
        cache_key(a=1, b=None),
        cache_key(a=1.5),
    }
    assert len(keys) == 6 and all(len(k) == 64 for k in keys)


def test_memory_is_asked_first(tmp_path):
    cache, make = Cache(None), Maker()
    first = cache.arrays("k" * 64, make)
    assert cache.arrays("k" * 64, make) is first and make.calls == 1


def test_disk_gives_the_same_bytes_to_another_process(tmp_path):
    make, key = Maker(), cache_key(a=1)
    first = Cache(tmp_path).arrays(key, make)
    again = Cache(tmp_path).arrays(key, make)
    assert make.calls == 1 and same(first, again) and again is not first


def test_memory_is_bounded_and_the_least_recently_used_goes_first():
    cache, make = Cache(None, memory_bytes=3 * 1064), Maker()  # a value counts 1024 + 40 bytes
    for key in "abc":
        cache.arrays(key, make)
    cache.arrays("a", make)
    cache.arrays("d", make)  # b has waited longest
    assert make.calls == 4
    cache.arrays("a", make), cache.arrays("c", make), cache.arrays("d", make)
    assert make.calls == 4
    cache.arrays("b", make)
    assert make.calls == 5


def test_a_value_larger_than_the_bound_is_given_but_not_kept():
    cache, make = Cache(None, memory_bytes=100), Maker(1000)
    assert len(cache.arrays("a", make)["values"]) == 1000
    cache.arrays("a", make)
    assert make.calls == 2 and not cache._held


def test_the_disk_is_bounded_and_the_oldest_goes_first(tmp_path):
    cache, make = Cache(tmp_path, disk_bytes=12_000), Maker(1000)  # about 4.5 kB a file
    keys = [cache_key(a=i) for i in range(4)]
    for i, key in enumerate(keys):
        cache.arrays(key, make)
        os.utime(tmp_path / key[:2] / f"{key}.npz", (i, i))
    left = {f.stem for f in tmp_path.glob("*/*.npz")}
    assert keys[3] in left and keys[0] not in left
    assert sum(f.stat().st_size for f in tmp_path.glob("*/*.npz")) <= 12_000


def spoil(kind: str, file: Path) -> None:
    """Damage a stored file in one of the ways a disk or a foreign program may."""
    data = file.read_bytes()
    if kind == "empty":
        file.write_bytes(b"")
    elif kind == "half":
        file.write_bytes(data[: len(data) // 2])
    elif kind == "text":
        file.write_text("hello")
    elif kind == "foreign":
        np.savez(file, other=np.zeros(3))
    elif kind == "pickle":
        np.savez(file, json=np.array([{"a": 1}], dtype=object))
    elif kind == "folder":
        file.unlink()
        file.mkdir()
    else:
        middle = len(data) // 2
        file.write_bytes(data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :])


@pytest.mark.parametrize("kind", ["empty", "half", "text", "foreign", "pickle", "folder", "flipped"])
def test_a_broken_file_is_a_miss(tmp_path, kind):
    make, key = Maker(1000), cache_key(a=kind)
    first = Cache(tmp_path).arrays(key, make)
    spoil(kind, tmp_path / key[:2] / f"{key}.npz")
    assert same(Cache(tmp_path).arrays(key, make), first) and make.calls == 2


def test_a_folder_that_cannot_be_written_costs_only_speed(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache, make = Cache(tmp_path / "file" / "cache"), Maker()
    assert len(cache.arrays(cache_key(a=1), make)["values"]) == 10


def test_an_error_while_making_stores_nothing(tmp_path):
    cache, key = Cache(tmp_path), cache_key(a=1)

    def fail() -> dict:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        cache.arrays(key, fail)
    assert not list(tmp_path.rglob("*.npz"))
    assert len(cache.arrays(key, Maker())["values"]) == 10


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    target = tmp_path / "out.bin"
    write_whole(target, b"first")

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError):
        write_whole(target, b"second")
    assert target.read_bytes() == b"first" and [f.name for f in tmp_path.iterdir()] == ["out.bin"]


def test_threads_share_a_cache(tmp_path):
    cache, found = Cache(tmp_path, memory_bytes=5000), []

    def work() -> None:
        found.extend(float(cache.arrays(cache_key(a=i % 7), Maker())["values"].sum()) for i in range(40))

    threads = [threading.Thread(target=work) for _ in range(4)]
    [t.start() for t in threads], [t.join() for t in threads]
    assert found == [45.0] * 160 and not list(tmp_path.rglob("*.partial"))


def test_the_folder_comes_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PATCHLENS_CACHE", str(tmp_path / "here"))
    assert default_folder() == tmp_path / "here"
    monkeypatch.delenv("PATCHLENS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "patchlens"
