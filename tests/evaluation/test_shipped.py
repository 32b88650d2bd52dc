"""The results on file: of the weights that ship, small, without a machine's paths, and they can be made again."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from patchlens.encoders.catalog import BUNDLED
from patchlens.encoders.weights import digest
from patchlens.evaluation import shipped
from patchlens.evaluation.budgets import contender
from patchlens.evaluation.intervals import FAILS, HOLDS, UNDECIDED
from patchlens.views.frontier import trim

FRONTIERS, PRINCIPLES = (sorted((shipped.SHIPPED / kind).glob("*.json")) for kind in ("frontiers", "principles"))
SMALL = 300_000  # bytes
VALUE = {"right": ("top1", "interval"), "cosine": ("cosine", "cosine_interval")}


@pytest.mark.parametrize("path", FRONTIERS, ids=lambda p: p.stem)
def test_a_frontier_is_of_the_weights_that_ship(path):
    sha256 = digest(BUNDLED / f"{path.stem}.safetensors")
    found = shipped.frontier(path.stem, sha256)
    assert found is not None, "the weights have changed; run the file's command again"
    assert trim(found)["curves"] and shipped.frontier(path.stem, "0" * 64) is None
    assert len(path.read_bytes()) < SMALL and not any(p in path.read_text() for p in ("/work", "/home", "/tmp"))
    asked = shlex.split(found["command"])
    rows = {(r["selector"], r["budget"]): r for r in found["rows"]}
    assert asked[:2] == ["patchlens", "sweep"] and len(rows) == len(found["rows"])
    pairs = list(zip(asked, asked[1:], strict=False))
    budgets = [float(value) for name, value in pairs if name == "--budget"]
    for selector in (contender(value).name for name, value in pairs if name == "--selector"):
        assert all((selector, b) in rows for b in budgets)
    full, (value, ends) = rows["everything", 1.0], VALUE[found["metric"]]
    for row in rows.values():
        assert row["n"] == found["n"] and row[ends][0] <= row[value] <= row[ends][1]
        assert row["saved"] == pytest.approx(1 - row["gmacs"] / full["gmacs"], abs=1e-5)


@pytest.mark.parametrize("path", PRINCIPLES, ids=lambda p: p.stem)
def test_principles_are_of_the_weights_that_ship(path):
    found = shipped.principles(path.stem, digest(BUNDLED / f"{path.stem}.safetensors"))
    assert found is not None, "the weights have changed; run the file's command again"
    assert len(path.read_bytes()) < SMALL and not any(p in path.read_text() for p in ("/work", "/home", "/tmp"))
    assert shlex.split(found["command"])[:2] == ["patchlens", "principles"] and found["n"] >= 512
    assert [f["number"] for f in found["principles"]] == [1, 2, 3, 4, 5]
    assert {f["verdict"] for f in found["principles"]} <= {HOLDS, FAILS, UNDECIDED}
    assert {r["n"] for r in found["rows"]} == {found["n"]}


def test_benchmarks_say_where_they_ran_and_how_to_make_them_again():
    found = shipped.benches()
    assert [b["encoder"]["dtype"] for b in found] == ["float32", "bfloat16"], "float32 first: it is the one drawn"
    for bench in found:
        text = json.dumps(bench)
        assert not any(p in text for p in ("/work", "/home", "/tmp")) and bench["provenance"]["machine"]
        assert bench["command"].startswith("patchlens bench --video") and bench["batch"] == 4
        rows = {r["selector"] for r in bench["rows"]}
        assert {"everything", "random", "rlt"} < rows and any(name.startswith("full run in") for name in rows)
        for row in (r for r in bench["rows"] if "efficiency" in r):
            assert row["efficiency"] == pytest.approx(row["speedup"] / row["gmacs_ratio"])


def test_tiny_video_has_both():
    assert all("tiny-video" in [p.stem for p in found] for found in (FRONTIERS, PRINCIPLES))


@pytest.mark.slow
@pytest.mark.parametrize("path", FRONTIERS, ids=lambda p: p.stem)
def test_a_frontier_can_be_made_again(path, tmp_path):
    """A part of the clips and contenders, by the same command: each interval meets the one on file."""
    import typer
    from patchlens.commands.evaluate import sweep_command
    from typer.testing import CliRunner

    on_file = json.loads(path.read_text())
    app, out = typer.Typer(), tmp_path / "again.json"
    app.command("sweep")(sweep_command)
    options = ["--limit", "64", "--selector", "rlt", "--selector", "uniform", "--budget", "0.3", "--json", str(out)]
    where, model = shlex.split(on_file["command"])[2], on_file["encoder"]["name"]
    options += ["--encoder", model, "--frames", str(on_file["frames"])]
    done = CliRunner().invoke(app, [where, *options], catch_exceptions=False)
    assert done.exit_code == 0
    ends = VALUE[on_file["metric"]][1]
    rows = {(r["selector"], r["budget"]): r for r in on_file["rows"]}
    for again in json.loads(out.read_text())["rows"]:
        row = rows[again["selector"], again["budget"]]
        (low, high), (old_low, old_high) = again[ends], row[ends]
        assert low <= old_high and old_low <= high, again["plan"]
        assert again["reached"] == pytest.approx(row["reached"], abs=0.02)


def test_what_is_written_is_read_back(tmp_path, monkeypatch):
    result = {"encoder": {"name": "toy", "sha256": "ab"}, "rows": [{"selector": "a"}, {"selector": "b"}], "principles": []}
    monkeypatch.setattr(shipped, "SHIPPED", tmp_path)
    for kind in ("frontiers", "principles"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "toy.json").write_text(shipped.dumps(result))
    assert shipped.frontier("toy", "ab") == result == shipped.principles("toy", "ab")
    assert shipped.principles("toy", "cd") is None and shipped.frontier("toy", None) is None
    assert Path(tmp_path / "frontiers" / "toy.json").read_text().count("\n") == 10
