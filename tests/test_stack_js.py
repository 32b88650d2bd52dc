"""viewer/cleaning.js, stack.js, value_figures.js: what the Token value room computes in the browser, against Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import patchlens as pl
import pytest
import torch
import toys
from patchlens.cleaning import WAYS, clean
from patchlens.evaluation.distribution import gini, lorenz, top_share
from patchlens.evaluation.stack import stack
from patchlens.gradcam import unit_range
from patchlens.keep import ranking
from patchlens.types import Grid
from patchlens.views import bundle
from test_keep_js import evaluated

OFFER = "cleaned, Stack, worths, lorenz, gini, topShare"
ENTRY = bundle.VIEWER / "value_room.js"


def in_room(expression: str, data: Any, folder: Any) -> Any:
    """An expression's value, with the room's modules as `lens`."""
    return evaluated(f"const lens = {bundle.script(ENTRY, OFFER)};", expression, data, folder)


def signed_maps(random: np.random.Generator, n: int) -> list[np.ndarray]:
    """Rugged, smooth, tied, all negative and one-token maps."""
    lone = np.full(n, -1.0)
    lone[n // 2] = 3.0
    made = [random.normal(size=n), random.random(n) ** 3, random.integers(-2, 3, n) / 2, -random.random(n), lone]
    return [x.astype(np.float32) for x in made]


def test_maps_are_cleaned_as_python_cleans_them(tmp_path: Any) -> None:
    random = np.random.default_rng(0)
    cases = []
    for grid in (Grid(2, 4, 5, 2, 4), Grid(1, 3, 3, 1, 4), Grid(4, 1, 6, 2, 4), Grid(3, 8, 8, 2, 8)):
        cases += [(grid, way, signed) for way in WAYS for signed in signed_maps(random, grid.n)]
    program = "data.map(([signed, grid, way]) => Array.from(lens.cleaned(Float32Array.from(signed), grid, way)))"
    asked = [[signed.tolist(), [grid.t, grid.h, grid.w], way] for grid, way, signed in cases]
    changed = 0
    for (grid, way, signed), made in zip(cases, in_room(program, asked, tmp_path), strict=True):
        plain = unit_range(torch.from_numpy(signed))
        wanted = clean(plain, grid, way, torch.from_numpy(signed)).numpy()
        if way == "peaks":  # a mean of many is not summed in the same order
            np.testing.assert_allclose(made, wanted, rtol=1e-6)
            changed += int((wanted != plain.numpy()).sum())
        else:
            assert np.array_equal(np.array(made, np.float32), wanted), (way, grid)
    assert changed > 20, "there were peaks to remove"


SHOW = """(() => {
  const found = new lens.Stack(data.about, Float32Array.from(data.maps.flat(2)).buffer);
  const stage = { name: "oracle", setting: { block: "auto", gradient: "auto", sign: "auto", clean: "none" } };
  const model = { stages: [stage], extra: 0, manifest: { grid: data.grid, seed: data.seed } };
  return data.ways.map(([gradient, place, clean]) => {
    found.show(model, { gradient, sign: data.sign, place }, clean);
    const { setting, unit, values, order } = stage;
    const arrays = { values: Array.from(values), order: Array.from(order) };
    return { ...arrays, knobs: { ...setting }, unit, read: found.read(setting), extra: model.extra };
  });
})()"""


@pytest.mark.parametrize("sign", ["positive", "either"])
def test_a_block_shown_in_the_browser_is_the_run_that_it_stands_for(space_time: Any, sign: str, tmp_path: Any) -> None:
    clip, depth = toys.clip(8, seed=3), space_time.config.depth
    asked = {"encoder": space_time, "label": "still", "cache": False, "seed": 5}
    trace = pl.run(clip, selector="oracle:keep=0.5", **asked)
    maps, about = stack(trace, space_time)
    ways = [[g, p, c] for g in ("own", "mean") for p in range(depth + 1) for c in ("none", "edges", "rank")]
    grid = [trace.grid.t, trace.grid.h, trace.grid.w]
    data = {"about": about, "maps": maps.tolist(), "grid": grid, "seed": 5, "ways": ways, "sign": sign}
    for (gradient, place, _), made in zip(ways, in_room(SHOW, data, tmp_path), strict=True):
        assert made["read"] == {"gradient": gradient, "sign": sign, "place": place}
        spec = ",".join(f"{k}={v}" for k, v in made["knobs"].items() if v not in ("auto", "none"))
        scores = pl.run(clip, selector=f"oracle:keep=0.5{',' * bool(spec)}{spec}", **asked).scores
        assert scores.unit == made["unit"]
        assert trace.scores.gmacs + made["extra"] == pytest.approx(scores.gmacs)
        np.testing.assert_allclose(made["values"], scores.values.numpy(), atol=1e-6)
        best = set(ranking(scores, 5)[:30].tolist())
        assert len(best ^ set(made["order"][:30])) <= 2, "the same tokens, but for rounding"


def test_the_knobs_are_auto_where_the_oracle_takes_that_by_itself(tmp_path: Any) -> None:
    blocks = {"mean positive": 2, "mean either": 4, "own positive": 1, "own either": "mean"}
    auto = {"gradient": "own", "signs": {"mean": "positive", "own": "either"}, "blocks": blocks}
    about = {"gradients": ["mean", "own"], "blocks": 6, "auto": auto}
    program = """(() => {
      const found = new lens.Stack(data, new ArrayBuffer(0));
      const way = (gradient, sign, block) => found.read({ gradient, sign, block });
      const asked = ["auto", "0", "-1", "mean", "mean6", "mean3", "9", "x"];
      const read = asked.map((block) => way("auto", "auto", block).place);
      const others = [way("mean", "auto", "auto"), way("mean", "either", "auto"), way("auto", "positive", "auto")];
      const ways = [["own", "either", 6], ["own", "either", 2], ["own", "positive", 6], ["mean", "positive", 2]];
      return [read, others, ways.map(([gradient, sign, place]) => found.knobs({ gradient, sign, place }))];
    })()"""
    read, others, knobs = in_room(program, about, tmp_path)
    assert read == [6, 0, 5, 6, 6, None, None, None]
    found = [tuple(way.values()) for way in others]
    assert found == [("mean", "positive", 2), ("mean", "either", 4), ("own", "positive", 1)]
    assert knobs[0] == {"gradient": "auto", "sign": "auto", "block": "auto"}
    assert knobs[1:] == [
        {"gradient": "own", "sign": "either", "block": "2"},
        {"gradient": "own", "sign": "positive", "block": "mean"},
        {"gradient": "mean", "sign": "positive", "block": "2"},
    ]


def test_how_value_is_spread_is_what_python_says(tmp_path: Any) -> None:
    random = np.random.default_rng(1)
    maps = [random.random(60), random.pareto(2, 512), np.zeros(20), np.eye(1, 40)[0]]
    program = """data.map((values) => {
      const worth = lens.worths(Float32Array.from(values));
      const curve = lens.lorenz(worth);
      return [curve, lens.gini(curve), lens.topShare(worth, 0.2)];
    })"""
    for values, (curve, coefficient, top) in zip(maps, in_room(program, [m.tolist() for m in maps], tmp_path), strict=True):
        x, y = np.array(curve).T
        np.testing.assert_allclose(np.interp(np.linspace(0, 1, 21), x, y), lorenz(values), atol=1e-5)
        assert coefficient == pytest.approx(gini(values), abs=1e-5)
        assert top == pytest.approx(top_share(values), abs=1e-5)
