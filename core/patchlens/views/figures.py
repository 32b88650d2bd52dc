"""Figures for notebooks (plotly): a run's scores, tokens over time, run lengths and Lorenz curve; a sweep's frontier.

Colours mean the same as in the viewer; a second channel (pattern or line) says it again. plotly is imported when used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from patchlens.keep import Rule, Threshold
from patchlens.types import Trace

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

KEPT, DROPPED, CUT, INK = "#0d766c", "#8a94a3", "#b4500b", "#161a20"
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star-diamond", "pentagon")
HATCHED = {"shape": "/", "fillmode": "replace", "solidity": 0.35}
LAYOUT = dict(
    template="plotly_white",
    barmode="stack",
    bargap=0.05,
    margin=dict(l=56, r=16, t=72, b=48),
    legend=dict(orientation="h", x=1, xanchor="right", y=1.01, yanchor="bottom"),
)


def _bars(x: Any, kept: Any, dropped: Any, hover: str) -> list[dict[str, Any]]:
    """Two stacked traces: kept solid, dropped hatched."""
    return [
        dict(type="bar", x=x, y=kept, name="kept", marker=dict(color=KEPT), hovertemplate=hover),
        dict(
            type="bar", x=x, y=dropped, name="dropped", marker=dict(color=DROPPED, pattern=HATCHED), hovertemplate=hover
        ),
    ]


def score_histogram(trace: Trace, stage: int = 0, bins: int = 60) -> Figure:
    """How many tokens have which score, kept and dropped, with tau where the rule is a threshold.

    Infinite scores (RLT's first tubelet) are counted in the title, not drawn.
    """
    import plotly.graph_objects as go

    scores, rule = trace.stages[stage]
    values, mask = scores.values.numpy(), trace.keep.mask.numpy()
    finite = np.isfinite(values)
    edges = np.histogram_bin_edges(values[finite] if finite.any() else np.zeros(1), bins)
    kept, dropped = (np.histogram(values[finite & side], edges)[0] for side in (mask, ~mask))
    figure = go.Figure(_bars((edges[:-1] + edges[1:]) / 2, kept, dropped, "%{x:.4g}: %{y} tokens"))
    above = int((~finite).sum())
    title = _kept(trace) + (f", {above} always kept" if above else "")
    figure.update_layout(**LAYOUT, title=title, xaxis_title=scores.unit, yaxis_title="tokens")
    return _cut(figure, rule)


def _kept(trace: Trace) -> str:
    return f"{trace.request.plan}: {trace.keep.count} of {trace.grid.n} kept"


def _cut(figure: Figure, rule: Rule, **place: int) -> Figure:
    """Draw a threshold into a histogram of scores."""
    if isinstance(rule, Threshold):
        line = dict(color=CUT, dash="dash")
        figure.add_vline(x=rule.tau, line=line, annotation_text=f"tau = {rule.tau:g}", **place)
    return figure


def tokens_over_time(trace: Trace) -> Figure:
    """Tokens kept and dropped in every tubelet, by its true time."""
    import plotly.graph_objects as go

    grid = trace.grid
    kept = np.array(trace.keep.per_frame)
    times = [float(trace.clip.times[i]) for i in trace.frame_index[:: grid.tubelet].tolist()]
    figure = go.Figure(_bars([f"{t:.2f}" for t in times], kept, grid.per_frame - kept, "%{x} s: %{y} tokens"))
    axes = dict(xaxis_title="seconds", yaxis_title="tokens", xaxis_type="category")
    return figure.update_layout(**LAYOUT, title=_kept(trace), **axes)


def run_length_histogram(trace: Trace) -> Figure:
    """How many kept tokens stand for 1, 2, ... t tubelets.

    Raises ValueError for a run without run lengths.
    """
    import plotly.graph_objects as go

    if trace.keep.run_length is None:
        raise ValueError(f"{trace.request.plan} makes no run lengths; rlt does, as in rlt:tau=0.1.")
    counts = np.bincount(trace.keep.run_length.numpy(), minlength=trace.grid.t + 1)[1:]
    bars = go.Bar(x=np.arange(1, trace.grid.t + 1), y=counts, marker=dict(color=KEPT), name="kept", showlegend=False)
    axes = dict(xaxis_title="run length, tubelets", yaxis_title="kept tokens", xaxis_dtick=1)
    mean = trace.grid.n / trace.keep.count
    return go.Figure(bars).update_layout(**LAYOUT, title=f"{_kept(trace)}, {mean:.2f} tubelets each on average", **axes)


def lorenz_curve(trace: Trace, stage: int = 0) -> Figure:
    """How unequally value lies on the tokens: the share of all value that the poorest 0 to 100 % of them hold.

    Infinite scores (RLT's first tubelet) are left out.
    Raises ValueError for scores below 0, which have no shares.
    """
    import plotly.graph_objects as go

    from patchlens.evaluation.distribution import gini, lorenz

    values = _shares(trace, stage)
    if values is None:
        raise ValueError("A Lorenz curve needs scores of at least 0, such as those of rlt, motion or oracle.")
    at = np.linspace(0, 1, 101)
    held = go.Scatter(x=at, y=lorenz(values, 101), name="held", line=dict(color=KEPT, width=3), showlegend=False)
    even = go.Scatter(x=[0, 1], y=[0, 1], name="equal", line=dict(color=DROPPED, dash="dash"), showlegend=False)
    percent = dict(tickformat=".0%", range=[0, 1.01])
    title = f"{trace.stages[stage][0].unit}: Gini {gini(values):.2f}"
    return go.Figure([held, even]).update_layout(
        **LAYOUT, title=title, xaxis=dict(title="poorest share of tokens", **percent),
        yaxis=dict(title="share of all value", **percent),
    )  # fmt: skip


def _shares(trace: Trace, stage: int) -> np.ndarray | None:
    """A stage's finite scores; None where they are no amounts."""
    values = trace.stages[stage][0].values.numpy()
    values = values[np.isfinite(values)]
    return values if len(values) and values.min() >= 0 else None


def overview(trace: Trace) -> Figure:
    """All figures that a run has, side by side: scores, tokens over time, run lengths, Lorenz curve."""
    from plotly.subplots import make_subplots

    panels = [score_histogram(trace), tokens_over_time(trace)]
    panels += [run_length_histogram(trace)] if trace.keep.run_length is not None else []
    panels += [lorenz_curve(trace)] if _shares(trace, 0) is not None else []
    rows = -(-len(panels) // 2)
    figure = make_subplots(rows, 2, vertical_spacing=0.3 / rows, horizontal_spacing=0.12)
    for i, panel in enumerate(panels):
        place = dict(row=i // 2 + 1, col=i % 2 + 1)
        figure.add_traces(panel.data, rows=place["row"], cols=place["col"])
        figure.update_xaxes(panel.layout.xaxis, **place).update_yaxes(panel.layout.yaxis, **place)
    figure.for_each_trace(lambda bars: bars.update(showlegend=False), selector=dict(xaxis="x2"))
    figure.update_layout(**LAYOUT, title=_kept(trace), height=330 * rows + 40)
    return _cut(figure, trace.stages[0][1], row=1, col=1)


def frontier_figure(found: dict[str, Any], trace: Trace | None = None) -> Figure:
    """Value against GMACs (the selector's own included) for every contender of a sweep, with 95 % intervals.

    found is what `views.frontier` makes of a sweep; a trace is marked where its plan lies on its curve: at the value that
    the sweep's clips had on average at its keep ratio, which is no statement on the trace's own clip.
    """
    import plotly.graph_objects as go

    figure = go.Figure([_line(curve, SYMBOLS[i % len(SYMBOLS)]) for i, curve in enumerate(found["curves"])])
    full = found["full"]
    star = dict(symbol="star", size=13, color=INK)
    figure.add_scatter(x=[full["gmacs"]], y=[full["value"]], name="all tokens", mode="markers", marker=star)
    if trace is not None and (here := _standing(found, trace)):
        ring = dict(symbol="circle-open", size=17, color=INK, line=dict(width=3))
        figure.add_scatter(x=[here["gmacs"]], y=[here["value"]], name=trace.request.plan, mode="markers", marker=ring)
    title = f"{found['encoder']} on {found['data']}, {found['n']} clips"
    form = ".0%" if found["measure"] == "top-1" else ".2f"
    axes = dict(
        xaxis_title="GMACs a clip, with the selector's own", yaxis_title=found["measure"], yaxis_tickformat=form
    )
    return figure.update_layout(**{**LAYOUT, "legend": {}}, title=title, xaxis_rangemode="tozero", **axes)


def _line(curve: dict[str, Any], symbol: str) -> dict[str, Any]:
    points = curve["points"]
    x, y = ([p[name] for p in points] for name in ("gmacs", "value"))
    ends = [p["interval"] or [p["value"]] * 2 for p in points]
    error = dict(array=[b - v for (_, b), v in zip(ends, y, strict=True)],
                 arrayminus=[v - a for (a, _), v in zip(ends, y, strict=True)], thickness=1, width=3)  # fmt: skip
    text = [f"{p['reached']:.0%} of the tokens" for p in points]
    return dict(type="scatter", name=curve["selector"], x=x, y=y, text=text, error_y=error, mode="lines+markers",
                marker=dict(symbol=symbol, size=8))  # fmt: skip


def _standing(found: dict[str, Any], trace: Trace) -> dict[str, Any] | None:
    """The trace's place on its curve, or None where that was not measured."""
    from patchlens.views.frontier import along, curve_of, share_in_blocks

    curve = curve_of(found, trace.request.way)
    return along(curve["points"], share_in_blocks(trace)) if curve else None


def faithfulness_curves(found: dict[str, Any]) -> Figure:
    """Insertion and deletion side by side, of the map and of chance (its mean, and all its draws as thin lines' range).

    `found` is what `evaluation.faithfulness` made.
    """
    from plotly.subplots import make_subplots

    ways = tuple(found["curves"])
    figure = make_subplots(1, 2, subplot_titles=[f"{way}: share of tokens" for way in ways])
    for column, way in enumerate(ways, 1):
        for name, (colour, dash) in {"random": (DROPPED, "dash"), "shuffled": (CUT, "dot"), "map": (KEPT, "solid")}.items():
            drawn = np.array(found["curves"][way][name])
            spread = None if name == "map" else dict(type="data", symmetric=False, array=drawn.max(0) - drawn.mean(0),
                                                     arrayminus=drawn.mean(0) - drawn.min(0), thickness=1)  # fmt: skip
            figure.add_scatter(
                x=found["shares"], y=drawn.mean(0).tolist(), name=name, line=dict(color=colour, dash=dash, width=3),
                error_y=spread, showlegend=column == 1, row=1, col=column,
            )  # fmt: skip
    figure.update_yaxes(range=[0, 1.02], title=found["of"], col=1)
    figure.update_yaxes(range=[0, 1.02], col=2)
    figure.update_xaxes(tickformat=".0%")
    return figure.update_layout(**LAYOUT, title=found["warning"] or f"{found['plan']} on {found['label'] or 'the feature'}")


OF_A_TRACE: dict[str, Callable[[Trace], Figure]] = {
    "overview": overview, "scores": score_histogram, "tokens": tokens_over_time, "runs": run_length_histogram,
    "lorenz": lorenz_curve,
}  # fmt: skip
