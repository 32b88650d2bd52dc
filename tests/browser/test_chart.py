"""The accuracy/cost chart of a report, offline: it moves while dragging, a click sets the slider, budgets are solved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import busy_machine
from frontiers import charted, gmacs
from patchlens.types import Trace
from patchlens.views.report import html_report
from traces import large_trace, toy_trace

pytestmark = pytest.mark.browser
WAIT = 120_000  # ms; on a busy machine the 4.8 MB of plotly.js take long
CHART = ".pl-slot:has(.pl-chart)"

STATE = """() => {
  const { xaxis, yaxis, margin, height } = document.querySelector('.pl-chart').layout;
  const box = document.querySelector('.pl-chart-box').getBoundingClientRect();
  const marks = [...document.querySelectorAll('.pl-mark')];
  const places = marks.map((mark) => mark.getBoundingClientRect());
  const wide = box.width - margin.l - margin.r;
  const tall = (height - margin.t - margin.b) * (yaxis.domain[1] - yaxis.domain[0]);
  const [low, high] = yaxis.range;
  return {
    x: places.map(({ left }) => (xaxis.range[1] * (left - box.left - margin.l)) / wide),
    y: places.map(({ top }) => high - ((top - box.top - margin.t) / tall) * (high - low)),
    known: marks.map((mark) => !mark.classList.contains('pl-mark-cost')),
    said: [...document.querySelectorAll('.pl-standing li')].map((li) => li.textContent),
    tau: Number(document.querySelector('input[data-knob]').value),
  };
}"""
DRAG = """async (value) => {
  const range = document.querySelector('input[data-knob]');
  range.value = value;
  range.dispatchEvent(new Event('input'));
  await new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)));
}"""


@pytest.fixture(scope="module")
def drawn(chrome: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """drawn(trace) -> a page with the report of a trace whose weights were swept, its chart drawn, the network off."""
    contexts, errors = [], []

    def make(trace: Trace) -> Any:
        folder = tmp_path_factory.mktemp("chart")
        with pytest.MonkeyPatch.context() as patch:
            (folder / "report.html").write_text(html_report(charted(patch, folder, trace)), "utf-8")
        contexts.append(chrome.new_context(viewport={"width": 1280, "height": 900}, offline=True))
        page = contexts[-1].new_page()
        page.set_default_timeout(WAIT)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: message.type == "error" and errors.append(message.text))
        page.asked, page.bytes = [], (folder / "report.html").stat().st_size
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto((folder / "report.html").as_uri())
        page.wait_for_selector(".pl-body:not([hidden])", timeout=WAIT)
        page.locator(".pl-chart").scroll_into_view_if_needed()
        page.wait_for_selector(".pl-chart .main-svg", timeout=WAIT)
        return page

    yield make
    for context in contexts:
        context.close()
    assert not errors, errors


@pytest.fixture(scope="module")
def page(drawn: Any) -> Any:
    """The report of the toy trace; every test sets its slider first."""
    return drawn(toy_trace())


def test_a_report_draws_it_offline_and_asks_nobody(page: Any) -> None:
    assert page.bytes < 3_500_000
    assert page.locator(".pl-chart .scatterlayer .trace").count() >= 6
    assert "Reference set: motions, stream 3, 64 clips" in page.inner_text(CHART)
    assert "your clip may differ" in page.inner_text(CHART)
    assert [url for url in page.asked if url.startswith("http")] == []


def test_the_point_moves_along_its_curve_while_dragging(page: Any) -> None:
    page.evaluate(DRAG, 0.1)
    before = page.evaluate(STATE)
    trace = toy_trace()
    assert before["x"] == [pytest.approx(trace.report.reduced.total + 0.003, abs=0.02)]
    share = (trace.report.keep_ratio - 0.3) / 0.2
    assert before["y"] == [pytest.approx(0.4 + 0.4 * share, abs=0.003)] and before["known"] == [True]
    page.evaluate(DRAG, 0.5)
    after = page.evaluate(STATE)
    moved = toy_trace(tau=0.5)
    value = 0.4 + 0.4 * (moved.report.keep_ratio - 0.3) / 0.2
    assert after["x"] == [pytest.approx(moved.report.reduced.total + 0.003, abs=0.02)]
    assert after["y"] == [pytest.approx(value, abs=0.003)]
    assert f"{100 * value:.1f} % [" in after["said"][0] and "top-1" in after["said"][0]
    page.evaluate(DRAG, 3.0)  # fewer than the sweep measured
    assert page.evaluate(STATE)["known"] == [False]
    assert "fewer tokens than were measured" in page.evaluate(STATE)["said"][0]


# How often a second the drawn point stands elsewhere while a slider is dragged (best of four half seconds), and the
# milliseconds of the fastest step
RATE = """async () => {
  const range = document.querySelector('input[data-knob]');
  const place = () => document.querySelector('.pl-mark').style.cssText;
  const [rates, costs] = [[], []];
  for (let i = 0, window = 0; window < 4; window++) {
    let [moves, last, begun] = [0, place(), performance.now()];
    while (performance.now() - begun < 500) {
      const start = performance.now();
      range.value = 0.05 + 0.6 * ((i++ * 0.017) % 1);
      range.dispatchEvent(new Event('input'));
      await new Promise(requestAnimationFrame);
      costs.push(performance.now() - start);
      if (place() !== last) moves++;
      last = place();
    }
    rates.push(moves / ((performance.now() - begun) / 1000));
  }
  return { rate: Math.max(...rates), least: Math.min(...costs) };
}"""


def test_it_follows_at_thirty_updates_a_second(drawn: Any) -> None:
    page = drawn(large_trace())
    page.wait_for_timeout(300)
    made = page.evaluate(RATE)
    print(f"chart updates: {made['rate']:.0f} a second; the fastest took {made['least']:.1f} ms")
    assert made["least"] <= 1000 / 30
    assert made["rate"] >= 30 or busy_machine()
    assert [url for url in page.asked if url.startswith("http")] == []


def test_a_click_on_a_point_sets_the_slider(page: Any) -> None:
    page.evaluate(DRAG, 0.1)
    spot = page.evaluate("""() => {
      const plot = document.querySelector('.pl-chart');
      const box = plot.getBoundingClientRect();
      const { xaxis, yaxis, _size } = plot._fullLayout;
      const point = plot.data.find((t) => t.name === 'rlt');
      return [box.left + xaxis._offset + xaxis.l2p(point.x[1]), box.top + yaxis._offset + yaxis.l2p(point.y[1])];
    }""")
    page.mouse.move(*spot)
    page.wait_for_timeout(200)
    page.mouse.click(*spot)
    page.wait_for_timeout(300)
    assert page.evaluate(STATE)["tau"] == 0.4, "the tau that reached half of the tokens"


def test_the_table_offers_every_point_to_the_keyboard(page: Any) -> None:
    page.evaluate(DRAG, 0.1)
    page.click("summary >> text=The curves as a table")
    button = page.locator("button[aria-label='Set rlt:tau=0.2']")
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(200)
    assert page.evaluate(STATE)["tau"] == 0.2
    other = page.locator("button[aria-label='Set motion:keep=0.3']")
    assert other.is_disabled() and "No scores of motion" in other.get_attribute("title")


GOAL = """async ([name, value]) => {
  const range = document.querySelector(`input[data-goal=${name}]`);
  range.value = value;
  range.dispatchEvent(new Event('input'));
  await new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)));
  range.dispatchEvent(new Event('change'));
  return range.closest('.pl-goal').textContent;
}"""


def test_a_budget_is_solved_for_the_slider(page: Any) -> None:
    page.evaluate(DRAG, 0.1)
    budget = gmacs(84.5 / 240)  # 84 tokens stay at tau = 0.5, 88 at 0.1
    said = page.evaluate(GOAL, ["budget", budget])
    state = page.evaluate(STATE)
    assert state["x"][0] <= budget + 0.03 and "GMACs." in said
    assert state["tau"] > 0.1
    said = page.evaluate(GOAL, ["budget", 0])
    assert "Out of reach: this plan costs at least" in said
    page.evaluate(DRAG, 0.0)
    assert "Out of reach" not in page.inner_text(".pl-goal >> nth=0"), "another slider took over"


def test_a_wanted_accuracy_names_the_cheapest_plan(page: Any) -> None:
    page.evaluate(DRAG, 0.1)
    assert "motion:keep=" in page.evaluate(GOAL, ["wanted", 0.74])
    assert "No curve reaches this" in page.evaluate(GOAL, ["wanted", 1])
    assert page.locator(".pl-goal button").count() == 0, "a report holds no scores of motion"


def test_without_plotly_the_table_stands_in(new_page: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = html_report(charted(monkeypatch, tmp_path)).replace('id="plotly"', 'id="absent"')
    (tmp_path / "bare.html").write_text(text, "utf-8")
    page = new_page()
    page.goto((tmp_path / "bare.html").as_uri())
    page.wait_for_selector(".pl-body:not([hidden])", timeout=WAIT)
    page.locator(CHART).scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    assert page.locator(".pl-chart").is_hidden()
    page.click("summary >> text=The curves as a table")
    page.wait_for_selector(".pl-slot .pl-values tbody tr")  # the table is made by the toggle event, a task later
    assert page.locator(".pl-slot .pl-values tbody tr").count() == 1 + 5 + 4 + 5 + 5 + 1
    assert "of the tokens" in page.inner_text(".pl-standing")


def test_without_a_sweep_it_says_so(new_page: Any, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(html_report(toy_trace()), "utf-8")
    page = new_page()
    page.goto((tmp_path / "report.html").as_uri())
    page.wait_for_selector(".pl-body:not([hidden])", timeout=WAIT)
    assert "No sweep of these weights" in page.inner_text(CHART)
    assert page.locator(".pl-chart").is_hidden() and page.locator("input[data-goal=wanted]").is_hidden()


@pytest.mark.parametrize(("width", "theme"), [(360, "light"), (360, "dark"), (1280, "dark"), (1280, "light")])
def test_it_fits_and_takes_the_themes_colours(page: Any, width: int, theme: str, tmp_path: Path) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=theme)
    for _ in range(100):  # the page's policy forbids playwright's own waiting
        page.wait_for_timeout(100)
        if page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
            break
    else:
        pytest.fail("the page is wider than the window")
    page.screenshot(path=tmp_path / "chart.png", full_page=True)
    ink = page.evaluate("getComputedStyle(document.querySelector('.pl-chart .xtick text')).fill")
    assert (sum(map(int, ink.strip("rgb()").split(","))) > 400) == (theme == "dark")


# --- In the dashboard

IDLE = "document.querySelector('.pl-status').hidden"


def test_the_dashboard_brings_plotly_itself_and_to_be_kept(app_url: str, dashboard: Any) -> None:
    page = dashboard()
    asked: list[Any] = []
    page.on("response", lambda response: asked.append(response))
    page.locator(".pl-chart").scroll_into_view_if_needed()
    page.wait_for_selector(".pl-chart .main-svg", timeout=WAIT)
    (plotly,) = [r for r in asked if "plotly" in r.url]
    assert plotly.url.startswith(f"{app_url}/patchlens/plotly-") and plotly.headers["content-encoding"] == "gzip"
    assert "immutable" in plotly.headers["cache-control"]
    assert [r.url for r in asked if not r.url.startswith((app_url, "blob:", "data:"))] == []
    page.wait_for_timeout(500)
    asked.clear()
    before = page.evaluate(STATE)
    page.evaluate(DRAG, 0.4)
    assert page.evaluate(STATE)["x"] != before["x"]
    assert [r.url for r in asked if "heartbeat" not in r.url] == [], "dragging asks nobody"


def test_a_point_of_another_selector_is_run_and_measured(dashboard: Any) -> None:
    page = dashboard()
    page.click("summary >> text=The curves as a table")
    page.click("summary >> text=This clip's measured points")
    page.click("button[aria-label='Set uniform:keep=0.3']")
    page.wait_for_function("document.querySelector('.pl-lane-plan').textContent.startsWith('uniform')", timeout=WAIT)
    page.wait_for_function(IDLE, timeout=WAIT)
    page.click("button[aria-label='Set uniform:keep=0.5']")  # its own slider now, and measured when let go
    measured = "[...document.querySelectorAll('.pl-slot .pl-values')].at(-1).textContent"
    page.wait_for_function(f"{measured}.includes('uniform:keep=0.5')", timeout=WAIT)
    told = page.evaluate(measured)
    assert "rlt:tau=0.1" in told and "uniform:keep=0.3" in told, "the clip's points are kept"


def test_a_clip_of_another_length_than_the_swept_ones_says_so(dashboard: Any) -> None:
    page = dashboard("#v=1&sample=static%20camera&encoder=tiny-clip&plan=uniform:keep=0.3")
    page.wait_for_selector("text=this clip is 4.0 times as long", timeout=240_000)
