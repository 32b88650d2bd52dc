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

Work = Callable[[Callable[[str, float], None], Callable[[], bool]], Any]
Steps = Generator[tuple[str, float], None, Any]
TICK = 0.1
MOST_WAITING = 16


class Cancelled(Exception):
    """The job was told to stop."""


class Busy(ValueError):
    """Too many wait already."""


class Line:
    """First come, first served; at most `most` wait while one works."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self.most = most
        self._changed = threading.Condition()
        self._line: list[threading.Event] = []

    def join(self, stop: threading.Event) -> None:
        """Take the last place.

        Raises Busy when the line is full.
        """
        with self._changed:
            if len(self._line) > self.most:
                raise Busy(f"PatchLens is busy: {self.most} runs are waiting already. Try again in a minute.")
            self._line.append(stop)

    def leave(self, stop: threading.Event) -> None:
        """Give the place up."""
        with self._changed:
            self._line.remove(stop)
            self._changed.notify_all()

    @contextmanager
    def turn(self, stop: threading.Event, tell: Callable[[str, float], None]) -> Iterator[None]:
        """Wait for the turn, telling ("wait", how many are before); raises Cancelled when `stop` is set meanwhile."""
        try:
            with self._changed:
                while self._line[0] is not stop:
                    if stop.is_set():
                        raise Cancelled("The run was cancelled.")
                    tell("wait", float(self._line.index(stop)))
                    self._changed.wait(TICK)
            yield
        finally:
            self.leave(stop)


def follow(work: Work, stop: threading.Event, line: Line) -> Steps:
    """Run `work(progress, cancel)` in a thread; yields (stage, share) and returns its result or raises its error.

    `stop` is the job's own event. Closing the generator (a closed tab, say) or setting it makes `cancel()` true; the
    latter also raises Cancelled at once. A job that has not yet noticed keeps the next one waiting, not the page.
    """
    news: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def tell(stage: str, share: float) -> None:
        news.put(("step", (stage, share)))

    def body() -> None:
        try:
            with line.turn(stop, tell):
                news.put(("result", work(tell, stop.is_set)))
        except BaseException as error:  # handed to whoever watches
            news.put(("error", error))

    line.join(stop)
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
                raise Cancelled("The run was cancelled.")
            latest = value if kind == "step" else latest
            yield latest
    finally:
        stop.set()


def _next(news: queue.SimpleQueue[tuple[str, Any]]) -> tuple[str, Any]:
    """The next thing to tell: a result or error at once, else the newest step, or ("tick", None) after a while."""
    try:
        kind, value = news.get(timeout=TICK)
        while kind == "step" and not news.empty():
            kind, value = news.get()
        return kind, value
    except queue.Empty:
        return "tick", None
