"""What the page and the API can do: run, settle, save, cancel, analyze. No layout here, and no traceback leaves."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from patchlens.cache import write_whole
from patchlens.specs import parse_plan
from patchlens.types import Trace

from patchlens_app.asks import SAMPLE, UPLOAD, Ask
from patchlens_app.jobs import Stops, follow
from patchlens_app.shelf import Shelf

log = logging.getLogger("patchlens.app")
Message = dict[str, Any]
SAVES = {"json": "JSON", "csv": "CSV", "png": "PNG", "mp4": "MP4", "html": "Report"}
PUZZLED = "Something went wrong inside PatchLens, not with your video; the server's log has the details."


def sentence(error: BaseException) -> str:
    """What to tell a person: the error's own sentence where it was written for people, else a plain one."""
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])
    if isinstance(error, ValueError | OSError | ImportError):
        return " ".join(str(error).split())[:600]
    log.error("a job failed", exc_info=error)
    return PUZZLED


def trouble(error: BaseException, serial: int = 0) -> Message:
    """The message for a job that did not end well: told to stop, or one sentence on why."""
    if type(error).__name__ == "Cancelled":  # the pipeline's, or the video reader's
        return {"kind": "cancelled", "serial": serial}
    return {"kind": "error", "serial": serial, "sentence": sentence(error)}


class Handlers:
    """All handlers; they share the shelf of runs and the list of what can be stopped."""

    def __init__(self) -> None:
        self.uploads = Path(get_upload_folder())
        self.shelf = Shelf(self.uploads / "patchlens")
        self.stops = Stops()

    # --- the page ---------------------------------------------------------------------------------------------

    def run(self, event: gr.EventData, request: gr.Request) -> Iterator[Message]:
        """Run what the page asks for; tells every step, then where the payload lies."""
        data = event._data if isinstance(event._data, dict) else {}
        serial = data.get("serial") if isinstance(data.get("serial"), int) else 0
        stop = self.stops.new(str(request.session_hash), serial)
        try:
            ask = Ask.of(data, self.uploads)
            path = yield from self._told(self._shown(ask, stop), serial)
            yield {"kind": "shown", "serial": serial, "run": self.shelf.token(ask), "file": str(path)}
        except GeneratorExit:
            raise
        except BaseException as error:
            yield trouble(error, serial)
        finally:
            stop.set()

    def settle(self, event: gr.EventData, request: gr.Request) -> Iterator[Message]:
        """Measure a plan again after a slider was let go; scores and the full run come from the cache."""
        data = event._data if isinstance(event._data, dict) else {}
        stop = self.stops.new(str(request.session_hash), 0)
        try:
            ask, token = self._moved(data), data.get("run")
            if data.get("redraw"):
                path = yield from self._told(self._shown(ask, stop), 0)
                yield {"kind": "shown", "serial": 0, "run": self.shelf.token(ask), "file": str(path)}
                return
            from patchlens.views.report import trace_json

            trace = yield from self._told(self._trace(ask, stop), 0)
            yield {"kind": "settled", "run": token, "spec": data.get("spec"), "report": trace_json(trace)}
        except GeneratorExit:
            raise
        except BaseException as error:
            yield trouble(error)
        finally:
            stop.set()

    def save(self, event: gr.EventData) -> Message:
        """Make a file of a run (json, png, mp4, html) and say where it lies."""
        data = event._data if isinstance(event._data, dict) else {}
        try:
            kind = data.get("kind")
            if kind not in (*SAVES, "clip"):
                raise ValueError(f"{kind!r} cannot be saved; choose one of {', '.join(SAVES)}.")
            path = self._saved(self._moved(data), kind)
            return {"kind": "saved", "file": str(path), "name": path.name, "stamp": data.get("stamp")}
        except BaseException as error:
            return trouble(error)

    def cancel(self, event: gr.EventData, request: gr.Request) -> None:
        """Stop this session's jobs; outside the queue, so that it comes through at once."""
        data = event._data if isinstance(event._data, dict) else {}
        up_to = data.get("serial")
        self.stops.stop(str(request.session_hash), up_to if isinstance(up_to, int) else 2**53)

    def leave(self, request: gr.Request) -> None:
        """The tab was closed: nobody waits for its jobs."""
        self.stops.stop(str(request.session_hash))

    # --- the API ----------------------------------------------------------------------------------------------

    def analyze(self, video: str, encoder: str, selector: str, label: str, frames: float, seed: float) -> Iterator[Any]:
        """Run one video through a plan and the full encoder, and report what stays, what it saves and what it costs.

        Parameters:
            video: the video file
            encoder: name of an encoder whose weights are on the server, such as "tiny-video"
            selector: the plan, such as "rlt:tau=0.1" or "rlt:tau=0.1+random:keep=0.5"
            label: the clip's class, for the oracle and the report; may be empty
            frames: frames to sample, 1 to 64
            seed: for random choices
        Returns:
            the report as JSON, schema version 1: clip, encoder, selector, tokens, gmacs, fidelity, prediction, timing_s
        """
        from patchlens.views.report import trace_json

        try:
            if not video:
                raise ValueError("There is no video; give a file.")
            data = {"source": f"{UPLOAD}{video}", "encoder": encoder or "tiny-video", "selector": selector or "rlt",
                    "label": label or "", "frames": frames, "seed": seed}  # fmt: skip
            steps = self._trace(Ask.of(data, self.uploads), self.stops.new("", 0))
            while True:
                try:
                    next(steps)
                except StopIteration as done:
                    yield trace_json(done.value)
                    return
        except GeneratorExit:
            raise
        except BaseException as error:
            raise gr.Error(sentence(error), print_exception=False) from None

    # --- the work ---------------------------------------------------------------------------------------------

    def _moved(self, data: dict) -> Ask:
        """The run that a page means, under the plan on its screen."""
        ask, spec = self.shelf.ask(data.get("run")), data.get("spec")
        if not isinstance(spec, str) or len(spec) > 400:
            raise ValueError("The plan is missing or too long; reload the page.")
        return replace(ask, selector=str(parse_plan(spec)))

    def _told(self, steps: Any, serial: int) -> Any:
        """Pass steps on as messages; returns what they return."""
        while True:
            try:
                stage, share = next(steps)
            except StopIteration as done:
                return done.value
            yield {"kind": "working", "serial": serial, "stage": stage, "share": round(share, 2)}

    def _trace(self, ask: Ask, stop: Any) -> Any:
        """Steps to the trace of a run, from the shelf where it is there."""
        held = self.shelf.trace(ask)
        if held is not None:
            return held
        from patchlens import pipeline

        work = lambda progress, cancel: pipeline.run(ask.path, progress=progress, cancel=cancel, **ask.options())  # noqa: E731
        trace = yield from follow(work, stop)
        self.shelf.hold(ask, trace)
        return trace

    def _shown(self, ask: Ask, stop: Any) -> Any:
        """Steps to the payload file of a run."""
        from patchlens.views.player import payload

        stored = self.shelf.stored(ask, "payload.bin")
        if stored is not None:
            return stored
        trace = yield from self._trace(ask, stop)
        path = self.shelf.place(ask, "payload.bin")
        write_whole(path, payload(trace))
        return path

    def _saved(self, ask: Ask, kind: str) -> Path:
        if kind == "clip":
            return self._sample_file(ask)
        name = f"{file_stem(ask)}.{kind}"
        stored = self.shelf.stored(ask, name)
        if stored is not None:
            return stored
        from patchlens.outputs import save

        trace: Trace = _last(self._trace(ask, self.stops.new("", 0)))
        path = self.shelf.place(ask, name)
        save(trace, {kind: path})
        return path

    def _sample_file(self, ask: Ask) -> Path:
        """A copy of a sample's video under its own name."""
        if not ask.source.startswith(SAMPLE):
            raise ValueError("Only samples can be saved as a clip; your own video is with you.")
        path = self.shelf.place(ask, f"{ask.name.replace(' ', '-')}.mp4")
        if not path.exists():
            write_whole(path, ask.path.read_bytes())
        return path


def _last(steps: Any) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


def file_stem(ask: Ask) -> str:
    """A name for a file made of a run: the clip's and the plan's letters and digits."""
    plain = lambda text: re.sub(r"[^A-Za-z0-9.=]+", "-", text).strip("-.")  # noqa: E731
    return f"{plain(Path(ask.name).stem)[:60] or 'clip'}-{plain(ask.selector)[:60]}"
