"""The real dashboard on a free port, in a process of its own, and one browser for all tests of this folder."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import launched

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_up(url: str, process: subprocess.Popen[Any], log: Path) -> float:
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


SECONDS_TO_START: list[float] = []


@pytest.fixture(scope="session")
def app_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running dashboard."""
    folder = tmp_path_factory.mktemp("app")
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
    SECONDS_TO_START.append(wait_until_up(url, process, log))
    yield url
    process.terminate()
    process.wait(20)
    assert "Traceback" not in log.read_text(), log.read_text()[-4000:]


@pytest.fixture
def seconds_to_start(app_url: str) -> float:
    """How long the dashboard took to answer."""
    return SECONDS_TO_START[0]


@pytest.fixture(scope="session")
def chrome() -> Iterator[Any]:
    with launched() as browser:
        yield browser


@pytest.fixture
def new_page(chrome: Any) -> Iterator[Any]:
    """new_page(**options) -> a page of its own whose errors fail the test."""
    contexts, errors = [], []

    def make(**options: Any) -> Any:
        options.setdefault("viewport", {"width": 1280, "height": 900})
        contexts.append(chrome.new_context(accept_downloads=True, **options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: message.type == "error" and errors.append(message.text))
        page.errors = errors
        return page

    yield make
    for context in contexts:
        context.close()
    assert not errors, errors


@pytest.fixture
def dashboard(new_page: Any, app_url: str) -> Any:
    """dashboard(**options) -> a page on which the first sample is shown."""

    def make(**options: Any) -> Any:
        page = new_page(**options)
        page.goto(app_url)
        page.wait_for_selector(".pl-desk", timeout=30_000)
        if page.evaluate("!document.querySelector('select[aria-label=Encoder]').value"):
            page.select_option("select[aria-label=Weights]", "random")
            page.click("button[type=submit]")
        try:
            page.wait_for_selector(".pl-body:not([hidden])", timeout=60_000)
            page.wait_for_function("document.querySelector('.pl-status').hidden", timeout=30_000)
        except Exception as error:
            raise AssertionError(f"no sample is shown; the page says {page.inner_text('.pl-status')!r}") from error
        return page

    return make


@pytest.fixture
def report(new_page: Any, tmp_path: Path) -> Any:
    """report(trace, ...) -> a page with the report of one or several traces, opened from disk while offline."""

    from patchlens.views.report import html_report

    def make(*traces: Any, **options: Any) -> Any:
        path = tmp_path / "report.html"
        path.write_text(html_report(*traces), "utf-8")
        page = new_page(**options)
        page.context.set_offline(True)
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector(".pl-body:not([hidden])")
        return page

    return make
