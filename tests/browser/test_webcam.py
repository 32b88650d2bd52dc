"""The camera in the dashboard: recorded by the browser, shown like any file; a sentence where there is none."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.browser
RECORD = ".pl-webcam button"


def test_a_recording_is_shown_like_a_file(dashboard: Any) -> None:
    page = dashboard(permissions=["camera"])
    page.click(RECORD)
    page.wait_for_function("document.querySelector('.pl-webcam .pl-note').textContent.startsWith('recording')")
    page.wait_for_function("document.querySelector('.pl-camera').currentTime > 2")
    assert page.inner_text(RECORD) == "Stop and use it"
    page.click(RECORD)
    page.wait_for_function("document.querySelector('.pl-title').textContent.startsWith('camera.')")
    page.wait_for_function("!document.querySelector('.pl-app').patchlens.busy")
    assert "of 512 kept" in page.inner_text(".pl-headline >> nth=0")
    assert page.is_hidden(".pl-camera") and page.inner_text(RECORD) == "Record with the camera"
    assert page.evaluate("document.querySelector('.pl-camera').srcObject") is None


@pytest.mark.parametrize(
    ("name", "said"),
    [("NotAllowedError", "allow it in the address bar"), ("NotFoundError", "There is no camera that this browser can use")],
)
def test_without_a_camera_a_sentence_says_so(dashboard: Any, name: str, said: str) -> None:
    page = dashboard()
    refuse = "(name) => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', name)); }"
    page.evaluate(refuse, name)
    page.click(RECORD)
    page.wait_for_function("(said) => document.querySelector('.pl-webcam .pl-note').textContent.includes(said)", arg=said)
    assert page.is_enabled(RECORD)
