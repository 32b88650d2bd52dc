"""Figures for notebooks: what they count and where they put it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from frontiers import charted, swept
from patchlens.views.figures import frontier_figure, lorenz_curve, overview, run_length_histogram
from patchlens.views.frontier import trim
from traces import frame_trace, toy_trace


def test_run_lengths_cover_every_token() -> None:
    trace = toy_trace()
    (bars,) = run_length_histogram(trace).data
    assert sum(bars.y) == trace.keep.count
    assert sum(x * y for x, y in zip(bars.x, bars.y, strict=True)) == trace.grid.n
    with pytest.raises(ValueError, match=r"center.* makes no run lengths; rlt does"):
        run_length_histogram(frame_trace())


def test_lorenz_curve_of_equal_and_of_one_sided_values() -> None:
    trace = toy_trace()
    scores, rule = trace.stages[0]
    for values, middle in ((np.ones(240), 0.5), (np.eye(1, 240)[0], 0.0)):
        made = replace(scores, values=scores.values.new_tensor(values))
        held, even = lorenz_curve(replace(trace, stages=((made, rule),))).data
        assert held.y[50] == pytest.approx(middle, abs=1e-6) and (held.y[0], held.y[-1]) == (0, 1)
        assert tuple(even.y) == (0, 1)
    with pytest.raises(ValueError, match="at least 0"):
        lorenz_curve(frame_trace())  # minus squared distances


def test_plot_shows_what_the_run_has() -> None:
    trace = toy_trace()
    panels = trace.plot()
    assert {bars.xaxis for bars in panels.data} == {"x", "x2", "x3", "x4"}
    assert panels.layout.shapes[0].x0 == 0.1, "the cut at tau"
    assert sum(part.showlegend is not False for part in panels.data) == 2, "kept and dropped are named once"
    assert {bars.xaxis for bars in overview(frame_trace()).data} == {"x", "x2"}


def test_frontier_figure_marks_the_trace_on_its_curve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found, trace = trim(swept()), charted(monkeypatch, tmp_path)
    *curves, whole, here = frontier_figure(found, trace).data
    assert [c.name for c in curves] == [c["selector"] for c in found["curves"]]
    rlt = curves[1]
    assert rlt.error_y.array[0] == pytest.approx(0.03) and rlt.error_y.arrayminus[0] == pytest.approx(0.05)
    assert (whole.name, here.name) == ("all tokens", trace.request.plan)
    share = (trace.report.keep_ratio - 0.3) / 0.2
    assert here.y[0] == pytest.approx(rlt.y[0] + share * (rlt.y[1] - rlt.y[0]))
    alone = frontier_figure(found, replace(trace, request=replace(trace.request, plan="center:keep=0.5")))
    assert alone.data[-1].name == "all tokens", "a selector that was not swept has no place here"
