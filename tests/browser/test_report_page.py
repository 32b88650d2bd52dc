"""The one-file report in a real browser: from disk, with the network off, by slider, pointer and keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsers import HASH, busy_machine
from patchlens.views.report import html_report
from traces import HOSTILE, frame_trace, large_trace, toy_trace

pytestmark = pytest.mark.browser


def drag(page: Any, value: float, done: bool = True) -> None:
    page.evaluate(
        """([value, done]) => { const r = document.querySelector('input[data-knob]'); r.value = value;
        r.dispatchEvent(new Event('input')); if (done) r.dispatchEvent(new Event('change')); }""",
        [value, done],
    )
    page.evaluate("() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))")


def test_opens_offline_and_redraws_by_slider(report: Any) -> None:
    page = report(toy_trace())
    assert page.inner_text(".pl-headline") == "36.7 % 88 of 240 kept"
    before = page.evaluate(HASH)
    drag(page, 0.5)
    assert "84 of 240 kept" in page.inner_text(".pl-headline")
    assert page.evaluate(HASH) != before
    assert "as of the last run: rlt:tau=0.1" in page.inner_text(".pl-stale")
    assert [url for url in page.asked if url.startswith("http")] == []


def test_numbers_on_screen_are_pythons(report: Any) -> None:
    page = report(toy_trace())
    for tau in (0.0, 0.2, 0.7, 1.5):
        drag(page, tau)
        wanted = toy_trace(tau=tau)
        assert f"{wanted.keep.count} of 240 kept" in page.inner_text(".pl-headline")
        shown = page.evaluate("() => document.querySelectorAll('.pl-thumb-label').length")
        assert shown == wanted.grid.t
        texts = page.locator(".pl-thumb-label").all_inner_texts()
        labels = [int(text.split("· ")[1]) for text in texts]
        assert labels == wanted.keep.per_frame


# Six half seconds of dragging from threshold to threshold, each of which changes the picture on the screen: different
# pictures a second in the best of them, and the fastest single redraw with its hash
DRAG = f"""async () => {{
  const hash = {HASH};
  const knobs = Array.from(document.querySelectorAll('input[data-knob]'));
  const range = knobs.find(({{ dataset }}) => ['tau', 'keep', 'p'].includes(dataset.knob));
  const move = async (value) => {{
    range.value = value;
    range.dispatchEvent(new Event('input'));
    await new Promise(requestAnimationFrame);
    return hash();
  }};
  const values = [];
  for (let i = 0, last = hash(); i < 100; i++) {{
    const value = Number(range.min) + (range.max - range.min) * (0.02 + 0.95 * ((i * 0.37) % 1));
    const made = await move(value);
    if (made !== last) values.push(value);
    last = made;
  }}
  const [rates, costs] = [[], []];
  for (let i = 0, window = 0, last = hash(); window < 6; window++) {{
    let changes = 0;
    const begun = performance.now();
    while (performance.now() - begun < 500) {{
      const start = performance.now();
      const made = await move(values[i++ % values.length]);
      changes += made !== last;
      last = made;
      costs.push(performance.now() - start);
    }}
    rates.push(changes / ((performance.now() - begun) / 1000));
  }}
  return {{ rate: Math.max(...rates), median: rates.sort((a, b) => a - b)[3], least: Math.min(...costs) }};
}}"""


def test_a_drag_redraws_at_least_thirty_times_a_second(report: Any) -> None:
    page = report(large_trace())
    page.wait_for_timeout(300)
    made = page.evaluate(DRAG)
    print(f"redraws at 8 x 14 x 14: {made['rate']:.0f} a second; the fastest took {made['least']:.1f} ms with its hash")
    assert made["rate"] >= 30 or busy_machine()


# Milliseconds that one in four of 60 pointer moves takes at most
HOVER = """() => {
  const canvas = document.querySelector('.pl-picture');
  const box = canvas.getBoundingClientRect();
  const times = Array.from({ length: 60 }, (_, i) => {
    const start = performance.now();
    const at = { clientX: box.left + (((i % 14) + 0.5) / 14) * box.width, clientY: box.top + box.height / 2 };
    canvas.dispatchEvent(new PointerEvent('pointermove', at));
    return performance.now() - start;
  });
  return times.sort((a, b) => a - b)[15];
}"""


def test_reading_out_a_patch_takes_less_than_a_frame(report: Any) -> None:
    page = report(large_trace())
    cost = page.evaluate(HOVER)
    print(f"hover read-out: {cost:.1f} ms")
    assert cost <= 16 or busy_machine()
    assert "rank" in page.inner_text(".pl-readout")


def test_keyboard_alone(report: Any) -> None:
    page = report(toy_trace())
    page.focus(".pl-picture")
    page.keyboard.press("Home")
    page.keyboard.press("]")
    assert "tubelet 2 of 4" in page.inner_text(".pl-clock")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert "row 4, column 7, tubelet 2 of 4" in page.inner_text(".pl-facts")
    assert page.inner_text(".pl-said") != "" or page.text_content(".pl-said")
    before = page.evaluate(HASH)
    page.keyboard.press("2")
    assert page.evaluate(HASH) != before
    page.keyboard.press("?")
    assert page.locator("dialog[open] tr").count() > 12
    page.keyboard.press("Escape")
    page.keyboard.press("+")
    assert "0.105" in page.inner_text(".pl-knobs .pl-knob-value")


def test_playing_moves_on_and_stops(report: Any) -> None:
    page = report(toy_trace())
    page.click("button[aria-label^=Play]")
    for _ in range(40):  # the page's policy forbids playwright's own waiting
        page.wait_for_timeout(100)
        if page.input_value(".pl-scrub") != "4":
            break
    else:
        pytest.fail("the player stands still")
    page.click("button[aria-label^=Pause]")
    value = page.input_value(".pl-scrub")
    page.wait_for_timeout(400)
    assert page.input_value(".pl-scrub") == value


def test_run_lengths_only_where_there_are_runs(report: Any) -> None:
    page = report(frame_trace())
    assert page.locator(".pl-modes button", has_text="Run lengths").is_disabled()
    page.select_option(".pl-knob select >> nth=1", "clip")
    assert page.locator(".pl-thumb").count() == 6


def test_values_as_a_table(report: Any) -> None:
    page = report(toy_trace())
    page.click(".pl-patch summary")
    page.wait_for_selector(".pl-patch .pl-values")
    assert page.locator(".pl-patch .pl-values td").count() == 60
    assert page.locator(".pl-patch .pl-values .pl-kept").count() == toy_trace().keep.per_frame[2]


def test_hostile_name_is_text(report: Any) -> None:
    page = report(toy_trace(HOSTILE))
    assert HOSTILE.split("</script>")[0] in page.inner_text(".pl-title")
    assert page.evaluate("window.hacked") is None
    assert page.locator(".pl-title img").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 900, 1600])
def test_fits_the_width_in_light_and_dark(report: Any, theme: str, width: int, tmp_path: Path) -> None:
    page = report(toy_trace(), viewport={"width": width, "height": 800}, color_scheme=theme)
    page.screenshot(path=tmp_path / "report.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.querySelector('.pl').dataset.theme") == theme
    background = page.evaluate("getComputedStyle(document.querySelector('.pl-stage')).backgroundColor")
    assert (sum(map(int, background.strip("rgb()").split(","))) < 200) == (theme == "dark")


def test_without_script_the_card_still_tells_the_story(new_page: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(html_report(toy_trace()), "utf-8")
    page = new_page(java_script_enabled=False)
    page.goto(path.as_uri())
    assert "36.7 % of 240 tokens kept" in page.inner_text(".pl-card")
    assert np.isfinite(page.locator(".pl-card img").bounding_box()["height"])
