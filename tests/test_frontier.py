"""Frontiers are trimmed without loss and belong to their weights; a plan finds its place on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from frontiers import COMMAND, FULL, MERGED_PLANS, PLANS, SHA, charted, gmacs, row, swept
from patchlens.views import frontier
from patchlens.views.frontier import along, curve_of, trim
from patchlens.views.player import manifest
from traces import toy_trace


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return trim(swept())


def curve(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(c for c in found["curves"] if c["selector"] == name)


def test_trimming_keeps_every_measured_point(found: dict[str, Any]) -> None:
    assert [c["selector"] for c in found["curves"]] == [
        "random", "rlt", "motion", "oracle", "rlt:tau=0.1+random:keep=0.5",
    ]  # fmt: skip
    for name, knob in (("random", "keep"), ("rlt", "tau"), ("rlt:tau=0.1+random:keep=0.5", None)):
        assert curve(found, name)["knob"] == knob
    rows = {row["plan"]: row for row in swept()["rows"]}
    for point in curve(found, "motion")["points"][:-1]:
        row = rows[point["plan"]]
        assert (point["value"], point["interval"], point["budget"]) == (row["top1"], row["interval"], row["budget"])
        assert point["gmacs"] == pytest.approx(row["gmacs"]) and point["setting"] == row["budget"]


def test_a_curve_ends_at_all_tokens_and_at_what_they_cost(found: dict[str, Any]) -> None:
    for name, own, plan in (("random", 0, "random:keep=1"), ("rlt", 0.003, None), ("oracle", 13, "oracle:keep=1")):
        last = curve(found, name)["points"][-1]
        assert (last["reached"], last["value"], last["plan"]) == (1, 0.95, plan)
        assert last["gmacs"] == pytest.approx(FULL + own)
    assert len(curve(found, "rlt:tau=0.1+random:keep=0.5")["points"]) == 1


def test_a_ratio_that_was_reached_twice_is_one_point(found: dict[str, Any]) -> None:
    points = curve(found, "rlt")["points"]
    assert [p["reached"] for p in points] == [0.3, 0.5, 0.7, 1.0]
    assert points[0]["plan"] == "rlt:tau=0.9"


def test_without_labels_the_value_is_the_cosine() -> None:
    found = trim({**swept(), "metric": "cosine"})
    assert found["measure"] == "cosine to the full run" and found["full"]["value"] == 0.475
    point = curve(found, "random")["points"][0]
    assert point["value"] == pytest.approx(0.19) and point["interval"] is None


def test_a_mergers_curve_ends_where_it_merges_nothing() -> None:
    rows = [swept()["rows"][0], row("tome", "tome:r=4", 0.5, 0.6, 0.8)]
    (tome,) = frontier.curves(rows)
    assert tome["knob"] == "r" and [p["plan"] for p in tome["points"]] == ["tome:r=4", "tome:r=0"]
    assert [p["setting"] for p in tome["points"]] == [4, 0]


def test_a_merger_lies_on_its_own_curve_only_alone() -> None:
    rows = [swept()["rows"][0], row("tome", "tome:r=4", 0.5, 0.6, 0.8), row("rlt", "rlt:tau=0.4", 0.5, 0.5, 0.8)]
    rows += [row("rlt:tau=0.1+tome:r=8", "rlt:tau=0.1+tome:r=8", None, 0.3, 0.7)]
    made = {"curves": frontier.curves(rows)}
    on = {plan: (found := curve_of(made, plan)) and found["selector"] for plan in MERGED_PLANS}
    assert on == MERGED_PLANS


def test_a_frontier_without_intervals_has_values_between_its_points() -> None:
    points = curve(trim({**swept(), "metric": "cosine"}), "random")["points"]
    assert along(points, 0.2)["interval"] is None and points[0]["value"] < along(points, 0.2)["value"] < points[1]["value"]


def test_a_frontier_belongs_to_its_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trace = charted(monkeypatch, tmp_path)
    assert manifest(trace)["frontier"] == trim(swept())
    assert manifest(trace)["frontier"]["command"] == COMMAND
    for encoder in ({"name": "toy"}, {"name": "toy", "sha256": "other"}, {"name": "another", "sha256": SHA}):
        assert frontier.frontier(encoder) is None
    assert manifest(toy_trace())["frontier"] is None


@pytest.mark.parametrize(("plan", "name"), PLANS.items())
def test_a_plan_finds_its_curve(found: dict[str, Any], plan: str, name: str | None) -> None:
    lies_on = curve_of(found, plan)
    assert (lies_on and lies_on["selector"]) == name


def test_straight_lines_between_points_and_nothing_beyond(found: dict[str, Any]) -> None:
    points = curve(found, "random")["points"]
    assert along(points, 0.09) is None and along(points, 1.01) is None
    assert along(points, 0.1)["value"] == pytest.approx(0.38)
    middle = along(points, 0.4)
    assert middle["value"] == pytest.approx(0.73) and middle["interval"] == pytest.approx([0.68, 0.76])
    assert middle["gmacs"] == pytest.approx((gmacs(0.3) + gmacs(0.5)) / 2)
    single = curve(found, "rlt:tau=0.1+random:keep=0.5")["points"]
    assert along(single, 0.2)["value"] == 0.6 and along(single, 0.3) is None
