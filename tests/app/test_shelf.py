"""What was run lately is remembered within bounds, and its folders cannot be guessed."""

from __future__ import annotations

from pathlib import Path

from patchlens_app.asks import Ask
from patchlens_app.shelf import Shelf
from traces import toy_trace

GOOD = {"source": "sample:pan", "encoder": "videomae-base", "weights": "random", "selector": "rlt:tau=0.2"}


def test_the_shelf_remembers_within_its_bounds(tmp_path: Path) -> None:
    trace = toy_trace()
    shelf = Shelf(tmp_path, memory_bytes=3 * trace.clip.frames.numel() * 2, disk_bytes=2500)
    asks = [Ask.of({**GOOD, "seed": n}, tmp_path) for n in range(6)]
    for ask in asks:
        shelf.hold(ask, trace)
        assert shelf.write(ask, "payload.bin", b"x" * 1000) == b"x" * 1000
    assert shelf.trace(asks[-1]) is trace and shelf.trace(asks[0]) is None
    assert shelf.read(asks[-1], "payload.bin") == b"x" * 1000 and shelf.read(asks[0], "payload.bin") is None
    assert sum(f.stat().st_size for f in tmp_path.rglob("*.bin")) <= 3500


def test_another_process_has_other_folders(tmp_path: Path) -> None:
    ask = Ask.of(GOOD, tmp_path)
    assert Shelf(tmp_path).path(ask, "x") != Shelf(tmp_path).path(ask, "x")
