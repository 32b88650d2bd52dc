"""Rooms, duels and links in the dashboard, by pointer and keyboard."""

from __future__ import annotations

import re
from typing import Any

import pytest
from browsers import HASH

pytestmark = pytest.mark.browser
APP = "document.querySelector('.pl-app').patchlens"
IDLE = f"!{APP}.busy && {APP}.player.model !== null"
ROOMS = ("Explore", "Token value", "Run lengths", "Residual tokens", "Principles")


def idle(page: Any) -> None:
    page.wait_for_function(IDLE, timeout=240_000)


def enter(page: Any, room: str) -> None:
    page.click(f"role=tab[name='{room}']")
    idle(page)


def address(page: Any) -> str:
    """The hash once it has come to rest."""
    page.wait_for_timeout(700)
    return page.evaluate("location.hash")


def test_every_room_explains_itself_and_shows_its_views(dashboard: Any) -> None:
    page = dashboard()
    for room in ROOMS:
        enter(page, room)
        assert page.get_attribute(f"role=tab[name='{room}']", "aria-selected") == "true"
        assert len(page.inner_text(".pl-room > p")) > 100
    page.focus("role=tab[name='Principles']")
    page.keyboard.press("Home")
    idle(page)
    assert page.get_attribute("role=tab[name='Explore']", "aria-selected") == "true"


def test_run_lengths_shows_where_they_work_and_where_they_fail(dashboard: Any) -> None:
    page = dashboard()
    enter(page, "Run lengths")
    assert page.locator(".pl-graph").count() == 6
    assert "tokens can go" in page.inner_text(".pl-sign")
    page.click("text=A pan: no runs")
    page.wait_for_function("document.querySelector('.pl-title').textContent.startsWith('pan')", timeout=240_000)
    assert "the camera seems to move" in page.inner_text(".pl-sign")


def test_the_line_at_tau_can_be_dragged_and_moves_the_mask(dashboard: Any) -> None:
    page = dashboard()
    enter(page, "Run lengths")
    before, kept = page.evaluate(HASH), page.evaluate(f"{APP}.player.model.kept")
    line = page.locator(".pl-draggable")
    line.scroll_into_view_if_needed()
    box = line.bounding_box()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 80, steps=4)
    page.mouse.up()
    page.wait_for_function(f"{APP}.player.model.kept < {kept}")
    assert page.evaluate(HASH) != before
    tau = float(line.get_attribute("aria-valuenow"))
    assert tau > 0.1 and "grey levels" in page.inner_text(".pl-graph >> nth=1")
    line.press("ArrowRight")
    page.wait_for_function(f"Math.abs({APP}.player.model.stages[0].setting.tau - {tau} - 0.005) < 1e-6")


def test_token_value_follows_the_slider(dashboard: Any) -> None:
    page = dashboard()
    enter(page, "Token value")
    lorenz = page.locator(".pl-graph:has-text('Lorenz')")
    words = lorenz.inner_text()
    assert re.search(r"Gini 0\.\d+", words)
    page.evaluate(f"{APP}.player.set({{ keep: 0.7 }})")
    page.wait_for_function("([node, words]) => node.innerText !== words", arg=[lorenz.element_handle(), words])


def test_a_second_plan_beside_the_first(dashboard: Any) -> None:
    page = dashboard()
    page.click("text=+ Compare")
    page.click(".pl-choice strong:text-is('random')")
    page.wait_for_function(f"{APP}.player.lanes.length === 2", timeout=240_000)
    idle(page)
    command = page.inner_text(".pl-same >> nth=0")
    assert "rlt:tau=0.1" in command and "random:keep=0.32" in command
    assert "for plan in" in page.inner_text(".pl-same >> nth=1")


def test_further_lanes_come_without_pictures_and_may_end_in_a_merger(dashboard: Any) -> None:
    page = dashboard()
    told: list[Any] = []
    page.on("request", lambda request: request.url.endswith("/run") and told.append(request.post_data_json))
    page.evaluate(f"{APP}.add('uniform:keep=0.5+tome:r=30')")
    page.wait_for_function(f"{APP}.player.lanes.length === 2", timeout=240_000)
    idle(page)
    page.evaluate(f"{APP}.add('tome:r=87')")
    page.wait_for_function(f"{APP}.player.lanes.length === 3", timeout=240_000)
    idle(page)
    assert [ask["media"] for ask in told] == [False, False]
    assert page.evaluate(f"new Set({APP}.player.lanes.map((l) => l.model.images)).size") == 1
    before = page.evaluate(f"{APP}.player.lanes[1].model.cost")
    page.evaluate(f"{APP}.player.choose(1); {APP}.player.set({{ keep: 0.2 }})")
    page.wait_for_function(f"{APP}.player.lanes[1].model.kept < 110")
    now, waits = page.evaluate(f"[{APP}.player.lanes[1].model.cost, {APP}.player.lanes[1].model.waits]")
    assert now < 0.6 * before and not waits, "GMACs follow at once"
    page.evaluate(f"{APP}.player.released()")
    page.wait_for_function(f"{APP}.player.lanes[1].model.measured.spec.includes('keep=0.2')", timeout=240_000)
    gmacs = page.evaluate(f"{APP}.player.lanes[1].model.measured.gmacs")
    assert gmacs["reduced"] + gmacs["selector"] == pytest.approx(now, rel=1e-4), "as the server measured it"
    said = page.locator(".pl-standing li").all_inner_texts()
    assert "with tome was not swept" in said[1]
    assert "50.0 % of the tokens on average over the blocks" in said[2] and "97.7 % [" in said[2]
    link = address(page)
    other = dashboard(link)
    idle(other)
    other.wait_for_function(f"{APP}.player.lanes.length === 3", timeout=240_000)
    assert other.evaluate(f"{APP}.player.state.plans") == page.evaluate(f"{APP}.player.state.plans")
    assert "--merger tome:r=30" in page.inner_text(".pl-same >> nth=0")


def test_a_link_brings_the_whole_view_back(dashboard: Any) -> None:
    page = dashboard()
    enter(page, "Run lengths")
    page.click("text=+ Compare")
    page.click(".pl-choice strong:text-is('uniform')")
    page.wait_for_function(f"{APP}.player.lanes.length === 2", timeout=240_000)
    idle(page)
    page.evaluate(f"{APP}.player.set({{ tau: 0.25 }}, {{ lane: 0, release: true }})")
    page.evaluate(f"{APP}.player.seek(5); {APP}.player.pin(11); {APP}.player.pin(30); {APP}.player.setMode('outline')")
    link, state = address(page), page.evaluate(f"{APP}.player.state")
    other = dashboard(link)
    idle(other)
    other.wait_for_function(f"{APP}.player.lanes.length === 2", timeout=240_000)
    idle(other)
    assert other.evaluate(f"{APP}.player.state") == state
    assert other.get_attribute("role=tab[name='Run lengths']", "aria-selected") == "true"
    assert address(other) == link


@pytest.mark.parametrize(
    "link",
    [
        "#v=1&sample=<script>window.hacked=1</script>&room=__proto__&encoder=constructor",
        "#v=1&sample=pan&plan=${alert(1)}&label=<img src=x onerror=window.hacked=1>",
        "#v=1&sample=pan&frame=999999999&patch=99999&pins=1.x.-5&zoom=NaN:1:2&overlay=toString&lane=7",
        "#v=1&sample=pan&room=cellar",
        "#nonsense",
        "#v=9&sample=pan",
    ],
)
def test_a_harmful_link_is_only_text(new_page: Any, app_url: str, link: str) -> None:
    page = new_page()
    page.goto(app_url + link)
    page.wait_for_function(f"document.querySelector('.pl-app')?.patchlens && !{APP}.busy", timeout=240_000)
    page.wait_for_timeout(300)
    assert page.evaluate("window.hacked") is None
    page.click(".pl-tile >> nth=1")
    page.evaluate("document.querySelector('.pl-fields input[type=text]').value = ''")
    page.click("button[type=submit]")
    page.wait_for_function("document.querySelector('.pl-desk') !== null")


def test_a_link_to_an_upload_asks_for_the_file(new_page: Any, app_url: str) -> None:
    page = new_page()
    page.goto(app_url + "#v=1&clip=" + "a" * 64 + "&name=<b>mine</b>.mp4&encoder=tiny-video&plan=rlt%3Atau%3D0.1")
    page.wait_for_selector(".pl-status.pl-error")
    assert "<b>mine</b>.mp4" in page.inner_text(".pl-status") and "Choose that file" in page.inner_text(".pl-drop")


def test_the_run_lengths_room_says_what_fewer_tokens_bring_in_seconds(dashboard: Any) -> None:
    page = dashboard("#v=1&sample=static%20camera&room=runs&plan=rlt:tau=0.1")
    idle(page)
    figure = page.locator(".pl-graph", has=page.locator("h3:text-is('What it saves in seconds')"))
    figure.locator("summary").click()
    assert figure.locator("tbody tr").count() >= 12 and "not this clip" in figure.inner_text()
