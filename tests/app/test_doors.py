"""The doors speak JSON lines and bytes, refuse what is none of theirs, and stop a job when nobody listens any more."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patchlens_app.doors import LARGEST, doors, lines
from patchlens_app.runs import PUZZLED, Runs
from serving import messages
from starlette.applications import Starlette
from starlette.testclient import TestClient


def alone(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run to the end in a thread of its own: in this one a browser test may have left a loop running."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    return TestClient(Starlette(routes=doors(Runs(tmp_path_factory.mktemp("uploads")))))


def test_a_shipped_sample_comes_at_once(client: TestClient) -> None:
    answer = client.post("/patchlens/run", json={"source": "sample:pan"})
    told, raw = messages(answer.content)
    assert [m["kind"] for m in told] == ["shown"] and b'"name": "pan"' in raw


@pytest.mark.parametrize(
    ("door", "data", "words"),
    [
        ("run", {"source": "sample:nope"}, "no sample named"),
        ("run", 7, "not understood"),
        ("settle", {"source": "sample:pan", "selector": "rlt:taw=1"}, "not a knob"),
        ("save", {"source": "sample:pan", "kind": "exe"}, "cannot be saved"),
        ("judge", {"source": "sample:pan", "question": "weather"}, "cannot be asked about a run"),
        ("judge", {"source": "sample:pan", "selector": "chosen:tokens=512", "question": "rivals"}, "0 to 511"),
        ("judge", {"source": "sample:pan", "question": "residual"}, "no I- and P-frames"),
        ("ground", {"source": "sample:pan"}, "missing or too long"),
        ("ground", {"source": "sample:pan", "sentence": "a red star"}, "sees whole clips"),
        ("glance", {"source": "sample:pan"}, "Only an uploaded file"),
        ("glance", {"source": "upload:/etc/passwd"}, "upload it again"),
        ("glance", [], "Only an uploaded file"),
    ],
)
def test_a_bad_request_is_one_sentence(client: TestClient, door: str, data: Any, words: str) -> None:
    told, raw = messages(client.post(f"/patchlens/{door}", json=data).content)
    assert told[-1]["kind"] == "error" and words in told[-1]["sentence"] and raw == b""


def test_a_run_is_judged_once_and_remembered(client: TestClient) -> None:
    asked = {"source": "sample:pan", "selector": "chosen:tokens=0-99", "question": "rivals"}
    (*_, told), raw = messages(client.post("/patchlens/judge", json=asked).content)
    assert told["kind"] == "judged" and told["found"]["kept"] == 100 and raw == b""
    assert {other["name"] for other in told["found"]["others"]} == {"oracle", "lite", "random"}
    (again,), _ = messages(client.post("/patchlens/judge", json=asked).content)
    assert again == told, "and no step of work before it"


def test_the_oracles_maps_of_all_blocks_come_as_bytes(client: TestClient) -> None:
    asked = {"source": "sample:pan", "selector": "chosen:tokens=0-99", "question": "blocks"}
    (*_, told), raw = messages(client.post("/patchlens/judge", json=asked).content)
    found = told["found"]
    maps = np.frombuffer(raw, "<f4").reshape(len(found["gradients"]), found["blocks"] + 1, 512)
    assert np.isfinite(maps).all() and maps.any(2).all() and len(found["accuracy"]) >= found["blocks"]


PLAN = {"source": "sample:pan", "encoder": "tiny-clip", "selector": "residualvit:n=2,p=0.85", "frames": 7}


def test_what_the_residual_token_adds_is_asked_beside_a_run(client: TestClient) -> None:
    (*_, told), raw = messages(client.post("/patchlens/judge", json={**PLAN, "question": "residual"}).content)
    found = told["found"]
    (*_, settled), _ = messages(client.post("/patchlens/settle", json=PLAN).content)
    assert found["with"] == pytest.approx(settled["report"]["fidelity"]["frame_cosine"], abs=1e-5) and raw == b""
    assert len(found["adds"]) == 7 and set(found["gmacs"]) == {"full", "short", "group", "clip", "counted"}


def test_a_sentence_finds_moments_in_full_and_by_the_plan(client: TestClient) -> None:
    (*_, told), _ = messages(client.post("/patchlens/ground", json={**PLAN, "sentence": "a blue box"}).content)
    assert told["kind"] == "grounded" and told["found"]["plan"]["moments"] and len(told["found"]["times"]) == 7
    (*_, told), _ = messages(client.post("/patchlens/ground", json={**PLAN, "sentence": "a dog"}).content)
    assert told["kind"] == "error" and "'dog'" in told["sentence"]


def test_only_json_of_a_sane_size_is_taken(client: TestClient) -> None:
    assert client.post("/patchlens/run", content=b"{}", headers={"content-type": "text/plain"}).status_code == 415
    json_type = {"content-type": "application/json"}
    assert client.post("/patchlens/run", content=b"{", headers=json_type).status_code == 400
    assert client.post("/patchlens/run", content=b" " * (LARGEST + 1), headers=json_type).status_code == 413
    assert client.get("/patchlens/run").status_code == 405


def test_an_error_of_our_own_shows_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def broken(data: Any, stop: threading.Event) -> Any:
        yield "start", 0.0
        raise RuntimeError("secret")

    async def all_of() -> bytes:
        return b"".join([part async for part in lines(broken, {})])

    told, _ = messages(alone(all_of))
    assert told[-1] == {"kind": "error", "sentence": PUZZLED, "bytes": 0}
    assert "secret" in caplog.text


def test_whoever_stops_listening_stops_the_job() -> None:
    stopped = []

    def endless(data: Any, stop: threading.Event) -> Any:
        try:
            while True:
                time.sleep(0.02)
                yield "count", time.monotonic() % 1
        finally:
            stopped.append(stop.is_set())

    async def two_parts() -> None:
        parts = lines(endless, {})
        for _ in range(2):
            await anext(parts)
        await parts.aclose()

    begun = time.monotonic()
    alone(two_parts)
    assert stopped == [True] and time.monotonic() - begun < 1


def test_uploads_of_others_cannot_be_named(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "mine.mp4").write_bytes(b"x")
    told, _ = messages(client.post("/patchlens/run", json={"source": f"upload:{tmp_path / 'mine.mp4'}"}).content)
    assert told[-1]["kind"] == "error"
