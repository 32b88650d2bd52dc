"""A dashboard inside a process that goes on: what was registered there before is in it."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass

import patchlens as pl
import patchlens_app
import pytest
from patchlens import registry
from serving import messages


@pytest.fixture
def contrast():
    @pl.register("contrast-here")
    @dataclass(frozen=True)
    class Contrast:
        keep: float = pl.knob(0.3, 0.01, 1.0, unit="share of tokens")
        monotone = True

        def score(self, tokens, context):
            return pl.Scores(tokens.patches.float().std((1, 2, 3, 4)), "grey levels")

        def rule(self):
            return pl.TopK(self.keep)

    yield "contrast-here"
    del registry._PLUGINS["selector"]["contrast-here"]


def test_a_selector_of_this_process_is_in_its_dashboard(contrast, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    dashboard = patchlens_app.launch()
    try:
        with urllib.request.urlopen(f"{dashboard.url}config", timeout=60) as answer:
            assert contrast in answer.read().decode(), "the desk offers it"
        asked = json.dumps({"source": "sample:pan", "selector": f"{contrast}:keep=0.25"}).encode()
        request = urllib.request.Request(
            f"{dashboard.url}patchlens/run", asked, {"Content-Type": "application/json"}
        )
        told, raw = messages(urllib.request.urlopen(request, timeout=300).read())
        assert told[-1]["kind"] == "shown", told[-1]
        assert f"{contrast}:keep=0.25".encode() in raw
        assert f'href="{dashboard.url}"' in dashboard._repr_html_()
    finally:
        dashboard.close()
    with pytest.raises(OSError):
        urllib.request.urlopen(dashboard.url, timeout=5)
