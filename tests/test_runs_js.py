"""viewer/packed_figure.js and tau_curve.js: what the room of run lengths counts, against Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from patchlens.encoders.packing import Segments
from patchlens.keep import Threshold, keep_of
from patchlens.types import Grid, Scores
from patchlens.views import bundle
from test_keep_js import evaluated

SCRIPT = bundle.script(bundle.VIEWER / "runs_room.js", "packedSegments, attending, sharesAbove, sweptTaus")


def in_room(expression: str, data: Any, folder: Any) -> Any:
    return evaluated(f"const lens = {SCRIPT};", expression, data, folder)


def test_what_tau_keeps_is_what_the_rule_keeps(tmp_path: Any) -> None:
    values = np.random.default_rng(0).choice([0.05, 0.1, 0.15, 0.2, 0.3], 60).astype(np.float32)
    values[:15] = np.inf
    taus = [0.0, 0.05, 0.1, 0.12, 0.3, 0.5]
    shares = in_room("lens.sharesAbove(data.values.map(Number), data.taus)",
                     {"values": [str(v).replace("inf", "Infinity") for v in values], "taus": taus}, tmp_path)  # fmt: skip
    grid, scores = Grid(4, 3, 5, 2, 4), Scores(torch.from_numpy(values), "test")
    for tau, share in zip(taus, shares, strict=True):
        assert share == keep_of([(scores, Threshold(tau))], grid).ratio
    assert in_room("lens.sharesAbove([0.1, 0.2], [0.9])", None, tmp_path) == [0.5], "one token always stays"


def test_the_mask_has_a_square_for_every_segment(tmp_path: Any) -> None:
    counts = [15, 4, 0, 9]
    frames, one, two = in_room(
        """[[true, [data]], [false, [data]], [false, [data, [15, 15, 15, 15]]]].map(([per_frame, plans]) =>
          lens.packedSegments(plans.map((counts) => ({ spec: "x", counts, size: 15, manifest: { per_frame } })))
        ).map((segments) => [segments.map(({ name, length }) => [name, length]), lens.attending(segments)])""",
        counts, tmp_path,
    )  # fmt: skip
    assert [length for _, length in frames[0]] == [15, 4, 9] and frames[0][2][0] == "frame 4", "an empty frame is not run"
    assert one[0] == [["x", 28], ["all tokens", 60]] and [length for _, length in two[0]] == [28, 60]
    for found, share in (frames, one, two):
        owner = Segments(tuple(length for _, length in found)).owner()
        assert abs(share - float((owner[:, None] == owner[None]).double().mean())) < 1e-12


def test_the_swept_taus_are_those_of_the_same_plan(tmp_path: Any) -> None:
    points = [{"setting": 0.3, "reached": 0.2}, {"setting": 0.1, "reached": 0.6}, {"setting": None, "reached": 1.0}]
    frontier = {"curves": [{"selector": "random", "knob": "keep", "points": points},
                           {"selector": "rlt", "knob": "tau", "points": points}]}  # fmt: skip
    knob = {"name": "tau", "kind": "float", "stage": "keep", "default": 0.1}
    pool = {"name": "pool", "kind": "choice", "stage": "keep", "default": "plain"}
    stages = [{"name": "rlt", "knobs": [knob, pool], "setting": {"tau": 0.2, "pool": p}} for p in ("plain", "runs")]
    plain, runs, none = in_room(
        "[lens.sweptTaus(data[0], data[1][0]), lens.sweptTaus(data[0], data[1][1]), lens.sweptTaus(null, data[1][0])]",
        [frontier, stages], tmp_path,
    )  # fmt: skip
    assert plain == [[0.1, 0.6], [0.3, 0.2]] and runs == none == []
