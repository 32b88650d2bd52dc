"""The page's script holds together, and what gradio sends with it is plain data."""

from __future__ import annotations

import json
from pathlib import Path

import patchlens_app
from patchlens.pipeline import load_encoder
from patchlens.registry import plugins
from patchlens.views import bundle
from patchlens_app.dashboard import build
from patchlens_app.offer import selectors_on_offer
from patchlens_app.runs import Runs

PAGE = Path(patchlens_app.__file__).parent / "page"


def test_page_and_viewer_join_into_one_script() -> None:
    script = bundle.script(PAGE / "app.js", "start")
    assert script.count("class RunsRoom") == script.count("class Player") == 1
    assert "import {" not in script


def test_every_module_of_the_page_is_used() -> None:
    used = {path.name for path in bundle.ordered(PAGE / "app.js")}
    assert {path.name for path in PAGE.glob("*.js")} <= used


def test_the_page_is_plain_data(tmp_path: Path) -> None:
    """Gradio copies the configuration for every visitor, deeply: an object in it would bring all held runs along.

    gr.HTML makes up an attribute for any name that its script has in quotes, and one that is a parameter's name, such as
    "self", ends up in the configuration.
    """
    assert json.dumps(build(Runs(tmp_path)).get_config_file(), allow_nan=False)


def test_a_selector_that_a_bundled_encoder_serves_can_be_chosen() -> None:
    offers = load_encoder("tiny-video").offers
    needs = {each["name"]: each["needs"] for each in selectors_on_offer()}
    served = [name for name, cls in plugins("selector").items() if cls.requires <= offers]
    assert {"lite", "litepp", "oracle"} <= set(served) and not any(needs[name] for name in served)
