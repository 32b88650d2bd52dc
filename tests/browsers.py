"""A real browser for tests: the system's Chromium through playwright, or a reason why there is none.

`PATCHLENS_REQUIRE_BROWSER=1` turns the skip into a failure.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",  # a camera that shows a test picture, and no question whether it may be used
    "--use-fake-ui-for-media-stream",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# A number that changes with the big picture
HASH = """() => {
  const canvas = document.querySelector('.pl-picture');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let hash = 0;
  for (let i = 0; i < data.length; i += 16) hash = (Math.imul(hash, 31) + data[i] + data[i + 1] + data[i + 2]) | 0;
  return hash;
}"""


def busy_machine() -> bool:
    """Whether so much else runs that wall time says little about this code."""
    return os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1)


def chromium() -> str:
    """Path of the browser; skips the test (or fails it, where a browser is required) without one."""
    try:
        import playwright  # noqa: F401

        path = next(filter(None, map(shutil.which, NAMES)), None)
        missing = None if path else "no Chromium on PATH; install the package chromium"
    except ImportError:
        path, missing = None, "playwright is not installed"
    if missing and os.environ.get("PATCHLENS_REQUIRE_BROWSER") == "1":
        pytest.fail(f"a browser is required here, but {missing}")
    if missing:
        pytest.skip(missing)
    return str(path)


@contextmanager
def launched() -> Iterator[Any]:
    """A headless browser with a profile of its own."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def evaluate_alone(script: str, data: Any) -> Any:
    """The value of a script in a blank page; in a thread of its own, for playwright allows one browser to each."""
    chromium()

    def work() -> Any:
        with launched() as browser:
            return browser.new_page().evaluate(script, data)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()
