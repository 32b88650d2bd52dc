"""Results that ship with the package: how a sweep or the principles are written, and what is on file for an encoder.

Benchmarks are about time and random weights. Any other file counts for the weights that it was measured with, and no
longer once the weights are others. Knows no model.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from patchlens.encoders.encoder import Encoder

SHIPPED = Path(__file__).resolve().parents[1] / "reference"


def record(result: dict[str, Any], encoder: Encoder, data: str, asked: dict[str, Any]) -> dict[str, Any]:
    """A result with which weights it is about, which set, and what was asked (command, seed, ..., provenance)."""
    known = {k: encoder.loaded.facts.get(k) for k in ("sha256", "oracle_block")}
    return {"encoder": encoder.facts | known, "data": data, **asked, **result}


def dumps(result: dict[str, Any]) -> str:
    """A result as JSON, a line for every key and for every row, so that versions can be compared."""
    lines = []
    for key, value in result.items():
        text = json.dumps(value, allow_nan=False)
        if key in ("rows", "principles"):
            text = "[\n" + ",\n".join(f"  {json.dumps(row, allow_nan=False)}" for row in value) + "\n]"
        lines.append(f"{json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def frontier(encoder: str, sha256: str | None) -> dict[str, Any] | None:
    """What `patchlens sweep --json` wrote for a bundled encoder; None where there is nothing for these weights.

    sha256: digest of the weights file in use (`Loaded.facts`); None belongs to weights of no file, which nothing is about.
    """
    return _of(SHIPPED / "frontiers" / f"{encoder}.json", sha256)


def principles(encoder: str, sha256: str | None) -> dict[str, Any] | None:
    """What `patchlens principles --json` wrote for a bundled encoder, as `frontier` has it."""
    return _of(SHIPPED / "principles" / f"{encoder}.json", sha256)


def benches() -> list[dict[str, Any]]:
    """What `patchlens bench --json` wrote for the runs that ship, float32 before what is narrower."""
    found = [_read(path) for path in sorted((SHIPPED / "bench").glob("*.json"))]
    return sorted(found, key=lambda result: result["encoder"]["dtype"], reverse=True)


def _of(path: Path, sha256: str | None) -> dict[str, Any] | None:
    if sha256 is None or not path.is_file():
        return None
    result = _read(path)
    return result if result["encoder"].get("sha256") == sha256 else None


@cache
def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))
