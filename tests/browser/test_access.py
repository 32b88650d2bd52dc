"""axe-core finds no serious issue in reports and in the dashboard's rooms, with everything open, in light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from frontiers import charted
from traces import rival_trace, toy_trace

pytestmark = pytest.mark.browser
WAIT = 120_000  # ms


def issues(page: Any) -> list[str]:
    """What axe-core calls serious or critical on a page: rule, element, reason."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    grave = [violation for violation in found if violation["impact"] in ("serious", "critical")]
    return [f"{v['id']}: {n['target']} {n['failureSummary'][:300]}" for v in grave for n in v["nodes"]]


def test_axe_would_notice(new_page: Any) -> None:
    page = new_page()
    page.set_content("<html lang=en><title>t</title><main><h1>t</h1><button></button><img src='x.png'></main>")
    found = issues(page)
    page.errors.clear()
    assert any(f.startswith("button-name") for f in found) and any(f.startswith("image-alt") for f in found)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("plans", [1, 2])
def test_a_report(report: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, plans: int, theme: str) -> None:
    traces = [charted(monkeypatch, tmp_path, trace) for trace in (toy_trace(), rival_trace())[:plans]]
    page = report(*traces, color_scheme=theme)
    page.locator(".pl-chart").scroll_into_view_if_needed()
    page.wait_for_selector(".pl-chart .main-svg", timeout=WAIT)
    page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    page.wait_for_timeout(500)
    assert issues(page) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_dashboard_and_its_rooms(dashboard: Any, theme: str) -> None:
    page = dashboard(color_scheme=theme)
    rooms = page.locator("[role=tab]")
    found = []
    for number in range(rooms.count()):
        rooms.nth(number).click()
        page.wait_for_timeout(1000)
        page.wait_for_function("!document.querySelector('.pl-app').patchlens.busy", timeout=WAIT)
        page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
        page.wait_for_timeout(300)
        assert page.locator(".pl-status.pl-error").count() == 0, page.inner_text(".pl-status")
        found += [f"{rooms.nth(number).inner_text()}: {issue}" for issue in issues(page)]
    assert found == []
