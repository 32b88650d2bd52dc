"""One model job at a time, in its own thread, watched by a generator that can stop it within a tenth of a second."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from typing import Any

Work = Callable[[Callable[[str, float], None], Callable[[], bool]], Any]
TICK = 0.1
_ONE_AT_A_TIME = threading.Lock()


class Cancelled(Exception):
    """The job was told to stop."""


def follow(work: Work, stop: threading.Event) -> Generator[tuple[str, float], None, Any]:
    """Run `work(progress, cancel)` in a thread; yields (stage, share) and returns its result or raises its error.

    Closing the generator (a closed tab, say) or setting `stop` makes `cancel()` true; the latter also raises Cancelled
    at once. A job that has not yet noticed keeps the next one waiting, not the page.
    """
    news: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def body() -> None:
        try:
            with _ONE_AT_A_TIME:
                news.put(("result", work(lambda stage, share: news.put(("step", (stage, share))), stop.is_set)))
        except BaseException as error:  # handed to whoever watches
            news.put(("error", error))

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


class Stops:
    """The running jobs of each session, so that a page can stop its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, list[tuple[int, threading.Event]]] = {}

    def new(self, session: str, serial: int) -> threading.Event:
        """An event that stops job number `serial` of a session."""
        stop = threading.Event()
        with self._lock:
            mine = [(n, e) for n, e in self._held.pop(session, []) if not e.is_set()]
            self._held[session] = [*mine, (serial, stop)]
            while len(self._held) > 1000:
                self._held.pop(next(iter(self._held)))
        return stop

    def stop(self, session: str, up_to: int = 2**53) -> None:
        """Stop a session's jobs numbered `up_to` or less."""
        with self._lock:
            for serial, event in self._held.get(session, []):
                if serial <= up_to:
                    event.set()
