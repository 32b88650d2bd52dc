"""The shipped traces are those that the code makes now: `python -m patchlens_app.traces` makes them anew."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patchlens.encoders.catalog import CATALOG, on_disk
from patchlens_app.asks import Ask
from patchlens_app.samples import procedural
from patchlens_app.traces import ENCODER, make, path_of, shipped

LARGEST = 500_000  # bytes of one
CURE = "the shipped traces are out of date: run `python -m patchlens_app.traces`"


def opened(payload: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Manifest and blobs."""
    (length,) = struct.unpack_from("<I", payload)
    manifest = json.loads(payload[4 : 4 + length])
    body = payload[4 + length :]
    return manifest, {name: body[at : at + size] for name, (at, size) in manifest.pop("blobs").items()}


def same(found: Any, wanted: Any) -> bool:
    """Equal, with numbers to three digits: another processor rounds otherwise."""
    if isinstance(wanted, float) or isinstance(found, float):
        return bool(np.isclose(found, wanted, rtol=2e-3, atol=2e-3))
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[k], wanted[k]) for k in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return bool(found == wanted)


@pytest.mark.parametrize("name", procedural())
def test_every_sample_ships_its_trace(name: str, tmp_path: Path) -> None:
    manifest, _ = opened(path_of(name).read_bytes())
    assert manifest["report"]["clip"]["name"] == name and manifest["report"]["timing_s"] == {}
    assert path_of(name).stat().st_size < LARGEST
    assert opened(shipped(Ask.of({"source": f"sample:{name}"}, tmp_path)))[1] == opened(path_of(name).read_bytes())[1]
    for other in ({"selector": "rlt:tau=0.2"}, {"seed": 1}, {"label": "growing"}, {"span": [0, 1]}):
        assert shipped(Ask.of({"source": f"sample:{name}", **other}, tmp_path)) is None


@pytest.mark.skipif(not on_disk(CATALOG[ENCODER]), reason="tiny-video's weights are not there")
@pytest.mark.parametrize("name", ["static camera", "noise"])
def test_they_are_what_the_code_makes_now(name: str) -> None:
    (now, fresh), (then, old) = opened(make(name)), opened(path_of(name).read_bytes())
    for said in (now, then):
        said.pop("frontier")  # filled in when it is served
        said["report"]["clip"].pop("sha256")  # another FFmpeg writes other bytes
        said["report"]["encoder"].pop("device")
    assert same(then, now), CURE
    assert old.keys() == fresh.keys(), CURE
    assert np.mean(np.frombuffer(old["mask"], np.uint8) != np.frombuffer(fresh["mask"], np.uint8)) < 0.01, CURE
    assert np.allclose(np.frombuffer(old["scores0"], "<f4"), np.frombuffer(fresh["scores0"], "<f4"), atol=0.01), CURE
