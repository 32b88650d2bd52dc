"""What a page may ask for is checked before any work; jobs stop when told; the shelf stays within its bounds."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from patchlens_app.asks import Ask
from patchlens_app.jobs import Cancelled, Stops, follow
from patchlens_app.shelf import Shelf
from traces import toy_trace

GOOD = {"source": "sample:pan", "encoder": "videomae-base", "weights": "random", "selector": "rlt:tau=0.2"}


def test_a_good_request_is_taken(tmp_path: Path) -> None:
    ask = Ask.of({**GOOD, "label": " left ", "frames": 8, "seed": 3}, tmp_path)
    assert (ask.name, ask.selector, ask.label, ask.frames, ask.seed) == ("pan", "rlt:tau=0.2", "left", 8, 3)
    assert ask.options()["proxy"] and "limits" not in ask.options()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": "sample:nope"}, "no sample named"),
        ({"source": "upload:/etc/passwd"}, "upload it again"),
        ({"source": "/etc/passwd"}, "upload it again"),
        ({"source": "upload:http://example.org/x.mp4"}, "upload it again"),
        ({"source": "upload:\0"}, "upload it again"),
        ({"source": 7}, "missing or too long"),
        ({"encoder": "nope"}, "offers no encoder"),
        ({"encoder": "videomae-huge"}, "million parameters"),
        ({"encoder": "videomae-base", "weights": "kinetics"}, "no such weights"),
        ({"selector": "rlt:taw=1"}, "not a knob"),
        ({"selector": "nope"}, "no selector named"),
        ({"selector": "x" * 500}, "too long"),
        ({"frames": 0}, "whole number from 1 to 64"),
        ({"frames": True}, "whole number"),
        ({"frames": 1.5}, "whole number"),
        ({"seed": -1}, "whole number"),
        ({"label": ["x"]}, "missing or too long"),
    ],
)
def test_a_bad_request_is_one_sentence(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, KeyError), match=words):
        Ask.of({**GOOD, **change}, tmp_path)


@pytest.mark.parametrize("data", [None, [], "x", 3])
def test_nonsense_is_no_request(data: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not understood"):
        Ask.of(data, tmp_path)


def test_uploads_must_lie_in_the_upload_folder(tmp_path: Path) -> None:
    inside, outside = tmp_path / "up" / "a.mp4", tmp_path / "b.mp4"
    inside.parent.mkdir()
    for path in (inside, outside):
        path.write_bytes(b"x")
    ask = Ask.of({**GOOD, "source": f"upload:{inside}", "name": "my ${clip}.mp4"}, tmp_path / "up")
    assert ask.name == "my ${clip}.mp4" and ask.path == inside
    assert ask.options()["isolate"] and ask.options()["limits"].bytes <= 64 * 2**20
    for source in (outside, tmp_path / "up" / ".." / "b.mp4"):
        with pytest.raises(ValueError, match="upload it again"):
            Ask.of({**GOOD, "source": f"upload:{source}"}, tmp_path / "up")
    (tmp_path / "up" / "link.mp4").symlink_to(outside)
    with pytest.raises(ValueError, match="upload it again"):
        Ask.of({**GOOD, "source": f"upload:{tmp_path / 'up' / 'link.mp4'}"}, tmp_path / "up")


def patient(progress: Any, cancel: Any) -> str:
    """Work that goes on until it is told to stop."""
    for step in range(1000):
        progress("count", step / 1000)
        if cancel():
            return "stopped"
        time.sleep(0.01)
    return "done"


def last(steps: Any) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def test_a_job_tells_its_steps_and_returns() -> None:
    def quick(progress: Any, cancel: Any) -> int:
        progress("one", 0.5)
        return 7

    assert last(follow(quick, threading.Event())) == 7


def test_a_job_stops_within_half_a_second() -> None:
    stop = threading.Event()
    steps = follow(patient, stop)
    assert next(steps)[0] in ("start", "count")
    stop.set()
    begun = time.monotonic()
    with suppress(Cancelled):  # whichever notices first, the job or its watcher
        assert last(steps) == "stopped"
    assert time.monotonic() - begun < 0.5


def test_a_job_that_does_not_notice_keeps_only_the_next_one_waiting() -> None:
    stop, awake = threading.Event(), threading.Event()
    steps = follow(lambda progress, cancel: awake.wait(5), stop)
    next(steps)
    stop.set()
    with pytest.raises(Cancelled):
        last(steps)
    waiting = follow(lambda progress, cancel: "next", threading.Event())
    assert next(waiting) == ("start", 0.0)
    awake.set()
    assert last(waiting) == "next"


def test_closing_the_generator_stops_the_job_and_frees_the_place() -> None:
    stop = threading.Event()
    steps = follow(patient, stop)
    next(steps)
    steps.close()
    assert stop.is_set()
    begun = time.monotonic()
    assert last(follow(lambda progress, cancel: "next", threading.Event())) == "next"
    assert time.monotonic() - begun < 0.5


def test_an_error_in_a_job_reaches_its_watcher() -> None:
    def broken(progress: Any, cancel: Any) -> None:
        raise ValueError("one sentence")

    with pytest.raises(ValueError, match="one sentence"):
        last(follow(broken, threading.Event()))


def test_a_page_stops_only_its_own_older_jobs() -> None:
    stops = Stops()
    mine, later, other = stops.new("a", 1), stops.new("a", 2), stops.new("b", 1)
    stops.stop("a", up_to=1)
    assert (mine.is_set(), later.is_set(), other.is_set()) == (True, False, False)
    stops.stop("a")
    assert later.is_set() and not other.is_set()


def test_the_shelf_remembers_within_its_bounds(tmp_path: Path) -> None:
    trace = toy_trace()
    shelf = Shelf(tmp_path, memory_bytes=3 * trace.clip.frames.numel() * 2, disk_bytes=2500)
    asks = [Ask.of({**GOOD, "seed": n}, tmp_path) for n in range(6)]
    for ask in asks:
        shelf.hold(ask, trace)
        shelf.place(ask, "payload.bin").write_bytes(b"x" * 1000)
    assert shelf.trace(asks[-1]) is trace and shelf.trace(asks[0]) is None
    assert shelf.stored(asks[-1], "payload.bin") and not shelf.stored(asks[0], "payload.bin")
    assert shelf.ask(shelf.token(asks[2])) == asks[2]
    assert Shelf(tmp_path).token(asks[2]) != shelf.token(asks[2]), "tokens cannot be made outside the process"
    for wrong in ("nope", None, 7):
        with pytest.raises(KeyError, match="not remembered"):
            shelf.ask(wrong)
