"""A Trace as JSON (schema version 1) and as one offline HTML file with the interactive viewer inside.

Everything but `timing_s` follows from the Trace alone, with numbers rounded to six significant digits, so that the
same run gives the same bytes. Text from outside (file names, labels) is escaped here, once.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
from dataclasses import replace
from typing import Any

from patchlens.specs import parse_plan
from patchlens.types import Clip, Trace

DIGITS = 6
LARGEST = 7_000_000  # bytes that a report carries, payload and plotly together; base64 makes them 9.4 MB


def tidy(value: Any, digits: int = DIGITS) -> Any:
    """Plain data with floats rounded to `digits` significant digits; infinities and NaN become words."""
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(k): tidy(v, digits) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [tidy(v, digits) for v in value]
    return str(value)


def trace_json(trace: Trace) -> dict[str, Any]:
    """The report of a run as plain data."""
    return {
        "version": 1,
        "clip": tidy(_clip(trace.clip)),
        "encoder": tidy(_encoder(trace)),
        "selector": tidy(parse_plan(trace.request.plan).json()),
        "plan": trace.request.plan,
        **({"merger": trace.request.merger} if trace.request.merger else {}),
        "seed": trace.request.seed,
        "tokens": tidy(_tokens(trace)),
        "gmacs": tidy(_gmacs(trace)),
        "fidelity": tidy(_fidelity(trace)),
        "prediction": tidy(_prediction(trace)),
        "notes": list(trace.notes),
        "timing_s": tidy(trace.timing, 4),
    }


def dumps(trace: Trace) -> str:
    """`trace_json` as text with sorted keys."""
    return json.dumps(trace_json(trace), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)


def _clip(clip: Clip) -> dict[str, Any]:
    source = clip.source
    return {
        "name": source.name,
        "sha256": source.sha256,
        "size": [source.size_hw[1], source.size_hw[0]],
        "duration": source.duration,
        "fps": source.fps,
        "codec": source.codec,
        "rotation": source.rotation,
        "span": source.span,
        "frames": len(clip.frames),
        "times": clip.times.tolist(),
        "seen": list(clip.rect),
        "motion": None if clip.motion is None else clip.motion.kind,
        "notes": list(clip.notes),
    }


def _encoder(trace: Trace) -> dict[str, Any]:
    grid = trace.grid
    shape = {"grid": [grid.t, grid.h, grid.w], "tubelet": grid.tubelet, "patch": grid.patch}
    return {**{k: v for k, v in trace.encoder.items() if k != "cost"}, **shape}


def _tokens(trace: Trace) -> dict[str, Any]:
    r = trace.report
    kept = {"total": r.tokens_total, "kept": r.tokens_kept, "keep_ratio": r.keep_ratio}
    merged = {"left": r.tokens_left} if trace.request.merger else {}
    anchor = None if trace.keep.anchor is None else trace.keep.anchor.tolist()
    return {**kept, **merged, "per_tubelet": trace.keep.per_frame, "anchor": anchor}


def _gmacs(trace: Trace) -> dict[str, Any]:
    r = trace.report
    return {
        "full": r.full.total,
        "reduced": r.reduced.total,
        "selector": r.selector_gmacs,
        "saved": r.saved,
        "full_without_attention": r.full.linear,
        "reduced_without_attention": r.reduced.linear,
    }


def _fidelity(trace: Trace) -> dict[str, Any]:
    r = trace.report
    pair = r.label_probability
    return {
        "cosine": r.cosine,
        "top1_same": r.top1_same,
        "kl": r.kl,
        "label": r.label,
        "label_probability": None if pair is None else {"full": pair[0], "reduced": pair[1]},
        "frame_cosine": None if r.frame_cosine is None else list(r.frame_cosine),
    }


def _prediction(trace: Trace, count: int = 5) -> list[dict[str, Any]]:
    """The reduced run's best classes, and the full run's first one where it is not among them."""
    from patchlens.metrics import probabilities

    if trace.encoding.logits is None or trace.reference.logits is None or not trace.classes:
        return []
    reduced, full = (probabilities(e.logits) for e in (trace.encoding, trace.reference))
    best = reduced.argsort(descending=True, stable=True)[:count].tolist()
    first = int(full.argmax())
    chosen = best if first in best else [*best[:-1], first]
    return [
        {"label": trace.classes[i], "probability": float(reduced[i]), "full_probability": float(full[i])}
        for i in chosen
    ]


# --- One offline file -----------------------------------------------------------------------------------------

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="PatchLens">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<noscript>{card}</noscript>
<main>
<h1>PatchLens report</h1>
<div id="viewer"></div>
</main>
{data}
{plotly}<script>{script}</script>
</body>
</html>
"""
_START = """
const lens = {bundle};
const plotly = async () => {{
  const held = document.getElementById("plotly");
  if (held) await lens.runPacked(held.textContent);
}};
const viewer = lens.mount(document.getElementById("viewer"), {{ wholePage: true, plotly }});
(async () => {{
  for (const [lane, {{ textContent }}] of document.querySelectorAll(".payload").entries())
    await viewer.show(lens.fromBase64(textContent), {{ lane }});
  viewer.choose(0);
}})();
"""
_OFFER = "mount, unpack, fromBase64, runPacked"
_DATA = '<script type="application/octet-stream" class="payload">{}</script>'
_PLOTLY = '<script type="application/octet-stream" id="plotly">{}</script>\n'
_PAGE_STYLE = """
html, body { margin: 0; background: #f4f5f7; }
h1 { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
#viewer { max-width: 1400px; min-height: 100vh; margin: 0 auto; padding: 16px; }
@media (prefers-color-scheme: dark) { html, body { background: #0e1115; } }
"""


def html_report(*traces: Trace) -> str:
    """One HTML file that opens from disk with the network off: the viewer, the payload, and a still card without script.

    Several traces of one clip under one encoder are shown side by side. A content-security policy allows exactly this
    script (and plotly.js, where there is a frontier to draw) and nothing from elsewhere. Where the playable copy would
    make the file large it is left out, and the viewer plays the sampled frames.
    Raises ValueError for traces that cannot share a page (see `player.payloads`).
    """
    from patchlens.views import bundle
    from patchlens.views.card import card
    from patchlens.views.frontier import frontier
    from patchlens.views.player import payloads

    script = _START.format(bundle=bundle.script(offer=_OFFER))
    charted = frontier(traces[0].encoder) is not None
    plotly = bundle.packed_plotly() if charted else b""
    data = payloads(traces)
    if sum(map(len, [*data, plotly])) > LARGEST and traces[0].clip.proxy:
        data = payloads([replace(t, clip=replace(t.clip, proxy=None)) for t in traces])
    plans = " | ".join(t.request.plan for t in traces)
    return _PAGE.format(
        policy=_policy(script, *([bundle.plotly()] if charted else [])),
        title=html.escape(f"{traces[0].clip.source.name} · {plans} · PatchLens"),
        style=bundle.style() + _PAGE_STYLE,
        card="".join(map(card, traces)),
        data="\n".join(_DATA.format(base64.b64encode(one).decode()) for one in data),
        plotly=_PLOTLY.format(base64.b64encode(plotly).decode()) if charted else "",
        script=script,
    )


def _policy(*scripts: str) -> str:
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; media-src blob:; base-uri 'none'; form-action 'none'"
    )
