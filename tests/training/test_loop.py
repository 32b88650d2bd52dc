"""The training loop: resuming, logs, kills at any moment, and two processes that are as good as one."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import toy_training
from patchlens.training.checkpoints import load_last, rows_of
from patchlens.training.loop import fit
from toy_training import CPU, Recipe, Toy

SCRIPT = str(Path(toy_training.__file__))
CORE = str(Path(sys.modules["patchlens"].__file__).parents[1])
ENVIRONMENT = {**os.environ, "PYTHONPATH": CORE, "OMP_NUM_THREADS": "1"}


def steps(folder: Path) -> list[int]:
    return [int(row["step"]) for row in rows_of(folder / "log.csv")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training that nothing disturbed."""
    folder, toy = tmp_path_factory.mktemp("whole"), Toy()
    fit(toy, folder, every=5, check=20)
    return toy, folder


def test_it_learns_validates_and_logs(whole):
    toy, folder = whole
    rows = rows_of(folder / "log.csv")
    assert list(rows[0]) == ["step", "clips", "loss", "size", "error", "clips_per_s", "wall_s", "processor_s"]
    assert steps(folder) == list(range(5, 41, 5)) and rows[-1]["clips"] == "320"
    assert [bool(row["error"]) for row in rows] == [False, False, False, True] * 2
    assert float(rows[-1]["loss"]) < 0.3 * float(rows[0]["loss"]) and not toy.model.training
    assert {p.name for p in folder.iterdir()} <= {"last.pt", "log.csv", "tensorboard"}


def test_going_on_is_as_never_having_stopped(whole, tmp_path):
    fit(Toy(), tmp_path, every=5, until=13)
    assert steps(tmp_path) == [5, 10, 13]
    toy = Toy()
    fit(toy, tmp_path, every=5)
    assert torch.equal(toy.model.weight, whole[0].model.weight)
    done = (tmp_path / "last.pt").stat().st_mtime_ns
    again = Toy()
    fit(again, tmp_path, every=5)  # a finished training is only loaded
    assert torch.equal(again.model.weight, toy.model.weight) and (tmp_path / "last.pt").stat().st_mtime_ns == done


def test_rows_past_the_checkpoint_are_dropped(tmp_path):
    fit(Toy(), tmp_path, every=5, until=10)
    with (tmp_path / "log.csv").open("a") as f:
        f.write("15,120,1,1,,9\n")  # killed between the row and the checkpoint
    fit(Toy(), tmp_path, every=5, until=20)
    assert steps(tmp_path) == [5, 10, 15, 20]


def test_another_recipes_checkpoint_is_refused(whole):
    with pytest.raises(ValueError, match="by another recipe, data or start"):
        fit(Toy(Recipe(lr=0.1)), whole[1])


def test_tensorboard_shows_the_rows(whole):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    seen = events.EventAccumulator(str(whole[1] / "tensorboard"))
    seen.Reload()
    logged = [e.value for e in seen.Scalars("loss")]
    assert [e.step for e in seen.Scalars("loss")] == steps(whole[1])
    assert logged == pytest.approx([float(r["loss"]) for r in rows_of(whole[1] / "log.csv")], rel=1e-3)
    assert len(seen.Scalars("error")) == 2


def said_steps(path: Path) -> list[int]:
    """What a training has printed so far; the last line may be half there."""
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [int(line.split()[1].split("/")[0]) for line in lines]


def test_a_kill_at_any_moment_loses_only_the_steps_since_the_checkpoint(tmp_path):
    server, dice, reached, folder = multiprocessing.get_context("forkserver"), random.Random(0), 0, tmp_path / "run"
    server.set_forkserver_preload(["toy_training"])
    for number in range(4):
        said = tmp_path / f"{number}.txt"
        child = server.Process(target=toy_training.say_and_train, args=(folder, said))
        child.start()
        while child.is_alive() and not said_steps(said):
            time.sleep(0.01)
        time.sleep(dice.uniform(0, 0.4))
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        shown, saved = said_steps(said), load_last(folder / "last.pt", CPU)  # whole, or there is none
        at = saved["step"] if saved else 0
        assert shown[0] == reached + 5 and at in (shown[-1] - 5, shown[-1])  # it went on right after the checkpoint
        logged = steps(folder)
        assert logged == list(range(5, logged[-1] + 1, 5)) and logged[-1] in (at, at + 5)
        assert {p.name for p in folder.iterdir()} <= {"last.pt", "last.pt.partial", "log.csv", "tensorboard"}
        reached = at
    assert reached > 0


def in_two_processes(*arguments: str) -> str:
    """What the toy's script prints under torchrun."""
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", SCRIPT]
    done = subprocess.run([*run, *arguments], env=ENVIRONMENT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_two_processes_are_as_good_as_one(whole, tmp_path):
    said = in_two_processes(str(tmp_path))
    (gradients, model), (others, twin) = (torch.load(tmp_path / f"rank{i}.pt", weights_only=True) for i in (0, 1))
    assert all(torch.equal(model[name], twin[name]) for name in model)
    for name, p in whole[0].model.state_dict().items():
        torch.testing.assert_close(model[name], p, rtol=1e-4, atol=1e-5)
    for name, g in toy_training.contrastive_gradients().items():
        torch.testing.assert_close(gradients[name], g, rtol=1e-4, atol=1e-6)
        assert torch.equal(gradients[name], others[name])
    ours, theirs = ([float(r["loss"]) for r in rows_of(f / "log.csv")] for f in (tmp_path, whole[1]))
    assert steps(tmp_path) == steps(whole[1]) and ours == pytest.approx(theirs, rel=1e-3)
    assert said.count("step 40/40") == 1  # only the first process speaks


@pytest.mark.slow
def test_two_processes_train_the_bundled_models_as_one_does(tmp_path):
    in_two_processes(str(tmp_path), "bundled")
    first, second = (torch.load(tmp_path / f"rank{i}.pt", weights_only=True) for i in (0, 1))
    for one, two in zip(first, second, strict=True):
        assert all(torch.equal(p, two[name]) for name, p in one.items())
    toy_training.bundled(tmp_path / "alone")
    for unit in ("clips", "frames"):  # the task's loss is a mean over samples, or gathered; helping losses only nearly so
        logs = [rows_of(folder / unit / "log.csv") for folder in (tmp_path, tmp_path / "alone")]
        ours, theirs = ([float(row["task"]) for row in rows] for rows in logs)
        assert ours[0] == pytest.approx(theirs[0], rel=2e-4) and ours[1] == pytest.approx(theirs[1], rel=0.01)


def test_a_batch_that_cannot_be_shared_out_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ValueError, match="A batch of 8 cannot be shared out evenly over 3 processes"):
        fit(Toy(), tmp_path)
