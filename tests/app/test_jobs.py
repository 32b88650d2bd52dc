"""Jobs go one at a time, stop when told, and keep no more waiting than the line is long."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

import pytest
from patchlens_app.jobs import Busy, Cancelled, Line, aside, follow
from patchlens_app.runs import last


def patient(progress: Any, cancel: Any) -> str:
    """Work that goes on until it is told to stop."""
    for step in range(1000):
        progress("count", step / 1000)
        if cancel():
            return "stopped"
        time.sleep(0.01)
    return "done"


def test_a_job_tells_its_steps_and_returns() -> None:
    def quick(progress: Any, cancel: Any) -> int:
        progress("one", 0.5)
        return 7

    assert last(follow(quick, threading.Event(), Line())) == 7


def test_a_job_stops_within_half_a_second() -> None:
    stop = threading.Event()
    steps = follow(patient, stop, Line())
    assert next(steps)[0] in ("start", "count")
    stop.set()
    begun = time.monotonic()
    with suppress(Cancelled):  # whichever notices first, the job or its watcher
        assert last(steps) == "stopped"
    assert time.monotonic() - begun < 0.5


def test_a_job_that_does_not_notice_keeps_only_the_next_one_waiting() -> None:
    stop, awake, line = threading.Event(), threading.Event(), Line()
    steps = follow(lambda progress, cancel: awake.wait(5), stop, line)
    next(steps)
    stop.set()
    with pytest.raises(Cancelled):
        last(steps)
    waiting = follow(lambda progress, cancel: "next", threading.Event(), line)
    assert next(waiting) == ("wait", 1.0)
    awake.set()
    assert last(waiting) == "next"


def test_closing_the_generator_stops_the_job_and_frees_the_place() -> None:
    stop, line = threading.Event(), Line()
    steps = follow(patient, stop, line)
    next(steps)
    steps.close()
    assert stop.is_set()
    begun = time.monotonic()
    assert last(follow(lambda progress, cancel: "next", threading.Event(), line)) == "next"
    assert time.monotonic() - begun < 0.5


def test_an_error_in_a_job_reaches_its_watcher_and_frees_the_place() -> None:
    line = Line()

    def broken(progress: Any, cancel: Any) -> None:
        raise ValueError("one sentence")

    with pytest.raises(ValueError, match="one sentence"):
        last(follow(broken, threading.Event(), line))
    assert last(follow(lambda progress, cancel: "next", threading.Event(), line)) == "next"


def test_the_line_is_first_come_first_served_and_bounded() -> None:
    line, awake, order = Line(most=2), threading.Event(), []
    first = follow(lambda progress, cancel: awake.wait(5), threading.Event(), line)
    next(first)
    waiting = [follow(lambda p, c, n=n: order.append(n), threading.Event(), line) for n in range(2)]
    assert [next(steps) for steps in waiting] == [("wait", 1.0), ("wait", 2.0)]
    with pytest.raises(Busy, match="busy: 2 runs are waiting"):
        next(follow(patient, threading.Event(), line))
    awake.set()
    for steps in (waiting[1], waiting[0], first):
        last(steps)
    assert order == [0, 1]


def test_whoever_leaves_the_line_frees_a_place_in_it() -> None:
    line, awake = Line(most=1), threading.Event()
    first = follow(lambda progress, cancel: awake.wait(5), threading.Event(), line)
    next(first)
    second = follow(patient, threading.Event(), line)
    next(second)
    second.close()
    third = follow(lambda progress, cancel: "third", threading.Event(), line)
    for _ in range(20):
        with suppress(Busy):
            next(third)
            break
        third = follow(lambda progress, cancel: "third", threading.Event(), line)
        time.sleep(0.05)
    awake.set()
    assert last(third) == "third"


def test_what_cannot_be_stopped_keeps_nobody_waiting() -> None:
    assert aside(lambda: 7, lambda: False) == 7
    with pytest.raises(ValueError, match="one sentence"):
        aside(lambda: int("one sentence"), lambda: False)
    stop, slow = threading.Event(), threading.Event()
    threading.Timer(0.05, stop.set).start()
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        aside(lambda: slow.wait(5), stop.is_set)
    assert time.monotonic() - begun < 0.5
    slow.set()


def test_one_event_serves_jobs_in_turn_and_stays_clear_while_they_go_well() -> None:
    stop, line = threading.Event(), Line()
    for n in range(3):
        assert last(follow(lambda progress, cancel, n=n: n, stop, line)) == n
    assert not stop.is_set()
