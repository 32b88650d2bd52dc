"""A warm child process that decodes hostile files, so that a crash or a memory bomb never reaches the program itself.

`python -m patchlens.worker` is the child: it reads jobs from its standard input, answers with `patchlens.wire`
messages, and holds itself to a memory limit. It is started by name, not by `multiprocessing`, so it works from a
notebook or from a program without an importable `__main__`. `Worker` is the parent's side.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from patchlens import wire
from patchlens.limits import Cancelled, Limits, VideoError
from patchlens.tidy import tidy

_GRACE = 2.0  # seconds past the deadline, within which the child may still say so itself
_POLL = 0.05  # seconds between two looks at `cancel`

Reply = tuple[dict[str, Any], dict[str, np.ndarray]]


class Worker:
    """One child process, started at the first job and kept; one job at a time, from any thread."""

    def __init__(self, memory: int = Limits().memory) -> None:
        self.memory = memory
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._owner = os.getpid()

    @property
    def pid(self) -> int | None:
        """Process id of the child, None while there is none."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def run(
        self,
        task: str,
        name: str,
        arguments: dict[str, Any],
        seconds: float,
        progress: Callable[[float], None] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Reply:
        """Do one task ("read", "probe" or "thumbnails") on the file called `name` and return its facts and arrays.

        Raises VideoError for what the child refuses, when it crashes, and when `seconds` have passed (it is killed);
        Cancelled when `cancel()` turns true. The next call finds a fresh child.
        """
        while not self._lock.acquire(timeout=_POLL):
            if cancel is not None and cancel():
                raise Cancelled(f"{name}: reading was cancelled.")
        try:
            return self._run(task, name, arguments, seconds, progress, cancel)
        except BaseException as error:
            if not isinstance(error, _Refused):  # the child's state is unknown
                self._kill()
            raise
        finally:
            self._lock.release()

    def start(self) -> None:
        """Start the child now, so that the first job need not wait for it."""
        with self._lock:
            self._ensure()

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._kill()

    def _run(
        self,
        task: str,
        name: str,
        arguments: dict[str, Any],
        seconds: float,
        progress: Callable[[float], None] | None,
        cancel: Callable[[], bool] | None,
    ) -> Reply:
        self._ensure()
        deadline = time.monotonic() + seconds + _GRACE
        try:
            wire.send(self._process.stdin, {"task": task, "arguments": arguments})
        except OSError as error:
            raise VideoError(f"{name}: the decoder process could not be reached; try again.") from error
        while True:
            message = self._next()
            if cancel is not None and cancel():
                raise Cancelled(f"{name}: reading was cancelled.")
            if time.monotonic() > deadline:
                raise VideoError(f"{name} took longer than the {seconds:g} s allowed; choose a shorter span.")
            if message is _NOTHING:
                continue
            if message is None or isinstance(message, Exception):
                words = self._last_words()
                raise VideoError(f"{name}: the decoder crashed on this file{words}; it may be damaged or harmful.")
            header, arrays = message
            kind = header.get("kind")
            if kind == "done" and isinstance(header.get("facts"), dict):
                return header["facts"], arrays
            if kind == "refused":
                raise (VideoError if header.get("tired") else _Refused)(str(header.get("sentence")))
            if kind == "progress" and progress is not None and isinstance(header.get("value"), float):
                progress(min(max(header["value"], 0.0), 1.0))

    def _next(self) -> Any:
        try:
            return self._messages.get(timeout=_POLL)
        except queue.Empty:
            return _NOTHING

    def _last_words(self) -> str:
        try:
            code = self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return ""
        return f" (signal {-code})" if code < 0 else f" (exit {code})"

    def _ensure(self) -> None:
        if self._owner != os.getpid():  # forked: the child belongs to the other process
            self._process, self._owner = None, os.getpid()
        if self._process is not None and self._process.poll() is None:
            return
        self._kill()
        root = str(Path(__file__).resolve().parents[1])
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        environment["MALLOC_ARENA_MAX"] = "4"  # each further arena would reserve 64 MB of the address space allowed
        self._process = subprocess.Popen(
            # -P: never import from the directory the user happens to be in
            [sys.executable, "-P", "-m", "patchlens.worker", str(self.memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self._messages = queue.SimpleQueue()
        listener = (self._process.stdout, self._messages, self.memory)
        threading.Thread(target=_listen, args=listener, name="patchlens-worker", daemon=True).start()

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        process.wait()
        with contextlib.suppress(OSError):
            process.stdin.close()


class _Refused(VideoError):
    """A sentence from a healthy child."""


_NOTHING = object()


def _listen(stream: Any, messages: queue.SimpleQueue, limit: int) -> None:
    """Pass the child's messages on; None or an error is the last."""
    with stream:
        try:
            while (message := wire.receive(stream, limit)) is not None:
                messages.put(message)
            messages.put(None)
        except (RuntimeError, OSError, ValueError, MemoryError) as error:
            messages.put(error)


_shared: Worker | None = None
_shared_lock = threading.Lock()


def shared() -> Worker:
    """The process-wide worker, ended when the program ends."""
    global _shared
    with _shared_lock:
        if _shared is None:
            _shared = Worker()
            atexit.register(_shared._kill)  # without the lock, which a daemon thread may hold for ever
        return _shared


def _confine(most: int) -> Callable[[int], None]:
    """Bound this process for good: address space, no files written, no core dumps. Returns a bound for one job.

    Both bounds are bytes beyond what the process has now. Where the system knows no such limits, nothing happens.
    """
    try:
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + most, used + most))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):
        return lambda memory: None
    return lambda memory: resource.setrlimit(resource.RLIMIT_AS, (used + min(memory, most), used + most))


def _serve(jobs: Any, replies: Any, bound: Callable[[int], None]) -> None:
    """Do jobs until the parent goes away."""
    from patchlens.limits import Watch
    from patchlens.reading import Job, probe_job, read_job
    from patchlens.thumbnails import thumbnails_job

    def tell(fraction: float) -> None:
        wire.send(replies, {"kind": "progress", "value": fraction})

    while (message := wire.receive(jobs, 0)) is not None:
        task = {"read": read_job, "probe": probe_job, "thumbnails": thumbnails_job}[message[0]["task"]]
        job = Job.from_json(message[0]["arguments"])
        bound(job.limits.memory)
        try:
            facts, arrays = task(job, Watch(job.name, job.limits.wall, tell))
        except VideoError as error:
            tired = isinstance(error.__cause__, MemoryError)  # start afresh rather than with a full heap
            wire.send(replies, {"kind": "refused", "sentence": str(error), "tired": tired})
        else:
            wire.send(replies, {"kind": "done", "facts": facts}, arrays)
            del arrays
        tidy()


def _main() -> None:
    import cv2

    import patchlens.thumbnails  # noqa: F401  everything that jobs need is loaded before memory is bounded

    cv2.setNumThreads(1)
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not end up among the messages
    _serve(sys.stdin.buffer, replies, _confine(int(sys.argv[1])))


if __name__ == "__main__":
    _main()
