"""The page's doors: plain HTTP beside gradio's queue, so that nothing cheap waits and no session piles up.

A request is JSON; its answer a stream of JSON lines: {kind: "working", stage, share}, then the result, whose `bytes`
raw bytes follow the last line. Closing the connection (a cancel, a closed tab) stops the job.
"""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from patchlens_app.clips import clips
from patchlens_app.jobs import Steps
from patchlens_app.runs import Runs, sentence

LARGEST = 64 << 10  # bytes of a request
MOST_LANES = 4
Result = tuple[dict[str, Any], bytes]
Begin = Callable[[Any, threading.Event], Steps]


def doors(runs: Runs) -> list[Route]:
    """Routes under /patchlens, all POST with JSON, so that no page of another origin can use them."""
    ways = {"run": _run, "settle": _settle, "save": _save, "glance": _glance, "judge": _judge, "ground": _ground,
            "clips": _clips}  # fmt: skip

    def door(way: Callable[[Runs, Any, threading.Event], Steps]) -> Callable[[Request], Any]:
        async def opened(request: Request) -> Response:
            return await answer(request, lambda data, stop: way(runs, data, stop))

        return opened

    return [Route(f"/patchlens/{name}", door(way), methods=["POST"]) for name, way in ways.items()]


def _run(runs: Runs, data: Any, stop: threading.Event) -> Steps:
    payload = yield from runs.payload(runs.ask(data), stop)
    if data.get("media") is False:  # the page shows this clip already, under another plan
        from patchlens.views.player import without_pictures

        payload = without_pictures(payload)
    return {"kind": "shown"}, payload


def _settle(runs: Runs, data: Any, stop: threading.Event) -> Steps:
    report = yield from runs.report(runs.ask(data), stop)
    return {"kind": "settled", "report": report}, b""


def _judge(runs: Runs, data: Any, stop: threading.Event) -> Steps:
    found, raw = yield from runs.judged(runs.ask(data), data.get("question"), stop)
    return {"kind": "judged", "found": found}, raw


def _ground(runs: Runs, data: Any, stop: threading.Event) -> Steps:
    found = yield from runs.grounded(runs.ask(data), data.get("sentence"), stop)
    return {"kind": "grounded", "found": found}, b""


def _save(runs: Runs, data: Any, stop: threading.Event) -> Steps:
    ask, plans = runs.ask(data), data.get("plans")
    chosen = plans[:MOST_LANES] if isinstance(plans, list) else []
    others = [runs.ask({**data, "selector": plan}) for plan in chosen]
    name, made = yield from runs.file(ask, data.get("kind"), stop, others)
    return {"kind": "file", "name": name}, made


def _glance(runs: Runs, data: Any, stop: threading.Event) -> Steps:
    return {"kind": "glance", **(yield from runs.glance(data, stop))}, b""


def _clips(runs: Runs, data: Any, stop: threading.Event) -> Steps:
    yield "read", 0.0
    return {"kind": "clips", **clips()}, b""


async def answer(request: Request, begin: Begin) -> Response:
    """Do a job and stream what it tells."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return Response("Send JSON.", 415)
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            return Response("The request is too long.", 413)
    try:
        data = json.loads(body)
    except ValueError:
        return Response("The request is not JSON.", 400)
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    return StreamingResponse(lines(begin, data), media_type="application/octet-stream", headers=headers)


async def lines(begin: Begin, data: Any) -> AsyncIterator[bytes]:
    """The answer piece by piece. Whoever stops listening stops the job."""
    stop, told = threading.Event(), None
    steps = begin(data, stop)
    try:
        while True:
            step, done = await run_in_threadpool(_next, steps)
            if done:
                message, raw = step
                yield _line({**message, "bytes": len(raw)})
                for at in range(0, len(raw), 1 << 18):
                    yield raw[at : at + (1 << 18)]
                return
            if step != told:
                told = step
                yield _line({"kind": "working", "stage": step[0], "share": round(step[1], 2)})
    finally:
        stop.set()
        steps.close()


def _next(steps: Steps) -> tuple[Any, bool]:
    """(the next step, False), or ((message, bytes), True) at the end; what went wrong is a message."""
    try:
        return next(steps), False
    except StopIteration as result:
        return result.value, True
    except Exception as error:
        if type(error).__name__ == "Cancelled":  # the pipeline's, the video reader's, or the line's
            return ({"kind": "cancelled"}, b""), True
        return ({"kind": "error", "sentence": sentence(error)}, b""), True


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, allow_nan=False).encode() + b"\n"
