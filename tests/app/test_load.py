"""Many at once, and many one after another: the page answers while a job runs, and memory does not pile up.

`pytest -m "slow or not slow" tests/app/test_load.py -s` prints the bars measured, one JSON line each.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from bars import bar
from patchlens.encoders.catalog import CATALOG, on_disk
from patchlens.export import write_mp4
from serving import Served, messages, served
from traces import moving_square

pytestmark = pytest.mark.skipif(not on_disk(CATALOG["tiny-video"]), reason="tiny-video's weights are not there")
needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc to look at")
GROWTH, FLAT = 300, 40  # MB: of all sessions, and of their second half
PATIENCE = 120.0  # seconds
LONG = {"source": "sample:pan", "encoder": "videomae-base", "weights": "random", "selector": "attention:keep=0.5"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("load")) as running:
        yield running


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("clips") / "square.mp4"
    write_mp4(path, moving_square(40, 480, 640), fps=10)
    return path.read_bytes()


def another(clip: bytes) -> bytes:
    """The same film in a file of its own: a box that players pass over comes last."""
    return clip + (24).to_bytes(4, "big") + b"free" + secrets.token_bytes(16)


def ask(client: httpx.Client, door: str, data: dict[str, Any]) -> dict[str, Any]:
    told, _ = messages(client.post(f"/patchlens/{door}", json=data).content)
    assert told[-1]["kind"] not in ("error", "cancelled"), told[-1]
    return told[-1]


def uploaded(client: httpx.Client, film: bytes) -> str:
    """Where the server put it."""
    (path,) = client.post("/gradio_api/upload", files={"files": ("mine.mp4", film, "video/mp4")}).json()
    return path


def session(url: str, clip: bytes) -> None:
    """What one visitor does: a sample, a slider, an upload, a slider."""
    with httpx.Client(base_url=url, timeout=PATIENCE) as client:
        assert client.get("/").status_code == 200
        ask(client, "run", {"source": "sample:pan"})
        ask(client, "settle", {"source": "sample:pan", "selector": "rlt:tau=0.2"})
        mine = {"source": f"upload:{uploaded(client, another(clip))}", "name": "mine.mp4"}
        assert 3.9 <= ask(client, "glance", mine)["end"] <= 4
        ask(client, "run", mine)
        ask(client, "settle", {**mine, "selector": "random:keep=0.5"})


def sessions(server: Served, clip: bytes, count: int, at_once: int = 4) -> None:
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(lambda _: session(server.url, clip), range(count)))


def waits(server: Served, visitors: int, each: int) -> np.ndarray:
    """Milliseconds that the page's own requests took, of so many visitors at once."""

    def visit(_: int) -> list[float]:
        took = []
        with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
            for _ in range(each):
                time.sleep(0.5)  # people look before they click again
                begun = time.monotonic()
                ask(client, "run", {"source": "sample:static camera"})
                took.append(1000 * (time.monotonic() - begun))
        return took

    with ThreadPoolExecutor(visitors) as pool:
        return np.array(sum(pool.map(visit, range(visitors)), []))


def test_twenty_visitors_are_answered_while_a_job_runs(server: Served) -> None:
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        ask(client, "run", {"source": "sample:pan", "selector": "rlt:tau=0.3"})  # all is imported
        with client.stream("POST", "/patchlens/run", json=LONG) as running:
            next(line for line in running.iter_lines() if '"encode"' in line)
            took = waits(server, visitors=20, each=5)
    middle, late = np.percentile(took, [50, 95])
    bar("requests of 20 visitors during a job, p95", late, 100, "ms", median=middle)


def freed(server: Served, tau: float) -> float:
    """Seconds until a run that is asked for now gets its turn."""
    begun = time.monotonic()
    data = {"source": "sample:pan", "selector": f"rlt:tau={tau}"}
    with (
        httpx.Client(base_url=server.url, timeout=PATIENCE) as client,
        client.stream("POST", "/patchlens/settle", json=data) as running,
    ):
        next(line for line in running.iter_lines() if '"wait"' not in line)
        return time.monotonic() - begun


def test_a_closed_connection_frees_the_worker(server: Served, clip: bytes) -> None:
    """Whatever the job is at: that is what a cancel and a closed tab do."""
    stages = [
        ("run", LONG | {"seed": 9}, "load"),
        ("run", {"source": "upload"}, "decode"),
        ("run", LONG | {"selector": "attention:keep=0.4"}, "score"),
        ("run", LONG | {"selector": "random:keep=0.4"}, "encode"),
        ("glance", {"source": "upload"}, "look"),
        ("save", {"source": "sample:pan", "selector": "rlt:tau=0.3", "kind": "mp4"}, "start"),
    ]
    freed(server, 0.5)  # all is imported
    took = {}
    for i, (door, job, stage) in enumerate(stages):
        with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
            if job["source"] == "upload":
                job = {"source": f"upload:{uploaded(client, another(clip))}"}
            with client.stream("POST", f"/patchlens/{door}", json=job) as running:
                next(line for line in running.iter_lines() if f'"{stage}"' in line)
        took[stage if door != "save" else "file"] = freed(server, 0.51 + i / 100)
    bar("a closed connection frees the worker", max(took.values()), 0.5, "s", **took)


@needs_proc
@pytest.mark.slow
def test_two_hundred_sessions(server: Served, clip: bytes) -> None:
    sessions(server, clip, 2)
    before = server.megabytes()
    sessions(server, clip, 100)
    half = server.megabytes()
    sessions(server, clip, 100)
    end = server.megabytes()
    bar("memory that 200 sessions add", end - before, GROWTH, "MB", timed=False, before=before)
    bar("memory that the last 100 of them add", end - half, FLAT, "MB", timed=False)


@needs_proc
def test_sessions_do_not_pile_up(server: Served, clip: bytes) -> None:
    """The same in short: once the caches are full, nothing grows."""
    sessions(server, clip, 16)
    before = server.megabytes()
    sessions(server, clip, 8)
    bar("memory that 8 sessions add to full caches", server.megabytes() - before, FLAT, "MB", timed=False)
