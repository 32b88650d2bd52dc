"""What can be asked for, each as a generator of steps: a view's payload, a plan measured anew, a file, a glance.

Shared by the page's doors and the named API. Knows no page and no HTTP; holds the shelf of runs and the line of jobs.
"""

from __future__ import annotations

import base64
import logging
import re
import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from patchlens.cache import Cache, default_folder
from patchlens.limits import Limits
from patchlens.types import Trace

from patchlens_app import traces
from patchlens_app.asks import LONGEST_TEXT, SAMPLE, UPLOAD, Ask, check_source
from patchlens_app.jobs import STOPPED, Cancelled, Line, Steps, aside, follow
from patchlens_app.judges import KINDS, ground, judge, packed, unpacked
from patchlens_app.shelf import Shelf

log = logging.getLogger("patchlens.app")
SAVES = {"json": "JSON", "csv": "CSV", "png": "PNG", "mp4": "MP4", "html": "Report"}
CACHE_BYTES = 96 << 20
THUMBNAILS = 24
PUZZLED = "Something went wrong inside PatchLens, not with your video; the server's log has the details."


def sentence(error: BaseException) -> str:
    """What to tell a person: the error's own sentence where it was written for people, else a plain one."""
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])
    if isinstance(error, ValueError | OSError | ImportError):
        return " ".join(str(error).split())[:600]
    log.error("a job failed", exc_info=error)
    return PUZZLED


class Runs:
    """All that is remembered between requests, and the ways through it."""

    def __init__(self, uploads: Path) -> None:
        self.uploads = uploads
        self.shelf = Shelf(uploads / "patchlens")
        self.cache = Cache(default_folder(), CACHE_BYTES)
        self.line, self.decoder = Line(), Line()
        self._loading = threading.Lock()

    def ask(self, data: Any) -> Ask:
        """A checked request; raises ValueError or KeyError with one sentence."""
        return Ask.of(data, self.uploads)

    def known(self, ask: Ask) -> bytes | None:
        """The payload of a run that is there already."""
        return traces.shipped(ask) or self.shelf.read(ask, "payload.bin")

    def trace(self, ask: Ask, stop: threading.Event) -> Steps:
        """Steps to a run's Trace, from the shelf where it is there."""
        held = self.shelf.trace(ask)
        if held is not None:
            return held
        from patchlens import pipeline

        def work(progress: Any, cancel: Any) -> Trace:
            progress("load", 0.0)
            aside(lambda: self._load(ask), cancel)  # it stays loaded, so that the pipeline need not wait for it
            return pipeline.run(ask.path, progress=progress, cancel=cancel, cache=self.cache, **ask.options())

        trace = yield from follow(work, stop, self.line)
        self.shelf.hold(ask, trace)
        return trace

    def _load(self, ask: Ask) -> None:
        """Have the encoder loaded; one at a time, also when a cancelled run's is still being read."""
        from patchlens.pipeline import load_encoder

        with self._loading:
            load_encoder(ask.encoder, ask.weights, seed=ask.seed)

    def payload(self, ask: Ask, stop: threading.Event) -> Steps:
        """Steps to the viewer's buffer of a run."""
        known = self.known(ask)
        if known is not None:
            return known
        from patchlens.views.player import payload

        trace = yield from self.trace(ask, stop)
        return self.shelf.write(ask, "payload.bin", payload(trace))

    def report(self, ask: Ask, stop: threading.Event) -> Steps:
        """Steps to a run's report as plain data."""
        from patchlens.views.report import trace_json

        return trace_json((yield from self.trace(ask, stop)))

    def judged(self, ask: Ask, kind: Any, stop: threading.Event) -> Steps:
        """Steps to (plain data, bytes): what `judges.judge` finds about a run.

        Raises ValueError for another kind of question.
        """
        if kind not in KINDS:
            raise ValueError(f"{str(kind)[:40]!r} cannot be asked about a run; choose one of {', '.join(KINDS)}.")
        known = self.shelf.read(ask, f"{kind}.bin")
        if known is not None:
            return unpacked(known)
        trace = yield from self.trace(ask, stop)

        def work(progress: Any, cancel: Any) -> Any:
            progress("judge", 0.0)
            return judge(kind, trace, self.cache, asked(cancel))

        found = yield from follow(work, stop, self.line)
        self.shelf.write(ask, f"{kind}.bin", packed(found))
        return found

    def grounded(self, ask: Ask, sentence: Any, stop: threading.Event) -> Steps:
        """Steps to the moments of a run's clip that a sentence describes, as plain data.

        Raises ValueError for what is no sentence.
        """
        if not isinstance(sentence, str) or len(sentence) > LONGEST_TEXT:
            raise ValueError(f"The sentence is missing or too long; give at most {LONGEST_TEXT} characters.")
        trace = yield from self.trace(ask, stop)
        return (yield from follow(lambda progress, cancel: ground(trace, sentence), stop, self.line))

    def file(self, ask: Ask, kind: Any, stop: threading.Event, others: Sequence[Ask] = ()) -> Steps:
        """Steps to (name, bytes) of a file to take away; a report (html) shows the `others`' plans beside the first.

        Raises ValueError for a kind that cannot be made.
        """
        if kind == "clip":
            return self._sample_file(ask)
        if kind not in SAVES and kind != "npz":
            raise ValueError(f"{str(kind)[:40]!r} cannot be saved; choose one of {', '.join(SAVES)}.")
        beside = [other for other in others if kind == "html" and other != ask]
        name = f"{'-and-'.join([file_stem(ask), *(file_stem(o, clip=False) for o in beside)])[:180]}.{kind}"
        known = self.shelf.read(ask, name)
        if known is not None:
            return name, known
        from patchlens.outputs import made_as

        found = []
        for one in (ask, *beside):
            found.append((yield from self.trace(one, stop)))
        work = lambda progress, cancel: made_as(found[0], kind, found[1:], asked(cancel))  # noqa: E731
        made = yield from follow(work, stop, self.line)
        return name, self.shelf.write(ask, name, made)

    def _sample_file(self, ask: Ask) -> tuple[str, bytes]:
        if not ask.source.startswith(SAMPLE):
            raise ValueError("Only samples can be saved as a clip; your own video is with you.")
        return f"{ask.name.replace(' ', '-')}.mp4", ask.path.read_bytes()

    def glance(self, data: Any, stop: threading.Event) -> Steps:
        """Steps to small pictures of a whole upload: {sha256, start, end, longest, thumbs: [[seconds, data URI], ...]}."""
        source = data.get("source") if isinstance(data, dict) else None
        if not isinstance(source, str) or not source.startswith(UPLOAD):
            raise ValueError("Only an uploaded file can be looked over; upload one.")
        name = check_source(source, self.uploads)
        called = data.get("name") if isinstance(data.get("name"), str) else name
        limits = Limits.public()
        from patchlens import video

        def work(progress: Any, cancel: Any) -> Any:
            path = Path(source.removeprefix(UPLOAD))
            share = lambda x: progress("look", x)  # noqa: E731
            return video.thumbnails(
                path, THUMBNAILS, limits=limits, isolate=True, name=called, progress=share, cancel=cancel
            )

        seen = yield from follow(work, stop, self.decoder)
        from patchlens.views.player import jpeg

        shown = zip(seen.times.tolist(), seen.pictures, strict=True)
        return {
            "sha256": seen.sha256, "start": seen.start, "end": seen.end, "longest": limits.seconds,
            "thumbs": [[round(t, 3), "data:image/jpeg;base64," + base64.b64encode(jpeg(p)).decode()] for t, p in shown],
        }  # fmt: skip


def asked(cancel: Callable[[], bool]) -> Callable[[], None]:
    """A check that raises Cancelled once `cancel()` is true."""

    def check() -> None:
        if cancel():
            raise Cancelled(STOPPED)

    return check


def last(steps: Generator[Any, None, Any]) -> Any:
    """Go through all steps; what they return."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


def file_stem(ask: Ask, clip: bool = True) -> str:
    """A name for a file made of a run: the clip's and the plan's letters and digits, or the plan's alone."""
    plain = lambda text: re.sub(r"[^A-Za-z0-9.=]+", "-", text).strip("-.")  # noqa: E731
    first = f"{plain(Path(ask.name).stem)[:60] or 'clip'}-" if clip else ""
    return f"{first}{plain(ask.selector)[:60]}"
