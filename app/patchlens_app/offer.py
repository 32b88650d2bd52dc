"""What the desk offers, as plain data: samples, encoders with what is on disk, selectors with their knobs, limits."""

from __future__ import annotations

from typing import Any

from patchlens import __version__
from patchlens.limits import Limits

from patchlens_app.asks import MOST_RANDOM_PARAMETERS
from patchlens_app.assets import PLOTLY
from patchlens_app.runs import SAVES

# what some encoder offers (see Encoder.offers)
OFFERED = frozenset({"logits", "gradients", "class_token", "frames", "attention", "embeddings", "a trained selector",
                     "a trained glance"})  # fmt: skip
READERS = ("open_clip", "tiny_clip")  # families with a text encoder beside that of pictures


def about() -> dict[str, Any]:
    """All of it."""
    from patchlens_app.samples import samples
    from patchlens_app.traces import ENCODER, PLAN

    return {
        "version": __version__,
        "samples": [s.about() for s in samples().values()],
        "usual": {"encoder": ENCODER, "plan": PLAN},
        "encoders": encoders_on_offer(),
        "selectors": selectors_on_offer(),
        "mergers": mergers_on_offer(),
        "principles": principles_measured(),
        "benches": benches_measured(),
        "limits": Limits.public().describe(),
        "saves": list(SAVES.items()),
        "plotly": PLOTLY,
    }


def encoders_on_offer() -> list[dict[str, Any]]:
    """Every encoder of the catalogue; `teacher` is the oracle that its own selector learned, if it has one."""
    from patchlens.encoders.catalog import CATALOG, on_disk
    from patchlens.ranker import teacher_of

    return [
        {"name": e.name, "summary": e.summary, "on_disk": on_disk(e), "megabytes": e.megabytes, "tokens": e.tokens,
         "small": e.params <= MOST_RANDOM_PARAMETERS, "frames": e.grid[0] * e.tubelet if e.grid[0] > 1 else None,
         "reads": e.family in READERS, "teacher": teacher_of(e.name)}
        for e in CATALOG.values()
    ]  # fmt: skip


def selectors_on_offer() -> list[dict[str, Any]]:
    """Every registered selector; `needs` names what no encoder gives."""
    from patchlens.knobs import knobs_of
    from patchlens.registry import plugins
    from patchlens.views.player import knob_json

    return [
        {"name": name, "summary": (cls.__doc__ or "").strip().splitlines()[0], "needs": sorted(cls.requires - OFFERED),
         "knobs": [knob_json(k) for k in knobs_of(cls)]}
        for name, cls in plugins("selector").items()
    ]  # fmt: skip


def mergers_on_offer() -> list[str]:
    """Every registered merger in the grammar, with its default knobs."""
    from patchlens.registry import plugins
    from patchlens.specs import spec_of

    return [spec_of(cls()) for cls in plugins("merger").values()]


def benches_measured() -> list[dict[str, Any]]:
    """The shipped benchmarks, of every row what is shown; the rows of full runs are the baseline, and left out."""
    from patchlens.evaluation.shipped import benches

    shown = ("selector", "tokens", "of", "kept", "seconds", "speedup", "gmacs_ratio", "efficiency")
    return [
        {"encoder": b["encoder"]["name"], "dtype": b["encoder"]["dtype"], "batch": b["batch"], "command": b["command"],
         "machine": b["provenance"]["machine"], "date": b["provenance"]["date"][:10],
         "rows": [{k: r[k] for k in shown} for r in b["rows"] if "efficiency" in r and r["selector"] != "everything"]}
        for b in benches()
    ]  # fmt: skip


def principles_measured() -> dict[str, Any]:
    """By bundled encoder, what `patchlens principles --json` wrote for these very weights; without the rows behind it."""
    from patchlens.encoders.catalog import BUNDLED, bundled
    from patchlens.encoders.weights import digest
    from patchlens.evaluation.shipped import principles

    found = {}
    for name in bundled():
        file = BUNDLED / f"{name}.safetensors"
        measured = principles(name, digest(file)) if file.exists() else None
        if measured:
            found[name] = {key: value for key, value in measured.items() if key != "rows"}
    return found
