"""The player in a notebook: in a headless JupyterLab it draws, and what is dragged there changes in the kernel."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import pytest

pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parents[2]
CELLS = [
    "import patchlens as pl\nfrom patchlens.data.motions import sample_clip",
    "clip = pl.Clip.from_frames(sample_clip('static camera', size=64).frames, fps=12)\n"
    "player = pl.run(clip, selector=pl.RLT(tau=0.1)).widget()\nplayer",
    "print('threshold', player.threshold, 'frame', player.frame, 'patch', player.patch, 'kept', player.trace.keep.count)",
    "player.frame = 3\nplayer.threshold = 0.2",
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a JupyterLab that holds one notebook, `player.ipynb`."""
    folder = tmp_path_factory.mktemp("lab")
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "player.ipynb")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "core"), os.environ.get("PYTHONPATH", "")]),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "OMP_NUM_THREADS": "1",
    }
    options = [f"--port={port}", "--no-browser", "--allow-root", "--IdentityProvider.token=", f"--notebook-dir={folder}"]
    with (folder / "log.txt").open("w") as log:
        command = [sys.executable, "-m", "jupyterlab", *options]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=folder)
    url = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{url}/api", timeout=2)
            break
        except OSError:
            assert process.poll() is None, (folder / "log.txt").read_text()[-3000:]
            time.sleep(0.2)
    yield url
    process.terminate()
    process.wait(20)


PROMPT = "n => document.querySelectorAll('.jp-CodeCell')[n].querySelector('.jp-InputPrompt').textContent"
TAKEN = f"([n, before]) => ({PROMPT})(n) !== before"
DONE = f"n => /\\d/.test(({PROMPT})(n))"


def run_cell(page: Any, number: int) -> str:
    """Run cell `number` and return its text output."""
    from playwright.sync_api import TimeoutError

    cell = page.locator(".jp-Notebook .jp-CodeCell").nth(number)
    before = page.evaluate(PROMPT, number)
    for _ in range(10):  # JupyterLab forgets a cell that is run while its session is still being made
        cell.locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        with suppress(TimeoutError):
            page.wait_for_function(TAKEN, arg=[number, before], timeout=20_000)
            break
    page.wait_for_function(DONE, arg=number)
    outputs = cell.locator(".jp-OutputArea-output")
    return outputs.first.inner_text() if outputs.count() else ""


def test_the_player_draws_and_talks_with_the_kernel(lab: str, chrome: Any) -> None:
    page = chrome.new_context(viewport={"width": 1280, "height": 1000}).new_page()
    page.set_default_timeout(180_000)  # JupyterLab is large, and tests share the machine
    page.set_default_navigation_timeout(180_000)
    page.goto(f"{lab}/doc/tree/player.ipynb")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell .cm-content")
    page.wait_for_function("document.querySelector('.jp-NotebookPanel-toolbar')?.innerText.includes('Python 3')")
    run_cell(page, 0)
    run_cell(page, 1)
    picture = page.locator("canvas.pl-picture").first
    picture.wait_for()
    colours = "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size"
    assert picture.evaluate(colours) > 40, "the picture is drawn"
    page.locator(".pl-chart").scroll_into_view_if_needed()
    page.wait_for_selector(".pl-chart .main-svg", state="attached")  # plotly.js came from the kernel
    assert page.locator(".pl-chart .scatterlayer .trace").count() >= 6
    before = run_cell(page, 2)
    assert "threshold 0.1 " in before

    slider = page.locator("input[data-knob]").first  # the chart has sliders of its own
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 9 + 0.05 * (box["width"] - 18), y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.3 * box["width"], y, steps=4)
    page.mouse.up()
    dragged = float(slider.input_value())
    assert dragged > 0.3
    slider.press("ArrowRight")
    pressed = float(slider.input_value())
    assert pressed > dragged, "JupyterLab leaves the arrow keys to the slider"
    kept = page.locator(".pl-headline").first.inner_text()
    said: dict[str, float] = {}
    for _ in range(30):  # page and kernel share a busy machine
        words = run_cell(page, 2).split()
        said = dict(zip(words[::2], map(float, words[1::2]), strict=True))
        if said["threshold"] == pytest.approx(pressed) and f" {int(said['kept'])} of" in kept:
            break
        page.wait_for_timeout(500)
    assert said["threshold"] == pytest.approx(pressed), "where the slider stands is the trait"
    assert f" {int(said['kept'])} of" in kept, "the kernel measured what the page shows"

    run_cell(page, 3)
    page.wait_for_function("document.querySelector('input[data-knob]').value === '0.2'")
    assert json.loads(page.locator(".pl-scrub").first.evaluate("e => e.value")) == 3


