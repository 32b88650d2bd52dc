"""The command line: what it prints and writes, and that every bad input is one sentence and exit status 2."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import patchlens
import pytest
from clips import encode, moving
from patchlens import cli, outputs
from patchlens.cli import parse_span, with_knobs

TINY = ("--encoder", "tiny-video", "--weights", "random", "--device", "cpu")
HEAVY = {
    "torch",
    "torchvision",
    "gradio",
    "open_clip",
    "timm",
    "IPython",
    "transformers",
    "av",
    "cv2",
    "plotly",
    "scipy",
}


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    """A texture that slides for 1.6 s, with a still lower half."""
    frames = moving(40, dx=3.0, height=96, width=128)
    frames[:, 48:] = frames[:1, 48:]
    return encode(tmp_path_factory.mktemp("videos") / "slide.mp4", frames)


@pytest.fixture
def patchlens_command(monkeypatch, capsys):
    """Run the command in this process: (exit status, stdout, stderr)."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["patchlens", *map(str, words)])
        capsys.readouterr()
        try:
            cli.main()
            status = 0
        except SystemExit as stop:
            status = stop.code or 0
        return (status, *capsys.readouterr())

    return call


def figures(path: Path) -> dict:
    """A JSON report without its timing."""
    data = json.loads(path.read_text())
    assert set(data.pop("timing_s")) == {"load", "decode", "score", "encode_full", "encode_reduced"}
    return data


# --- list ---


def test_the_list_names_everything_with_bounds_and_units(patchlens_command):
    status, text, err = patchlens_command("list")
    assert status == 0 and err == ""
    for wanted in (
        "tiny-video",
        "videomae-base",
        "ViT-B-32-quickgelu",
        "rlt-topk",
        "tau=0.1",
        "from 0 to 2",
        "clip | frame",
    ):
        assert wanted in text
    assert "ImageNet-normalised mean |difference|" in text and "[needs gradients, logits]" in text
    assert max(map(len, text.splitlines())) < 220


def test_the_list_as_json_says_the_same(patchlens_command):
    status, text, _ = patchlens_command("list", "--json")
    data = json.loads(text)
    assert status == 0 and set(data) == {"encoders", "selectors", "mergers"}
    (rlt,) = (s for s in data["selectors"] if s["name"] == "rlt")
    tau = rlt["knobs"][0]
    assert (tau["name"], tau["default"], tau["bounds"]) == ("tau", 0.1, "from 0 to 2")
    (tiny,) = (e for e in data["encoders"] if e["name"] == "tiny-video")
    assert tiny["grid"] == [8, 8, 8] and tiny["download_mb"] == 0
    assert text.strip() == json.dumps(data, indent=2, sort_keys=True)


LIGHT = """
import sys
from patchlens.cli import main
for words in (["--help"], ["list"], ["list", "--json"], ["run", "--help"], ["--version"], []):
    sys.argv = ["patchlens", *words]
    try:
        main()
    except SystemExit as stop:
        assert not (stop.code or 0) or not words, (words, stop.code)
print("HEAVY", sorted(set(sys.modules) & {heavy}))
"""


def test_help_and_list_import_nothing_heavy():
    code = LIGHT.replace("{heavy}", repr(HEAVY))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "HEAVY []"


# --- run ---


def test_a_run_as_a_process_writes_what_was_asked_for(video, tmp_path):
    """The real thing once: `python -m patchlens.cli run`."""
    words = [
        "run",
        str(video),
        *TINY,
        "--selector",
        "rlt:tau=0.1",
        "--json",
        str(tmp_path / "a.json"),
        "--npz",
        str(tmp_path / "a.npz"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "patchlens.cli", *words], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" and "rlt:tau=0.1: keeps" in done.stdout and "GMACs" in done.stdout
    data = figures(tmp_path / "a.json")
    assert data["version"] == 1 and data["selector"] == {"name": "rlt", "tau": 0.1, "pool": "plain", "compensate": "off"}
    assert data["encoder"]["name"] == "tiny-video" and data["encoder"]["weights"] == "random"
    assert data["encoder"]["grid"] == [8, 8, 8] and (
        data["encoder"]["tubelet"],
        data["encoder"]["patch"],
    ) == (2, 8)
    assert data["encoder"]["device"] == "cpu" and data["encoder"]["dtype"] == "float32"
    tokens, gmacs = data["tokens"], data["gmacs"]
    assert tokens["total"] == 512 and tokens["keep_ratio"] == pytest.approx(tokens["kept"] / 512, rel=1e-5)
    assert 0 < gmacs["selector"] < 0.02 * gmacs["reduced"] and gmacs["reduced"] < gmacs["full"]
    assert -1 <= data["fidelity"]["cosine"] <= 1 and isinstance(data["fidelity"]["top1_same"], bool)
    assert len(data["prediction"]) == 5 and any("random weights" in note for note in data["notes"])
    with np.load(tmp_path / "a.npz") as stored:
        mask, scores, runs = stored["mask"], stored["scores"], stored["run_length"]
    assert mask.dtype == bool and scores.dtype == np.float32 and runs.dtype.kind == "i"
    assert mask.shape == scores.shape == runs.shape == (8, 8, 8) and mask.sum() == tokens["kept"]
    assert ((runs > 0) == mask).all() and (runs.sum(0) == 8).all()
    assert mask[1:, :4].mean() > 0.5 > 0.2 > mask[1:, 5:].mean(), "the upper half moves, the lower is still"


def test_the_report_is_the_same_from_run_to_run_cached_or_not(patchlens_command, video, tmp_path):
    seen = []
    for name, more in (("a", ()), ("b", ()), ("c", ("--no-cache",))):
        file = tmp_path / f"{name}.json"
        status, _, err = patchlens_command(
            "run", video, *TINY, "--selector", "oracle:keep=0.3", "--json", file, *more
        )
        assert (status, err) == (0, "")
        lines = file.read_text().splitlines()
        start = next(i for i, line in enumerate(lines) if '"timing_s"' in line)
        end = next(i for i in range(start, len(lines)) if lines[i].strip().startswith("}"))
        seen.append(lines[:start] + lines[end + 1 :])
        data = json.loads(file.read_text())
        assert file.read_text().strip() == json.dumps(data, sort_keys=True, indent=2, ensure_ascii=False), (
            "sorted keys"
        )
    assert seen[0] == seen[1] == seen[2]


def test_a_knob_may_be_an_option(patchlens_command, video, tmp_path):
    ways = [
        ("--selector", "rlt:tau=0.2"),
        ("--selector", "rlt", "--tau", "0.2"),
        ("--tau=0.2",),
        ("--selector", "rlt:tau=0.9", "--tau", "0.2"),
    ]
    found = []
    for i, words in enumerate(ways):
        assert patchlens_command("run", video, *TINY, *words, "--json", tmp_path / f"{i}.json")[0] == 0
        found.append(figures(tmp_path / f"{i}.json"))
    assert all(f == found[0] for f in found) and found[0]["plan"] == "rlt:tau=0.2"


def test_json_on_stdout_is_nothing_but_json(patchlens_command, video):
    status, out, err = patchlens_command(
        "run", video, *TINY, "--selector", "random:keep=0.25", "--seed", 3, "--json", "-"
    )
    assert (status, err) == (0, "") and json.loads(out)["tokens"]["kept"] == 128


def test_a_run_equals_the_same_in_python(patchlens_command, video, tmp_path):
    from patchlens.views.report import trace_json

    words = (
        "--selector",
        "rlt:tau=0.1+random:keep=0.5",
        "--label",
        "growing",
        "--span",
        "0:1",
        "--seed",
        "2",
    )
    assert patchlens_command("run", video, *TINY, *words, "--json", tmp_path / "a.json")[0] == 0
    trace = patchlens.run(
        video,
        weights="random",
        device="cpu",
        selector="rlt:tau=0.1+random:keep=0.5",
        label="growing",
        span=(0, 1),
        seed=2,
    )
    assert {k: v for k, v in trace_json(trace).items() if k != "timing_s"} == figures(tmp_path / "a.json")


KNOBS = [
    ("rlt", ["--tau", "0.2"], "rlt:tau=0.2"),
    ("rlt", ["--tau=0.2"], "rlt:tau=0.2"),
    ("rlt+random", ["--keep", "0.5", "--tau", "0.2"], "rlt:tau=0.2+random:keep=0.5"),
    ("oracle:keep=0.5", ["--block", "-2"], "oracle:keep=0.5,block=-2"),
    ("oracle", ["--block=-2"], "oracle:block=-2"),
    ("rlt:tau=0.2", [], "rlt:tau=0.2"),
]


@pytest.mark.parametrize(("spec", "extra", "expected"), KNOBS)
def test_options_join_the_selector_that_has_the_knob(spec, extra, expected):
    assert with_knobs(spec, extra) == expected


def test_spans():
    assert parse_span(None) is None and parse_span("2:7.5") == (2.0, 7.5) and parse_span("0:1") == (0.0, 1.0)


# --- Bad input: one sentence, exit status 2, nothing written ---

BAD = [
    (("--selector", "rtl"), "There is no selector named 'rtl'; choose one of"),
    (("--selector", "rlt:tua=0.1"), "'tua=0.1' in 'rlt:tua=0.1' is not a knob=value of rlt; it takes tau"),
    (("--selector", "rlt:tau=9"), "tau is 9; give a number from 0 to 2."),
    (("--selector", ""), "The plan is empty"),
    (("--tau", "-0.5"), "tau is -0.5; give a number from 0 to 2."),
    (("--tau", "much"), "tau is 'much'; give a number from 0 to 2."),
    (
        ("--tua", "0.1"),
        "--tua is no option of this command, and no selector of the plan 'rlt' has such a knob.",
    ),
    (("--tau",), "--tau has no value; give it as in --tau 0.1."),
    (("--selector", "random+center", "--keep", "0.5"), "more than one selector of the plan"),
    (("another.mp4", "two.mp4"), "another.mp4 is no option of this command"),
    (("--encoder", "tiny-vide"), "No encoder is called 'tiny-vide'; did you mean tiny-video"),
    (("--weights", "nowhere.safetensors"), "nowhere.safetensors"),
    (("--device", "tpu"), "The device 'tpu' cannot be used here; give auto, cpu, cuda or mps."),
    (("--dtype", "int8"), "dtype is 'int8'; choose auto, float32, bfloat16 or float16."),
    (("--label", "flying"), "The encoder knows no class 'flying'"),
    (("--span", "5"), "The span is '5'; give seconds as START:END, for example 2:7.5."),
    (("--span", "a:b"), "The span is 'a:b'; give seconds as START:END"),
    (("--span", "1:2:3"), "The span is '1:2:3'; give seconds as START:END"),
    (("--span", "2:1"), "The span is '2:1'; the start must be 0 or more and below the end."),
    (("--span=-1:2",), "The span is '-1:2'; the start must be 0 or more and below the end."),
    (("--span", "nan:2"), "The span is 'nan:2'; the start must be 0 or more and below the end."),
    (("--span", "100:200"), "slide.mp4 has no picture between 100 and 200 s"),
    (("--fps", "0"), "fps is 0"),
    (("--npz", "FOLDER/nowhere/a.npz"), "nowhere is not there; make it or choose another."),
    (("--json", "FOLDER/nowhere/a.json"), "nowhere is not there; make it or choose another."),
    (("--html", "FOLDER"), "is a folder; give a file name in it."),
    (("--selector", "rlt", "--selector", "random", "--json", "-"), "--json holds one run; give one --selector"),
    (("--frames", "0"), "frames"),
    (("--frames", "many"), "frames"),
    (("--seed", "x"), "seed"),
]


def one_sentence(status: int, out: str, err: str) -> str:
    """Exit status 2, nothing on stdout, one line on stderr; returns the line."""
    assert status == 2 and out == ""
    assert len(err.splitlines()) == 1, err
    assert "Traceback" not in err
    return err.removeprefix("patchlens: ").strip()


@pytest.mark.parametrize(("words", "sentence"), BAD, ids=[" ".join(w) or "none" for w, _ in BAD])
def test_a_bad_option_is_one_sentence(patchlens_command, video, tmp_path, words, sentence):
    words = [w.replace("FOLDER", str(tmp_path)) for w in words]
    rest = [] if "--json" in words else ["--json", tmp_path / "a.json"]
    found = one_sentence(*patchlens_command("run", video, *TINY, "--no-cache", *words, *rest))
    assert sentence in found
    assert not list(tmp_path.iterdir()), "nothing is left behind"


FILES = [
    ("missing.mp4", None, "missing.mp4"),
    ("empty.mp4", b"", "empty.mp4 is empty"),
    ("text.mp4", b"I am no video.\n" * 50, "text.mp4"),
    ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\nother.ts\n", "list.m3u8"),
]


@pytest.mark.parametrize(("name", "content", "sentence"), FILES, ids=[f[0] for f in FILES])
def test_a_file_that_is_no_video_is_one_sentence(patchlens_command, tmp_path, name, content, sentence):
    file = tmp_path / "in" / name
    file.parent.mkdir()
    if content is not None:
        file.write_bytes(content)
    found = one_sentence(
        *patchlens_command("run", file, *TINY, "--json", tmp_path / "a.json", "--npz", tmp_path / "a.npz")
    )
    assert sentence in found
    assert [f.name for f in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("words", [("run",), ("rum",), ("list", "--jason"), ("train", "tiny")], ids=" ".join)
def test_a_command_written_wrongly_is_one_sentence(patchlens_command, words):
    one_sentence(*patchlens_command(*words))


def test_a_folder_is_no_video(patchlens_command, tmp_path):
    one_sentence(*patchlens_command("run", tmp_path, *TINY))


def test_a_truncated_video_is_no_traceback(patchlens_command, video, tmp_path):
    file = tmp_path / "half.mp4"
    file.write_bytes(video.read_bytes()[: len(video.read_bytes()) // 2])
    one_sentence(*patchlens_command("run", file, *TINY))


def test_nothing_is_written_when_one_output_cannot_be_made(patchlens_command, video, tmp_path, monkeypatch):
    def fail(trace: object) -> bytes:
        raise ValueError("The report cannot be made today.")

    monkeypatch.setitem(outputs._MAKERS, "html", fail)
    words = ("--json", tmp_path / "a.json", "--npz", tmp_path / "a.npz", "--html", tmp_path / "a.html")
    found = one_sentence(*patchlens_command("run", video, *TINY, *words))
    assert found == "The report cannot be made today." and not list(tmp_path.iterdir())


def test_every_output_at_once(patchlens_command, video, tmp_path):
    kinds = ("json", "npz", "csv", "html", "mp4", "png")
    words = [w for kind in kinds for w in (f"--{kind}", tmp_path / f"out.{kind}")]
    assert patchlens_command("run", video, *TINY, "--selector", "rlt", *words)[0] == 0
    assert sorted(f.name for f in tmp_path.iterdir()) == sorted(f"out.{kind}" for kind in kinds)
    assert all(f.stat().st_size > 500 for f in tmp_path.iterdir())


def test_several_plans_share_one_report(patchlens_command, video, tmp_path):
    words = ("--selector", "rlt", "--selector", "random:keep=0.5", "--html", tmp_path / "duel.html")
    status, out, err = patchlens_command("run", video, *TINY, *words)
    assert status == 0 and err == ""
    assert out.index("rlt:tau=0.1: keeps") < out.index("random:keep=0.5: keeps")
    assert (tmp_path / "duel.html").read_text().count('class="payload"') == 2
