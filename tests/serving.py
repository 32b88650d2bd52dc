"""The real dashboard on a free port, in a process of its own, and a small client that speaks to its doors."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 400


@dataclass(frozen=True)
class Served:
    """A running dashboard: its address, its process, and how long it took to answer."""

    url: str
    process: subprocess.Popen[Any]
    seconds: float

    def megabytes(self) -> float:
        """Resident memory of the server and its decoder."""
        pids, page = [self.process.pid], os.sysconf("SC_PAGE_SIZE") / 2**20
        for children in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            pids += [int(pid) for pid in children.read_text().split()]
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page for pid in pids)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Start the dashboard with caches of its own in `folder`; its log must hold no traceback in the end."""
    port, log = free_port(), folder / "log.txt"
    paths = [str(ROOT / "core"), str(ROOT / "app"), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "GRADIO_TEMP_DIR": str(folder / "gradio"),
        "PATCHLENS_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "patchlens_app", "--port", str(port), "--no-browser"]
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment, cwd=folder)
    url = f"http://127.0.0.1:{port}"
    try:
        yield Served(url, process, _wait_until_up(url, process, log))
    finally:
        process.terminate()
        process.wait(20)
    assert "Traceback" not in log.read_text(), log.read_text()[-4000:]


def _wait_until_up(url: str, process: subprocess.Popen[Any], log: Path) -> float:
    """Seconds until the page is served."""
    begun = time.monotonic()
    while time.monotonic() - begun < START_SECONDS:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return time.monotonic() - begun
        except OSError:
            time.sleep(0.1)
    process.kill()
    raise RuntimeError(f"the app did not start:\n{log.read_text()[-3000:]}")


def messages(body: bytes) -> tuple[list[dict[str, Any]], bytes]:
    """What a door answered: its JSON lines up to the one that announces bytes, and those."""
    told = []
    while True:
        line, _, body = body.partition(b"\n")
        told.append(json.loads(line))
        if "bytes" in told[-1]:
            assert told[-1]["bytes"] == len(body)
            return told, body
