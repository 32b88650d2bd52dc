"""Figures of a Trace for notebooks (plotly): what the scores look like and where the cut is, and tokens over time.

Colours mean the same as in the viewer; a second channel (pattern or line) says it again. plotly is imported when used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from patchlens.keep import Threshold
from patchlens.types import Trace

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

KEPT, DROPPED, CUT = "#0d766c", "#8a94a3", "#b4500b"
HATCHED = {"shape": "/", "fillmode": "replace", "solidity": 0.35}
LAYOUT = dict(
    template="plotly_white",
    barmode="stack",
    bargap=0.05,
    margin=dict(l=56, r=16, t=40, b=48),
    legend=dict(orientation="h", y=1.12),
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
    title = f"{trace.request.plan}: {trace.keep.count} of {trace.grid.n} kept" + (
        f", {above} always kept" if above else ""
    )
    figure.update_layout(**LAYOUT, title=title, xaxis_title=scores.unit, yaxis_title="tokens")
    if isinstance(rule, Threshold):
        figure.add_vline(x=rule.tau, line=dict(color=CUT, dash="dash"), annotation_text=f"tau = {rule.tau:g}")
    return figure


def tokens_over_time(trace: Trace) -> Figure:
    """Tokens kept and dropped in every tubelet, by its true time."""
    import plotly.graph_objects as go

    grid = trace.grid
    kept = np.array(trace.keep.per_frame)
    times = [float(trace.clip.times[i]) for i in trace.frame_index[:: grid.tubelet].tolist()]
    figure = go.Figure(_bars([f"{t:.2f}" for t in times], kept, grid.per_frame - kept, "%{x} s: %{y} tokens"))
    title = f"{trace.request.plan}: {trace.keep.count} of {grid.n} kept"
    figure.update_layout(**LAYOUT, title=title, xaxis_title="seconds", yaxis_title="tokens", xaxis_type="category")
    return figure
