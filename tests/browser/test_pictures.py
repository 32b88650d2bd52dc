"""The README's pictures, made anew: `PATCHLENS_PICTURES=.github/pictures pytest -m slow tests/browser/test_pictures.py`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

FOLDER = os.environ.get("PATCHLENS_PICTURES")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER, reason="PATCHLENS_PICTURES names no folder to write pictures to"),
]
APP = "document.querySelector('.pl-app').patchlens"
RLT, RANDOM = "rlt:tau=0.1", "random:keep=0.32"
# name -> (what the link says, width and height, colour scheme)
PICTURES = {
    "light": ([("room", "explore"), ("plan", RLT), ("plan", RANDOM), ("pins", "19")], (1440, 1180), "light"),
    "dark": ([("room", "runs"), ("plan", RLT), ("overlay", "runs")], (1280, 1180), "dark"),
    "wide": ([("room", "value"), ("plan", "oracle:keep=0.3"), ("overlay", "value")], (1920, 1400), "light"),
    "phone": ([("room", "explore"), ("plan", RLT)], (390, 1180), "dark"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture(dashboard: Any, name: str) -> None:
    view, (width, height), scheme = PICTURES[name]
    link = urlencode([("v", "1"), ("sample", "static camera"), ("encoder", "tiny-video"), *view])
    page = dashboard("#" + link, viewport={"width": width, "height": height}, color_scheme=scheme)
    lanes = sum(key == "plan" for key, _ in view)
    page.wait_for_function(f"!{APP}.busy && {APP}.player.lanes.length === {lanes}", timeout=240_000)
    page.locator(".pl-chart").scroll_into_view_if_needed()
    page.wait_for_selector(".pl-chart .main-svg", timeout=120_000)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(500)
    path = Path(FOLDER or ".") / f"{name}.jpg"
    page.screenshot(path=path, type="jpeg", quality=80)
    assert path.stat().st_size < 400_000


def test_the_figure_of_wall_time(dashboard: Any) -> None:
    """The Run lengths room's figure of the shipped `patchlens bench`, for the README's section on it."""
    link = urlencode([("v", "1"), ("sample", "static camera"), ("encoder", "tiny-video"), ("room", "runs"), ("plan", RLT)])
    page = dashboard("#" + link, viewport={"width": 1440, "height": 1000}, color_scheme="light")
    figure = page.locator(".pl-graph:has-text('What it saves in seconds')")
    figure.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    path = Path(FOLDER or ".") / "seconds.jpg"
    figure.screenshot(path=path, type="jpeg", quality=85)
    assert 5_000 < path.stat().st_size < 200_000
