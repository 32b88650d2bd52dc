"""What can be asked for by name: encoders, selectors and mergers, as text or JSON, without importing torch."""

from __future__ import annotations

import json
from typing import Any

from patchlens.encoders.catalog import CATALOG, on_disk
from patchlens.knobs import knobs_of
from patchlens.registry import plugins

MADE_BY = {"tiny-video-cls": "tiny-video --init bundled --head cls"}  # what `patchlens train` makes it by, if not its name


def catalogue() -> dict[str, Any]:
    """Plain data on everything that has a name."""
    return {
        "encoders": [_encoder(e) for e in CATALOG.values()],
        "selectors": [_plugin(c) for _, c in sorted(plugins("selector").items())],
        "mergers": [_plugin(c) for _, c in sorted(plugins("merger").items())],
    }


def _encoder(entry: Any) -> dict[str, Any]:
    return {
        "name": entry.name,
        "summary": entry.summary,
        "grid": list(entry.grid),
        "tubelet": entry.tubelet,
        "patch": entry.patch,
        "parameters_m": entry.params,
        "download_mb": entry.megabytes,
        "weights": [w.tag for w in entry.weights],
        "on_disk": on_disk(entry),
    }


def _plugin(cls: type) -> dict[str, Any]:
    knobs = [
        {"name": k.name, "default": k.default, "bounds": k.bounds, "unit": k.unit, "help": k.help}
        for k in knobs_of(cls)
    ]
    made = cls()  # what it needs may hang on its knobs: their defaults count
    needs = sorted(made.requires | getattr(made, "clip_needs", frozenset()))
    return {
        "name": cls.name,
        "summary": (cls.__doc__ or "").strip().splitlines()[0],
        "needs": needs,
        "knobs": knobs,
    }


def as_json() -> str:
    """The catalogue as JSON with sorted keys."""
    return json.dumps(catalogue(), indent=2, sort_keys=True)


def as_text() -> str:
    """The catalogue for reading."""
    data = catalogue()
    lines = ["ENCODERS (any number of frames where the grid has t = 1)"]
    for e in data["encoders"]:
        shape = "x".join(map(str, e["grid"]))
        lines.append(f"  {e['name']:<24} {e['parameters_m']:>6.1f} M  {shape:<9} {_where(e)}")
        lines.append(f"  {'':<24} {e['summary']}")
    lines.append("  any other plain ViT: open_clip:NAME, timm:NAME; --weights takes a tag, a file or folder, or random")
    for kind in ("selectors", "mergers"):
        lines += ["", kind.upper()] + [line for p in data[kind] for line in _lines(p)]
        lines += [] if data[kind] else ["  none yet"]
    return "\n".join(lines)


def _where(e: dict[str, Any]) -> str:
    if e["on_disk"]:
        return f"on disk: {', '.join(e['on_disk'])}"
    if not e["weights"]:
        return "weights from a file or folder, or random"
    if not e["download_mb"]:
        return f"not shipped: make it by `patchlens train {MADE_BY.get(e['name'], e['name'])}`"
    return f"download {e['download_mb']} MB ({', '.join(e['weights'])})"


def _lines(plugin: dict[str, Any]) -> list[str]:
    needs = f"  [needs {', '.join(plugin['needs'])}]" if plugin["needs"] else ""
    lines = [f"  {plugin['name']:<12} {plugin['summary']}{needs}"]
    for k in plugin["knobs"]:
        unit = f" {k['unit']}" if k["unit"] else ""
        about = f" - {k['help']}" if k["help"] else ""
        lines.append(f"  {'':<12} {k['name']}={k['default']}  {k['bounds']}{unit}{about}")
    return lines
