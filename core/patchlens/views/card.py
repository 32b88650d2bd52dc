"""A still card of a run in plain HTML: no script, so that it also shows in untrusted notebooks, mail and print."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable

from patchlens.types import Trace

_STYLE = """
.pl-card { --ink: #161a20; --muted: #566070; --line: #d9dee5; --paper: #ffffff; --accent: #0d766c;
  max-width: 900px; padding: 16px; border: 1px solid var(--line); border-radius: 10px; color: var(--ink);
  background: var(--paper); font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif;
  font-variant-numeric: tabular-nums; }
@media (prefers-color-scheme: dark) { .pl-card { --ink: #e7eaee; --muted: #a0abb8; --line: #2c343f; --paper: #161a20;
  --accent: #35c9b8; } }
.pl-card h3 { margin: 0 0 4px; font-size: 16px; overflow-wrap: anywhere; }
.pl-card p { margin: 0 0 10px; color: var(--muted); overflow-wrap: anywhere; }
.pl-card p strong { color: var(--ink); font-size: 20px; }
.pl-card img { display: block; width: 100%; height: auto; border-radius: 6px; }
.pl-card table { border-collapse: collapse; margin-top: 12px; background: none; }
.pl-card th, .pl-card td { padding: 3px 14px 3px 0; text-align: left; font-weight: 400; border: 0;
  background: none; color: inherit; }
.pl-card thead th { color: var(--muted); }
.pl-card .pl-card-tables { display: flex; flex-wrap: wrap; gap: 0 40px; }
.pl-card li { color: var(--muted); }
"""


def card(trace: Trace) -> str:
    """The card: what was kept, a contact sheet with a text for it, cost, faithfulness and the answer."""
    from patchlens.views.report import trace_json

    data = trace_json(trace)
    tokens, gmacs = data["tokens"], data["gmacs"]
    about = f"{data['plan']} · {data['encoder']['name']} ({data['encoder']['weights']})"
    headline = (
        f"<strong>{100 * tokens['keep_ratio']:.1f} %</strong> of {tokens['total']:,} tokens kept, "
        f"<strong>{100 * gmacs['saved']:.1f} %</strong> of {gmacs['full']:.4g} GMACs saved"
    )
    tables = _table(("cost and faithfulness", ""), _figures(data)) + _answers(data)
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in data["notes"])
    return (
        f'<style>{_STYLE}</style><div class="pl-card"><h3>{html.escape(data["clip"]["name"])}</h3>'
        f"<p>{html.escape(about)}</p><p>{headline}</p>{_picture(trace)}"
        f'<div class="pl-card-tables">{tables}</div>{f"<ul>{notes}</ul>" if notes else ""}</div>'
    )


def _picture(trace: Trace) -> str:
    from patchlens.views.overlay import contact_sheet
    from patchlens.views.player import jpeg

    each = ", ".join(str(k) for k in trace.keep.per_frame)
    words = (
        f"Contact sheet of {trace.grid.t} tubelets; kept patches are clear, dropped ones dark and hatched. "
        f"Of {trace.grid.per_frame} patches each keeps {each}."
    )
    data = base64.b64encode(jpeg(contact_sheet(trace, 960))).decode()
    return f'<img src="data:image/jpeg;base64,{data}" alt="{html.escape(words)}">'


def _figures(data: dict) -> Iterable[tuple[str, ...]]:
    gmacs, fidelity = data["gmacs"], data["fidelity"]
    yield "GMACs, all tokens", f"{gmacs['full']:.4g}"
    yield "GMACs, kept tokens", f"{gmacs['reduced']:.4g}"
    yield "GMACs, selector itself", f"{gmacs['selector']:.4g}"
    yield "cosine to the full run", f"{fidelity['cosine']:.4f}"
    if fidelity["kl"] is not None:
        yield "KL to the full run, nats", f"{fidelity['kl']:.4g}"
        yield "same answer", "yes" if fidelity["top1_same"] else "no"


def _answers(data: dict) -> str:
    rows = [
        (a["label"], f"{100 * a['full_probability']:.1f} %", f"{100 * a['probability']:.1f} %")
        for a in data["prediction"]
    ]
    return _table(("answer", "all tokens", "kept tokens"), rows) if rows else ""


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    top = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
