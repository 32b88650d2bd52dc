"""The shipped curves of the samples are those that the code makes now: `python -m patchlens_app.clips` makes them anew."""

from __future__ import annotations

import numpy as np
import pytest
from patchlens.encoders.catalog import CATALOG, on_disk
from patchlens_app import clips as shipped
from patchlens_app.samples import procedural, samples

CURE = "the shipped curves are out of date: run `python -m patchlens_app.clips`"
needs_weights = pytest.mark.skipif(not on_disk(CATALOG["tiny-video"]), reason="tiny-video's weights are not there")


@needs_weights
def test_every_sample_is_there_with_its_class() -> None:
    found = shipped.clips()
    assert [clip["clip"] for clip in found["clips"]] == list(procedural()), CURE
    for clip in found["clips"]:
        assert clip["label"] == samples()[clip["clip"]].label
        assert {"oracle", *shipped.ORDERS} == set(clip["orders"])
    assert len({clip["random"]["needs"] for clip in found["clips"]}) > 3, "some are easy, some are hard"


def test_curves_of_other_weights_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "_read", lambda: {"sha256": "0" * 64, "clips": [{}]})
    assert shipped.clips()["clips"] == []


@needs_weights
@pytest.mark.slow
def test_they_are_what_the_code_makes_now() -> None:
    (then,) = (clip for clip in shipped.clips()["clips"] if clip["clip"] == "two things")
    now = shipped.make("two things")
    assert now["shares"] == then["shares"] and now["draws"] == then["draws"], CURE
    for name, order in then["orders"].items():
        np.testing.assert_allclose(now["orders"][name]["value"], order["value"], atol=0.02, err_msg=CURE)
    np.testing.assert_allclose(now["random"]["value"], then["random"]["value"], atol=0.02, err_msg=CURE)
    assert now["value"]["gini"] == pytest.approx(then["value"]["gini"], abs=0.01), CURE
