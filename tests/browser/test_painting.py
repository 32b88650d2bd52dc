"""Be the selector: tokens painted by pointer and by keyboard, the answer and its rivals, and whether a map is true here."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.browser
APP = "document.querySelector('.pl-app').patchlens"
ROOM = "#v=1&sample=static+camera&encoder=tiny-video&room=value&plan="
KEPT, SPEC = f"{APP}.player.model.kept", f"{APP}.player.model.spec"
ORACLE = "oracle%3Akeep%3D0.3"


def measured(page: Any, kept: int) -> str:
    """The score once the server has compared at this count."""
    words = f"with {kept} tokens"
    page.wait_for_function(f"document.querySelector('.pl-score').innerText.includes({words!r})", timeout=240_000)
    return page.inner_text(".pl-score")


def test_painted_tokens_are_answered_from_and_set_beside_the_rivals(dashboard: Any) -> None:
    page = dashboard(ROOM + ORACLE)
    page.click("text=Start with no token")
    page.wait_for_function(f"{SPEC} === 'chosen:tokens=none'", timeout=240_000)
    canvas = page.locator(".pl-picture")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    at = lambda x, y: (box["x"] + (x + 0.5) / 8 * box["width"], box["y"] + (y + 0.5) / 8 * box["height"])  # noqa: E731
    page.mouse.move(*at(2, 3))
    page.mouse.down()
    page.mouse.move(*at(5, 3), steps=2)
    page.mouse.up()
    page.wait_for_function(f"{KEPT} === 4")
    t = page.evaluate(f"{APP}.player.tubelet")
    assert page.evaluate(SPEC) == f"chosen:tokens={64 * t + 26}-{64 * t + 29}"
    score = measured(page, 4)
    assert all(name in score for name in ("you", "oracle", "LITE", "random")) and "of 16 random choices" in score
    assert page.evaluate(f"{APP}.player.model.measured.tokens.kept") == 4, "the server keeps the very tokens"
    assert page.input_value("label.pl-field:has-text('tokens') input") == page.evaluate(SPEC).partition("=")[2]
    page.click("text=Undo")
    page.wait_for_function(f"{SPEC} === 'chosen:tokens=none'")
    page.wait_for_timeout(700)
    again = dashboard(page.evaluate("location.hash"))
    assert again.evaluate(SPEC) == "chosen:tokens=none"


def test_a_stroke_by_keyboard_at_all_times_at_once(dashboard: Any) -> None:
    page = dashboard(ROOM + "chosen%3Atokens%3D0-511")
    assert page.evaluate(KEPT) == 512
    page.check("text=at all times at once")
    page.select_option("select[aria-label=Brush]", "3")
    page.focus(".pl-picture")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.wait_for_function(f"{KEPT} === {512 - 72}")
    measured(page, 440)
    page.click("text=Swap")
    page.wait_for_function(f"{KEPT} === 72")
    assert "72 tokens" in measured(page, 72)


def test_a_plan_goes_on_as_ones_own(dashboard: Any) -> None:
    page = dashboard(ROOM + ORACLE)
    before = page.evaluate(f"Array.from({APP}.player.model.keep.mask).join('')")
    page.click("text=Start from this plan")
    page.wait_for_function(f"{SPEC}.startsWith('chosen')", timeout=240_000)
    assert page.evaluate(f"Array.from({APP}.player.model.keep.mask).join('')") == before
    rows = page.locator("tr[data-who]")
    page.wait_for_selector("tr[data-who=you]")
    value = {row.get_attribute("data-who"): row.locator("td >> nth=1").inner_text() for row in rows.all()}
    assert value["you"] == value["oracle"], "the same tokens give the same answer"


def test_whether_the_map_is_true_is_measured_on_the_clip(dashboard: Any) -> None:
    page = dashboard(ROOM + ORACLE)
    page.click("[data-ask=faithfulness]")
    page.wait_for_selector("th:text-is('insertion')", timeout=240_000)
    assert "Solid: the map, area 0." in page.inner_text(".pl-graph:has-text('Insertion')")
    said = page.inner_text(".pl-part:has([data-ask=faithfulness]) [role=status]")
    assert said.startswith("On this clip the map")
    page.evaluate(f"{APP}.player.set({{ keep: 0.7 }})")
    page.wait_for_function(f"{KEPT} > 300")
    assert page.is_visible("th:text-is('insertion')"), "the scores are the same, so what was measured stays"
