"""The worker process: warm, confined, killable, and never a danger to the program that started it."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import encode, numbered
from hypothesis import given
from hypothesis import strategies as st
from patchlens import wire, worker
from patchlens.limits import Cancelled, Limits, VideoError
from patchlens.reading import Job
from patchlens.video import probe, read

CORE = Path(worker.__file__).parents[1]
WAIT = 20.0  # seconds; generous on a busy machine


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory):
    return encode(tmp_path_factory.mktemp("worker") / "clip.mp4", numbered(30))


@pytest.fixture(scope="module")
def long_file(tmp_path_factory):
    """Seconds of work: every picture has to be decoded and encoded again."""
    noise = np.random.default_rng(0).integers(0, 255, (8, 480, 640, 3)).astype(np.uint8)
    frames = [noise[n % 8] for n in range(240)]
    options = {"preset": "ultrafast", "crf": "30"}
    return encode(tmp_path_factory.mktemp("worker") / "long.mp4", frames, options=options)


@pytest.fixture
def hand():
    one = worker.Worker()
    yield one
    one.close()


def run(hand, path, **options):
    job = Job(str(path), path.name, **options)
    return hand.run("read", job.name, job.json(), job.limits.wall)


def in_background(task):
    """Run `task` in a thread; returns (thread, what it raised)."""
    raised = []

    def guarded():
        try:
            task()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    return thread, raised


def wait_for(condition):
    end = time.monotonic() + WAIT
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def test_isolated_and_direct_reading_agree(clip_file):
    options = {"frames": 5, "size": (48, 64), "proxy": True, "motion": True}
    here, there = read(clip_file, **options), read(clip_file, isolate=True, **options)
    for name in ("frames", "display", "times"):
        assert torch.equal(getattr(here, name), getattr(there, name))
    assert torch.equal(here.motion.values, there.motion.values)
    assert (here.source, here.proxy, here.rect, here.notes) == (there.source, there.proxy, there.rect, there.notes)
    assert probe(clip_file) == probe(clip_file, isolate=True)


def test_one_child_serves_many_files(hand, clip_file, tmp_path):
    run(hand, clip_file)
    first = hand.pid
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"not a video at all")
    with pytest.raises(VideoError, match="bad.mp4"):
        run(hand, bad)
    assert run(hand, clip_file, frames=3)[1]["times"].shape == (3,)
    assert hand.pid == first


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="no /proc to look at")
def test_the_child_is_confined_and_light(hand, clip_file):
    run(hand, clip_file, limits=replace(Limits(), memory=2**30))
    limits = Path(f"/proc/{hand.pid}/limits").read_text()
    soft = {line[:26].strip(): line[26:].split()[0] for line in limits.splitlines()[1:]}
    used = int(Path(f"/proc/{hand.pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    assert soft["Max file size"] == soft["Max core file size"] == "0"
    assert 2**30 <= int(soft["Max address space"]) <= 2**30 + used
    assert "libtorch" not in Path(f"/proc/{hand.pid}/maps").read_text()


def test_a_killed_child_becomes_a_sentence_and_the_next_job_works(hand, clip_file, long_file):
    hand.start()
    first = hand.pid
    thread, raised = in_background(lambda: run(hand, long_file, frames=None, proxy=True))
    time.sleep(0.3)
    os.kill(first, signal.SIGSEGV)
    thread.join(WAIT)
    assert len(raised) == 1 and type(raised[0]) is VideoError
    assert "long.mp4: the decoder crashed on this file (signal 11)" in str(raised[0])
    assert run(hand, clip_file, frames=2)[0]["frames_read"] > 0
    assert hand.pid not in (None, first)


def test_a_child_that_died_between_jobs_is_replaced(hand, clip_file):
    hand.start()
    os.kill(hand.pid, signal.SIGKILL)
    wait_for(lambda: hand.pid is None)
    assert run(hand, clip_file, frames=2)[1]["times"].shape == (2,)


def test_a_deadline_kills_a_child_that_does_not_answer(hand, clip_file, monkeypatch):
    monkeypatch.setattr(worker, "_GRACE", 0.2)
    hand.start()
    stuck = hand.pid
    os.kill(stuck, signal.SIGSTOP)  # as a decoder in an endless loop: it cannot even look at the clock
    began = time.monotonic()
    with pytest.raises(VideoError, match=r"clip.mp4 took longer than the 0.5 s allowed"):
        hand.run("read", "clip.mp4", Job(str(clip_file), "clip.mp4").json(), 0.5)
    assert time.monotonic() - began < 5
    assert hand.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(stuck, 0)


def test_the_child_itself_minds_the_time(hand, long_file):
    with pytest.raises(VideoError, match="took longer than the 0.2 s allowed"):
        run(hand, long_file, frames=None, proxy=True, limits=Limits(wall=0.2))


def test_cancel_frees_the_worker_at_once(hand, clip_file, long_file):
    stop = threading.Event()
    job = Job(str(long_file), "long.mp4", frames=None, proxy=True)
    thread, raised = in_background(lambda: hand.run("read", job.name, job.json(), 60, cancel=stop.is_set))
    time.sleep(0.3)
    began = time.monotonic()
    stop.set()
    thread.join(WAIT)
    assert time.monotonic() - began < 1.0  # 0.1 s on an idle machine
    assert isinstance(raised[0], Cancelled)
    assert run(hand, clip_file, frames=2)[1]["times"].shape == (2,)


def test_progress_is_forwarded(clip_file):
    told = []
    read(clip_file, frames=None, isolate=True, progress=told.append)
    assert len(told) > 5 and told == sorted(told) and told[-1] == 1


def test_threads_take_turns(clip_file):
    results = []

    def job(count):
        results.append((count, len(read(clip_file, frames=count, isolate=True).frames)))

    threads = [threading.Thread(target=job, args=(n,)) for n in (1, 2, 3, 5, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert sorted(results) == [(n, n) for n in (1, 2, 3, 5, 6)]


def test_it_works_where_main_cannot_be_imported_and_ends_with_the_program(clip_file):
    script = f"""
from patchlens.video import probe
from patchlens import worker
print(probe({str(clip_file)!r}, isolate=True).pictures, worker.shared().pid)
"""
    environment = {**os.environ, "PYTHONPATH": str(CORE)}
    done = subprocess.run(
        [sys.executable, "-"], input=script, capture_output=True, text=True, timeout=120, env=environment, check=True
    )
    count, pid = done.stdout.split()
    assert count == "30"
    wait_for(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2])


def test_nothing_here_imports_torch():
    code = "import sys, patchlens.worker, patchlens.video; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(CORE)}, check=True, timeout=60)


# the messages


def arrays_equal(one, two):
    return one.keys() == two.keys() and all(
        np.array_equal(one[k], two[k]) and one[k].dtype == two[k].dtype and one[k].shape == two[k].shape for k in one
    )


def test_messages_arrive_as_they_were_sent():
    stream = io.BytesIO()
    sent = {"a": np.arange(12, dtype=np.float64).reshape(3, 4)[:, ::2], "b": np.zeros((0, 3), np.uint8)}
    wire.send(stream, {"kind": "done", "facts": {"x": [1, "é"]}}, sent)
    wire.send(stream, {"kind": "progress", "value": 0.5})
    stream.seek(0)
    header, arrays = wire.receive(stream, 100)
    assert header == {"kind": "done", "facts": {"x": [1, "é"]}} and arrays_equal(arrays, sent)
    assert wire.receive(stream, 0) == ({"kind": "progress", "value": 0.5}, {})
    assert wire.receive(stream, 0) is None


@given(st.binary(max_size=80), st.integers(0, 60), st.integers(0, 255))
def test_a_garbled_message_is_an_error_and_nothing_else(noise, place, value):
    stream = io.BytesIO()
    wire.send(stream, {"kind": "done"}, {"a": np.ones((2, 3), np.float32)})
    data = bytearray(stream.getvalue())
    data[place % len(data)] = value
    for text in (noise, bytes(data), bytes(data[: place % len(data)])):
        try:
            wire.receive(io.BytesIO(text), 1000)
        except wire.WireError:
            continue


def test_a_message_may_not_claim_more_than_the_limit():
    stream = io.BytesIO()
    wire.send(stream, {}, {"a": np.zeros(1000, np.uint8)})
    stream.seek(0)
    with pytest.raises(wire.WireError, match="more than 999"):
        wire.receive(stream, 999)
