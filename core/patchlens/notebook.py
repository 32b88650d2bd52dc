"""What a Trace offers in a notebook: its card, figures, a table of tokens, the interactive player, files.

Thin doors from the data to its views, so that `results.Trace` stays plain data; everything heavy (pandas, plotly,
anywidget) is imported when asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from patchlens.keep import ranks
from patchlens.types import Trace

if TYPE_CHECKING:
    from pandas import DataFrame
    from plotly.graph_objects import Figure

    from patchlens.widget import Player


def card(trace: Trace) -> str:
    """The still card in plain HTML."""
    from patchlens.views.card import card as still

    return still(trace)


def frame(trace: Trace) -> DataFrame:
    """One row per token, in token order.

    Columns: token, t, y, x; time (seconds, the first frame of its tubelet); score and rank (1 is best) of the plan's
    first stage, score_2, rank_2, ... of further ones; kept; run_length where the rule makes runs.
    """
    import pandas

    grid = trace.grid
    token = np.arange(grid.n)
    first = trace.frame_index[:: grid.tubelet].numpy()
    t, y, x = np.unravel_index(token, (grid.t, grid.h, grid.w))
    columns: dict[str, Any] = {"token": token, "t": t, "y": y, "x": x, "time": trace.clip.times.numpy()[first][t]}
    for number, (scores, _) in enumerate(trace.stages, 1):
        suffix = "" if number == 1 else f"_{number}"
        columns[f"score{suffix}"] = scores.values.numpy()
        columns[f"rank{suffix}"] = ranks(scores, trace.request.seed)
    columns["kept"] = trace.keep.mask.numpy()
    if trace.keep.run_length is not None:
        columns["run_length"] = trace.keep.run_length.numpy()
    return pandas.DataFrame(columns)


def figure(trace: Trace, kind: str) -> Figure:
    """A plotly figure of the trace; `kind` is one of `figures.OF_A_TRACE`.

    Raises KeyError naming the kinds.
    """
    from patchlens.views.figures import OF_A_TRACE

    if kind not in OF_A_TRACE:
        raise KeyError(f"There is no plot {kind!r}; choose one of {', '.join(OF_A_TRACE)}.")
    return OF_A_TRACE[kind](trace)


def player(traces: Sequence[Trace], encoder: Any = None) -> Player:
    """The dashboard's player as a widget, a lane for each trace; see `patchlens.widget.player`."""
    from patchlens.widget import player as alive

    return alive(traces, encoder)


def write(trace: Trace, kind: str, path: str | Path, others: Sequence[Trace] = ()) -> Path:
    """Write the trace to a file (json, npz, html, mp4, png, ...), whole or not at all; returns the path.

    `others` are further plans' traces, which a report (html) shows beside it.

    Raises ValueError where the folder is not there.
    """
    from patchlens.outputs import check_targets, save

    check_targets({kind: path}, Path(trace.clip.source.name))
    save(trace, {kind: path}, others)
    return Path(path)
