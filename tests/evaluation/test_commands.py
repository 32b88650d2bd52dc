"""`patchlens sweep` and `patchlens principles` as a person calls them, on a random `tiny-video` and very few clips."""

from __future__ import annotations

import io
import json
import shlex

import pytest
import typer
from patchlens.commands.evaluate import Meter, duration, principles_command, sweep_command
from typer.testing import CliRunner

app = typer.Typer()
app.command("sweep")(sweep_command)
app.command("principles")(principles_command)
RANDOM = ["--weights", "random", "--device", "cpu"]


def call(*arguments: str) -> str:
    """Standard output of one command; what it raises is raised here."""
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_sweep_prints_a_table_and_writes_rows(tmp_path):
    out = tmp_path / "frontier.json"
    options = ["--selector", "rlt", "--selector", "center:keep=0.1", "--budget", "0.2", "--limit", "4", "--seeds", "2"]
    shown = call("sweep", "motions", *RANDOM, *options, "--by", "camera", "--json", str(out))
    result = json.loads(out.read_text())
    assert [r["selector"] for r in result["rows"]] == ["everything", "random", "rlt", "center:keep=0.1"]
    assert result["data"] == "motions, stream 3" and result["seed"] == 3 and result["metric"] == "right"
    assert (
        set(result["provenance"]) >= {"date", "commit", "machine", "torch"} and result["encoder"]["weights"] == "random"
    )
    assert result["encoder"]["sha256"] is None  # no file, no digest
    table, groups = shown.split("\n\n")
    assert table.count("\n") == 5 == groups.count("\n") - 1 and "center:keep=0.1 | as written" in table
    assert [p.name for p in tmp_path.iterdir()] == ["frontier.json"]  # the parts are gone
    assert out.read_text().count("\n") < 30  # a line for every key and row


def test_every_row_against_one_plan_paired_and_what_it_saves_of_it(tmp_path):
    out, options = tmp_path / "a.json", ["--selector", "center", "--budget", "0.3", "--limit", "8", "--seeds", "1"]
    shown = call("sweep", "motions", *RANDOM, *options, "--against", "uniform:keep=0.6", "--json", str(out))
    rows = {row["selector"]: row for row in json.loads(out.read_text())["rows"]}
    one, other = rows["center"], rows["uniform:keep=0.6"]
    assert one["vs_plan"]["difference"] == pytest.approx(one["top1"] - other["top1"], abs=1e-6)
    assert one["vs_plan"]["saved"] == pytest.approx(1 - one["gmacs"] / other["gmacs"], abs=1e-6)
    assert other["vs_plan"]["difference"] == other["vs_plan"]["saved"] == 0
    head, _, *lines = shown.splitlines()
    assert head.endswith("| against uniform:keep=0.6 | of its GMACs saved % |")
    assert lines[2].endswith(f"level | {100 * one['vs_plan']['saved']:.1f} |")
    with pytest.raises(ValueError, match="against is 'uniform'; say how much it keeps"):
        call("sweep", "motions", *RANDOM, *options, "--against", "uniform")


def test_the_file_says_the_command_that_makes_it_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    typed = "motions --weights random --selector center --selector uniform --budget 0.2 --seeds 1 --limit 2"
    call("sweep", *typed.split(), "--json", "a b.json")
    first = json.loads((tmp_path / "a b.json").read_text())
    assert first["command"] == f"patchlens sweep {typed} --json 'a b.json'"
    call(*shlex.split(first["command"])[1:])
    assert json.loads((tmp_path / "a b.json").read_text())["rows"] == first["rows"]


def test_sweep_says_when_labels_are_not_the_encoders(tmp_path):
    import clips

    (tmp_path / "walking").mkdir()
    clips.encode(tmp_path / "walking" / "a.mp4", clips.numbered(16, 48, 64), fps=8)
    (tmp_path / "walking" / "b.mp4").write_bytes(b"broken")
    shown = call("sweep", str(tmp_path), *RANDOM, "--selector", "center", "--budget", "0.2", "--seeds", "1")
    assert "does not know this set's labels: fidelity only" in shown
    assert "1 video could not be read and is left out; the first: walking/b.mp4" in shown


def test_a_sweep_over_views_says_whose_cost_it_shows():
    options = ["--views", "1x2", "--selector", "center", "--budget", "0.1", "--seeds", "1", "--limit", "1"]
    assert "note: GMACs are of one view; an answer averages 2 (1x2)." in call("sweep", "motions", *RANDOM, *options)


def test_principles_prints_five_verdicts(tmp_path):
    out, table = tmp_path / "p.json", tmp_path / "p.md"
    options = [
        "--cue",
        "center",
        "--budget",
        "0.1",
        "--budget",
        "0.3",
        "--limit",
        "4",
        "--seeds",
        "1",
        "--oracle",
        "oracle:block=1",
    ]
    shown = call("principles", *RANDOM, *options, "--json", str(out), "--markdown", str(table))
    assert [line[0] for line in shown.splitlines() if line[:1].isdigit()] == list("12345")
    result = json.loads(out.read_text())
    assert any(r["selector"] == "oracle:label=predicted,block=1" for r in result["rows"])
    five, rows = table.read_text().strip().split("\n\n")
    assert five.count("\n") == 6 and rows.count("\n") == 1 + len(result["rows"])


def test_an_output_that_cannot_be_written_is_said_first(tmp_path):
    with pytest.raises(ValueError, match="the folder .* is not there"):
        call("sweep", "motions", *RANDOM, "--limit", "1", "--json", str(tmp_path / "no" / "x.json"))
    with pytest.raises(ValueError, match="by is 'colour'; choose one of class, difficulty, camera"):
        call("sweep", "motions", *RANDOM, "--limit", "1", "--by", "colour")


def test_the_meter_says_rate_and_time_left():
    now, out = [0.0], io.StringIO()
    meter = Meter(lambda: now[0], out)
    meter("runs", 100, 1000, 100)  # stored by an earlier run
    now[0] = 10.0
    meter("runs", 200, 1000, 100)  # too soon to say it again
    now[0] = 40.0
    meter("runs", 500, 1000, 100)
    meter("runs", 1000, 1000, 100)
    first, second, third = out.getvalue().splitlines()
    assert first == "encoding: 100 of 1000 clip runs" and third == "encoding: 1000 of 1000 clip runs, 22/s"
    assert second == "encoding: 500 of 1000 clip runs, 10/s, 50 s left"
    assert [duration(x) for x in (89, 600, 7200)] == ["89 s", "10 min", "2.0 h"]
