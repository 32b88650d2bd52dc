"""The page's script holds together: every module it imports is there, and no two define one name."""

from __future__ import annotations

from pathlib import Path

import patchlens_app
from patchlens.views import bundle

PAGE = Path(patchlens_app.__file__).parent / "page"


def test_page_and_viewer_join_into_one_script() -> None:
    script = bundle.script(PAGE / "app.js", "start")
    assert script.count("class RunsRoom") == script.count("class Player") == 1
    assert "import {" not in script


def test_every_module_of_the_page_is_used() -> None:
    used = {path.name for path in bundle.ordered(PAGE / "app.js")}
    assert {path.name for path in PAGE.glob("*.js")} <= used
