"""One model job at a time, in its own thread, watched by a generator that can stop it within a tenth of a second.

Those who wait stand in a line of bounded length and are told how many are before them; whoever comes later hears that
the server is busy.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from patchlens.tidy import tidy

Work = Callable[[Callable[[str, float], None], Callable[[], bool]], Any]
Steps = Generator[tuple[str, float], None, Any]
TICK = 0.1
MOST_WAITING = 16
STOPPED = "The run was cancelled."


class Cancelled(Exception):
    """The job was told to stop."""


class Busy(ValueError):
    """Too many wait already."""


class Line:
    """First come, first served; at most `most` wait while one works."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self.most = most
        self._changed = threading.Condition()
        self._line: list[object] = []

    def join(self) -> object:
        """Take the last place.

        Raises Busy when the line is full.
        """
        place = object()
        with self._changed:
            if len(self._line) > self.most:
                raise Busy(f"PatchLens is busy: {self.most} runs are waiting already. Try again in a minute.")
            self._line.append(place)
        return place

    def leave(self, place: object) -> None:
        """Give the place up."""
        with self._changed:
            self._line.remove(place)
            self._changed.notify_all()

    @contextmanager
    def turn(self, place: object, stop: threading.Event, tell: Callable[[str, float], None]) -> Iterator[None]:
        """Wait for the turn, telling ("wait", how many are before); raises Cancelled when `stop` is set meanwhile."""
        try:
            with self._changed:
                while self._line[0] is not place:
                    if stop.is_set():
                        raise Cancelled(STOPPED)
                    tell("wait", float(self._line.index(place)))
                    self._changed.wait(TICK)
            yield
        finally:
            self.leave(place)


def follow(work: Work, stop: threading.Event, line: Line) -> Steps:
    """Run `work(progress, cancel)` in a thread; yields (stage, share) and returns its result or raises its error.

    Setting `stop`, or closing the generator (a closed tab, say), which sets it, makes `cancel()` true; the former also
    raises Cancelled at once. A job that has not yet noticed keeps the next one waiting, not the page.
    """
    news: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def tell(stage: str, share: float) -> None:
        news.put(("step", (stage, share)))

    def body() -> None:
        try:
            with line.turn(place, stop, tell):
                try:
                    news.put(("result", work(tell, stop.is_set)))
                finally:
                    tidy()
        except BaseException as error:  # handed to whoever watches
            news.put(("error", error))

    place = line.join()
    threading.Thread(target=body, daemon=True, name="patchlens-job").start()
    latest = ("start", 0.0)
    try:
        while True:
            kind, value = _next(news)
            if kind == "result":
                return value
            if kind == "error":
                raise value
            if stop.is_set():
                raise Cancelled(STOPPED)
            latest = value if kind == "step" else latest
            yield latest
    except BaseException:  # an error, a cancel, or nobody listens any more
        stop.set()
        raise


def aside(work: Callable[[], Any], cancel: Callable[[], bool]) -> Any:
    """What `work` returns, or its error; for what cannot be stopped midway, such as reading weights from the disk.

    Raises Cancelled as soon as `cancel()` is true: the work then goes on by itself, and keeps nobody waiting.
    """
    outcome: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def body() -> None:
        try:
            outcome.put((work(), None))
        except BaseException as error:  # handed to whoever waits
            outcome.put((None, error))

    threading.Thread(target=body, daemon=True, name="patchlens-aside").start()
    while not cancel():
        try:
            value, error = outcome.get(timeout=TICK)
        except queue.Empty:
            continue
        if error is not None:
            raise error
        return value
    raise Cancelled(STOPPED)


def _next(news: queue.SimpleQueue[tuple[str, Any]]) -> tuple[str, Any]:
    """The next thing to tell: a result or error at once, else the newest step, or ("tick", None) after a while."""
    try:
        kind, value = news.get(timeout=TICK)
        while kind == "step" and not news.empty():
            kind, value = news.get()
        return kind, value
    except queue.Empty:
        return "tick", None
