"""The front end's speed, measured in the real dashboard at 8 x 14 x 14 tokens; `pytest -m slow -s` prints the figures.

A redraw counts where the canvas's hash at an animation frame is another than before. Requests are those but gradio's own
heartbeat. On a machine that is busy with other work the figures are printed and not judged.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from browsers import busy_machine
from patchlens.export import write_mp4
from test_report_page import DRAG, HOVER
from traces import moving_square

pytestmark = [pytest.mark.browser, pytest.mark.slow]
APP = "document.querySelector('.pl-app').patchlens"
IDLE = f"!{APP}.busy && {APP}.player.model !== null"
LARGE = {"encoder": "videomae-base", "weights": "random"}
RLT, RANDOM = "rlt:tau=0.1", "random:keep=0.5"
VIEWS = {
    "Explore": ("explore", LARGE, [RLT]),
    "Explore, two plans": ("explore", LARGE, [RLT, RANDOM]),
    "Token value": ("value", LARGE, [RANDOM]),
    "Run lengths": ("runs", LARGE, [RLT]),
    "Principles": ("principles", LARGE, [RLT]),
    "Residual tokens (16 x 12 x 12)": ("residual", {"encoder": "tiny-clip"}, ["residualvit:n=2,p=0.85"]),
}
SWITCH = f"""async (plans) => {{
  const app = {APP};
  const times = [];
  for (const plan of plans) {{
    const start = performance.now();
    app.replace(plan);
    while (app.busy || app.player.model.spec !== plan) await new Promise(requestAnimationFrame);
    times.push(performance.now() - start);
  }}
  return times;
}}"""


def link(room: str, encoder: dict[str, str], plans: list[str]) -> str:
    fields = [("v", "1"), ("sample", "static camera"), *encoder.items(), ("room", room)]
    return "#" + urlencode([*fields, *(("plan", plan) for plan in plans)])


def idle(page: Any, plans: int) -> None:
    page.wait_for_function(f"{IDLE} && {APP}.player.lanes.length === {plans}", timeout=300_000)
    page.wait_for_timeout(1500)


@pytest.mark.parametrize("view", VIEWS)
def test_dragging_and_pointing(dashboard: Any, view: str) -> None:
    room, encoder, plans = VIEWS[view]
    page = dashboard(link(room, encoder, plans))
    idle(page, len(plans))
    asked: list[str] = []
    page.on("request", lambda request: "heartbeat" in request.url or asked.append(request.url))
    page.locator(".pl-stage").scroll_into_view_if_needed()
    drag = page.evaluate(DRAG)
    page.locator(".pl-stage").scroll_into_view_if_needed()
    hover = page.evaluate(HOVER)
    found = {
        "view": view, "redraws_per_s": round(drag["rate"]), "median": round(drag["median"]),
        "fastest_ms": round(drag["least"], 1), "hover_ms": round(hover, 1), "requests": len(asked), "busy": busy_machine(),
    }  # fmt: skip
    print("\n" + json.dumps(found))
    assert asked == []
    assert (drag["rate"] >= 30 and hover <= 16) or found["busy"], found


def test_switching_between_selectors_that_were_seen(dashboard: Any) -> None:
    page = dashboard(link("explore", LARGE, [RLT]))
    idle(page, 1)
    page.evaluate(SWITCH, [RANDOM, RLT])
    times = sorted(page.evaluate(SWITCH, [RANDOM, RLT] * 5))
    print("\n" + json.dumps({"switch_ms": round(times[5], 1), "slowest_ms": round(times[-1], 1), "busy": busy_machine()}))
    assert times[5] <= 150 or busy_machine()


def test_a_new_upload_is_soon_on_the_screen(dashboard: Any, tmp_path: Path) -> None:
    """Five seconds of 640 x 360: the overlay within 5 s and with it, as both come in one answer, faithfulness within 10."""
    page, path = dashboard(), tmp_path / "five seconds.mp4"
    write_mp4(path, moving_square(150, 360, 640), fps=30)
    begun = time.perf_counter()
    page.set_input_files("input[type=file] >> nth=0", path)
    page.wait_for_function("document.querySelector('.pl-title').textContent.includes('five seconds')")
    page.wait_for_function("document.querySelector('.pl-fidelity').textContent.includes('cosine')")
    taken = time.perf_counter() - begun
    print("\n" + json.dumps({"upload_s": round(taken, 1), "busy": busy_machine()}))
    assert taken <= 5 or busy_machine()
