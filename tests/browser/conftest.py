"""One running dashboard and one browser for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import launched
from serving import Served, served


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running dashboard."""
    with served(tmp_path_factory.mktemp("app")) as running:
        yield running


@pytest.fixture(scope="session")
def app_url(server: Served) -> str:
    """Address of a running dashboard."""
    return server.url


@pytest.fixture
def seconds_to_start(server: Served) -> float:
    """How long the dashboard took to answer."""
    return server.seconds


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
        page.set_default_timeout(120_000)  # a busy machine is no failure; what must be quick is measured apart
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
    """dashboard(link, **options) -> a page that shows the first sample, or what the link (a hash) says."""

    def make(link: str = "", **options: Any) -> Any:
        page = new_page(**options)
        page.goto(app_url + link)
        page.wait_for_selector(".pl-desk", timeout=240_000)
        if page.evaluate("!document.querySelector('select[aria-label=Encoder]').value"):
            page.select_option("select[aria-label=Weights]", "random")
            page.click("button[type=submit]")
        try:
            page.wait_for_selector(".pl-body:not([hidden])", timeout=240_000)
            page.wait_for_function("document.querySelector('.pl-status').hidden", timeout=240_000)
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
