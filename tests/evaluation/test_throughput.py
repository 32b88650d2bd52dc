"""The benchmark on small encoders: what a row says, that the library's own model is met, and that runs interleave."""

from __future__ import annotations

import json

import pytest
import toys
from clips import encode, moving
from patchlens.encoders.costs import cost_of
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.loaded import Inputs, Loaded
from patchlens.encoders.loading import initialise
from patchlens.encoders.vit import ViT, ViTConfig
from patchlens.evaluation import throughput
from patchlens.evaluation.budgets import contender
from patchlens.evaluation.throughput import bench, table

CLIPS = [toys.clip(8, seed=s) for s in (1, 2)]


def test_rows_say_what_ran_and_what_it_cost(space_time):
    order: list[str] = []
    plans = ["random", "rlt", "rlt:tau=0.2", "tome", "sta:r=2"]
    rows = bench(space_time, CLIPS, plans, keep_ratio=0.5, repeats=3, progress=lambda name, *_: order.append(name))
    assert [r["selector"] for r in rows] == ["everything", "random", "rlt", "rlt:tau=0.2", "tome", "sta:r=2"]
    assert order[:6] == [r["selector"] for r in rows] and order[6] == "random" and len(order) == 24, "interleaved"
    full, random, rlt, fixed, tome, sta = rows
    assert full["speedup"] == full["gmacs_ratio"] == full["efficiency"] == 1 and full["tokens"] == full["of"] == 60
    assert random["tokens"] == 30 and random["plan"] == "random:keep=0.5"
    for row in rows:
        assert row["runs"] == 3 and row["spread"][0] <= row["seconds"] <= row["spread"][1]
        assert row["efficiency"] == pytest.approx(row["speedup"] / row["gmacs_ratio"])
        assert row["clips_s"] == pytest.approx(2 / row["seconds"]) and row["gmacs_ratio"] >= 1
    for clip, found in zip(CLIPS, rlt["solved"], strict=True):
        plan = contender("rlt").at(found["tau"])
        keep, _ = throughput.decided(space_time, clip, space_time.tokens(clip), plan, 0)
        assert keep.ratio == found["kept"] == pytest.approx(0.5, abs=1 / 60)
    assert fixed["asked"] is None and random["asked"] == 0.5
    assert random["efficiency_processor"] == pytest.approx(random["speedup_processor"] / random["gmacs_ratio"])
    assert "solved" not in fixed and tome["gmacs_selector"] > 0 and abs(tome["kept"] - 0.5) < 0.05
    assert sta["tokens"] == 60 and sta["kept"] < 1, "a merger begins with all tokens"
    plan = contender("random").at(0.5)
    keep, _ = throughput.decided(space_time, CLIPS[0], space_time.tokens(CLIPS[0]), plan, 0)
    assert random["gmacs"] == pytest.approx(cost_of(space_time, keep)[0].total)
    text = table(rows)
    assert text.count("\n") == 7 and "| random:keep=0.5 | 30 of 60 |" in text


def test_a_slower_selector_loses_efficiency(space_time, monkeypatch):
    """The selector's own time is inside: with a clock that counts its calls, a costly score lowers the speed-up."""
    now = [0.0]
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(Encoder, "encode_many", lambda *_, **__: now.__setitem__(0, now[0] + 1.0))
    cls = type(contender("random").plan.selectors[0])
    scored = cls.score

    def slow(self, tokens, context):
        now[0] += 0.5
        return scored(self, tokens, context)

    monkeypatch.setattr(cls, "score", slow)
    full, random = bench(space_time, CLIPS, ["random"], repeats=2)
    assert full["seconds"] == 1 and random["seconds"] == 2 and random["speedup"] == 0.5


def small_videomae() -> Encoder:
    config = ViTConfig(32, 2, 4, 64, (2, 2, 2), 16, tubelet=2, outputs=5)
    inputs = Inputs((32, 32), 4, 2, 16, (0.5,) * 3, (0.5,) * 3, "squash")
    return Encoder("videomae-base", Loaded(initialise(ViT(config), 0), inputs, tuple("abcde"), "random", {}), "cpu")


def test_the_full_run_meets_the_librarys_own_model():
    pytest.importorskip("transformers")
    rows = bench(small_videomae(), [toys.clip(4, size=(32, 32))], ["random"], repeats=2)
    theirs = rows[1]
    assert theirs["selector"] == "full run in transformers" and theirs["ratio"] > 0 and "efficiency" not in theirs
    assert "of its time" in table(rows)


def test_several_ratios_are_measured_side_by_side(space_time):
    rows = bench(space_time, CLIPS, ["random", "rlt:tau=0.2", "tome"], keep_ratio=[0.3, 0.6], repeats=1)
    told = [(r["selector"], r["asked"]) for r in rows[1:]]
    assert told == [("random", 0.3), ("random", 0.6), ("rlt:tau=0.2", None), ("tome", 0.3), ("tome", 0.6)]
    assert [r["tokens"] for r in rows[1:3]] == [18, 36] and rows[4]["kept"] < rows[5]["kept"]


def test_processor_time_is_no_clock(space_time, monkeypatch):
    """A run that waits takes time by the clock and none of the processor's."""
    now = [0.0, 0.0]
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(throughput.time, "process_time", lambda: now[1])

    def run(_, tokens, keeps=None, **__):
        work = 2.0 if keeps is None else 1.0
        now[:] = [now[0] + 3.0, now[1] + work]

    monkeypatch.setattr(Encoder, "encode_many", run)
    full, random = bench(space_time, CLIPS, ["random"], repeats=2)
    assert random["speedup"] == 1 and random["speedup_processor"] == 2 and full["processor_seconds"] == 2


def test_bad_questions_are_one_sentence(space_time, frame_cls):
    with pytest.raises(ValueError, match="no clip to measure"):
        bench(space_time, [], ["random"])
    with pytest.raises(ValueError, match="keep ratio is 1.5"):
        bench(space_time, CLIPS, ["random"], keep_ratio=[0.5, 1.5])
    with pytest.raises(ValueError, match="keep ratio is 1.5"):
        bench(space_time, CLIPS, ["random"], keep_ratio=1.5)
    with pytest.raises(ValueError, match="sta needs space-time attention"):
        bench(frame_cls, CLIPS, ["sta"])


def test_the_command_writes_rows_and_where_they_come_from(tmp_path, capsys):
    from patchlens.cli import cli

    video, out, plot = (tmp_path / name for name in ("clip.mp4", "bench.json", "bench.html"))
    encode(video, moving(16))
    arguments = ["bench", "--encoder", "tiny-video", "--video", str(video), "--batch", "2", "--repeats", "1"]
    cli([*arguments, "--keep-ratio", "0.4", "--json", str(out), "--plot", str(plot)], standalone_mode=False)
    written = json.loads(out.read_text())
    names = [r["selector"] for r in written["rows"]]
    assert names[0] == "everything" and {"random", "rlt", "tome", "sta"} <= set(names)
    assert written["provenance"]["machine"] and written["batch"] == 2 and written["keep_ratios"] == [0.4]
    assert written["command"].startswith("patchlens bench") and "Plotly.newPlot" in plot.read_text()
    assert "(asked 0.4)" in capsys.readouterr().out


def test_an_encoder_of_frames_takes_as_many_as_asked_and_reads_their_motion(tmp_path):
    """ResidualViT's plan is timed with the motion it looks at read beforehand, as decoding is."""
    from patchlens.commands.bench import _clips
    from patchlens.pipeline import load_encoder

    video = encode(tmp_path / "clip.mp4", moving(40))
    (clip,) = _clips([video], 1, 12, load_encoder("tiny-clip"), ["residualvit:n=2", "random"])
    assert len(clip.frames) == 12 and clip.motion is not None
    assert _clips([video], 1, 12, load_encoder("tiny-clip"), ["random"])[0].motion is None
