"""Figures (plotly) of the studies and of the benchmark, each from what the evaluation returned; a page of its own as HTML.

Line patterns and symbols say what colours say. plotly is imported when used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from patchlens.views.figures import CUT, DROPPED, INK, KEPT, LAYOUT, SYMBOLS

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLOURS = (KEPT, CUT, "#5b4bb5", "#b3306e", DROPPED)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
APART = {**LAYOUT, "legend": {}}


def page(figure: Figure) -> bytes:
    """The figure as one HTML file with plotly.js inside, which opens offline; the same figure, the same bytes."""
    return figure.to_html(include_plotlyjs=True, full_html=True, div_id="figure").encode()


def redundancy_figure(found: dict[str, Any]) -> Figure:
    """Share of tokens kept against redundancy, a line per noise, and the bound, in one panel per world."""
    from plotly.subplots import make_subplots

    worlds = list(dict.fromkeys(r["world"] for r in found["rows"]))
    figure = make_subplots(1, len(worlds), subplot_titles=worlds, shared_yaxes=True)
    for column, world in enumerate(worlds, 1):
        rows = [r for r in found["rows"] if r["world"] == world]
        sigmas = sorted({r["sigma"] for r in rows})
        for i, sigma in enumerate(sigmas):
            mine = [r for r in rows if r["sigma"] == sigma]
            x = [r["redundancy"] for r in mine]
            figure.add_scatter(x=x, y=[r["kept"] for r in mine], showlegend=column == 1, row=1, col=column,
                               **_style(i, f"kept, noise {sigma:g}"))  # fmt: skip
        mine = [r for r in rows if r["sigma"] == sigmas[0]]
        bound = dict(name="bound", mode="lines", line=dict(color=INK, width=4, dash="dot"), showlegend=column == 1)
        x, y = ([r[name] for r in mine] for name in ("redundancy", "bound"))
        figure.add_scatter(x=x, y=y, row=1, col=column, **bound)
    figure.update_xaxes(title="redundancy").update_yaxes(range=[0, 1.02], tickformat=".0%")
    figure.update_yaxes(title="share of tokens", col=1)
    return figure.update_layout(**APART, title=f"RLT at tau {found['tau']:g} against the bound")


def compression_figure(found: dict[str, Any]) -> Figure:
    """Share of tokens kept at tau against bit rate, a line per codec and clip; the pristine clip as a level."""
    import plotly.graph_objects as go

    figure, tau, line = go.Figure(), f"{found['tau']:g}", 0
    for clip in found["clips"]:
        rows = [r for r in found["rows"] if r["clip"] == clip]
        for codec in dict.fromkeys(r["codec"] for r in rows if r["codec"]):
            mine = sorted((r for r in rows if r["codec"] == codec), key=lambda r: r["kbits"])
            figure.add_scatter(x=[r["kbits"] for r in mine], y=[r["kept"][tau] for r in mine],
                               **_style(line, f"{clip}, {codec}"))  # fmt: skip
            line += 1
        level = next(r["kept"][tau] for r in rows if r["codec"] is None)
        figure.add_hline(y=level, line=dict(color=INK, dash="dot"), annotation_text=f"{clip}, pristine")
    axes = dict(xaxis=dict(title="kbit/s", type="log"), yaxis=dict(title="share of tokens kept", tickformat=".0%"))
    return figure.update_layout(**APART, title=f"RLT at tau {tau} behind a codec", yaxis_rangemode="tozero", **axes)


def footage_figure(found: dict[str, Any]) -> Figure:
    """Share of tokens kept against tau, a line per file; what the camera does is in its name."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for i, r in enumerate(found["rows"]):
        camera = "?" if r["camera"] is None else f"{100 * r['camera']:.0f} %"
        figure.add_scatter(x=found["taus"], y=[r["kept"][f"{t:g}"] for t in found["taus"]],
                           **_style(i, f"{r['file']} (camera moves {camera})"))  # fmt: skip
    share = dict(title="share of tokens kept", range=[0, 1.02], tickformat=".0%")
    title = "What RLT keeps of real footage"
    return figure.update_layout(**APART, title=title, xaxis_title="tau, ImageNet units", yaxis=share)


def camera_figure(found: dict[str, Any]) -> Figure:
    """Fidelity against tokens kept on panning clips: compensated RLT over its taus, and plain RLT's point."""
    import plotly.graph_objects as go

    rows = found["curve"]
    text = [f"tau {r['tau']:g}" for r in rows]
    figure = go.Figure()
    figure.add_scatter(x=[r["kept"] for r in rows], y=[r["cosine"] for r in rows], text=text, **_style(0, "compensated"))
    star = dict(symbol="star", size=14, color=INK)
    plain = dict(name=f"plain, tau {found['tau']:g}", mode="markers", marker=star)
    figure.add_scatter(x=[found["plain_kept"]], y=[found["plain_cosine"]], **plain)
    axes = dict(xaxis=dict(title="share of tokens kept", tickformat=".0%"), yaxis_title="cosine to the full run")
    return figure.update_layout(**APART, title="Panning clips, camera motion undone", **axes)


def bench_figure(found: dict[str, Any]) -> Figure:
    """Speed-up measured against speed-up promised (GMAC ratio), a point per row; on the line efficiency is 1."""
    import plotly.graph_objects as go

    rows = [r for r in found["rows"] if "efficiency" in r and r["selector"] != "everything"]
    figure = go.Figure()
    most = max([r["gmacs_ratio"] for r in rows] + [1.0])
    figure.add_scatter(x=[1, most], y=[1, most], name="efficiency 1", mode="lines", line=dict(color=INK, dash="dot"))
    for i, name in enumerate(dict.fromkeys(r["selector"] for r in rows)):
        mine = sorted((r for r in rows if r["selector"] == name), key=lambda r: r["gmacs_ratio"])
        text = [f"{r['kept']:.0%} of the tokens, efficiency {r['efficiency']:.2f}" for r in mine]
        figure.add_scatter(x=[r["gmacs_ratio"] for r in mine], y=[r["speedup"] for r in mine], text=text, **_style(i, name))
    title = f"{found['encoder']['name']}, batch {found['batch']}, {found['encoder']['device']}, {found['encoder']['dtype']}"
    return figure.update_layout(**APART, title=title, xaxis_title="GMAC ratio: full / reduced", yaxis_title="speed-up")


def _style(i: int, name: str) -> dict[str, Any]:
    line = dict(color=COLOURS[i % len(COLOURS)], dash=DASHES[i // len(COLOURS) % len(DASHES)])
    return dict(name=name, mode="lines+markers", line=line, marker=dict(symbol=SYMBOLS[i % len(SYMBOLS)], size=8))
