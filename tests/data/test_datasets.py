"""Sets of samples: procedural ones, folders, and the lists that data sets come with, on files made here."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice

import clips
import numpy as np
import pytest
from patchlens.data.datasets import open_set
from patchlens.data.motions import motion_clip
from patchlens.data.samples import Wanted
from patchlens.limits import VideoError

WANTED = Wanted((32, 32), 4)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Bytes of a real video of 20 numbered frames."""
    return clips.encode(tmp_path_factory.mktemp("made") / "x.mp4", clips.numbered(20, 48, 64), fps=10).read_bytes()


@pytest.fixture
def folder(tmp_path, video):
    """Two classes of three videos, one of them broken, and a text file."""
    for name in ("running", "sitting still"):
        (tmp_path / name).mkdir()
        for i in range(3):
            (tmp_path / name / f"{i}.{'avi' if i == 2 else 'mp4'}").write_bytes(video)
    (tmp_path / "running" / "0.mp4").write_bytes(b"no video at all")
    (tmp_path / "running" / "notes.txt").write_text("hello")
    return tmp_path


def test_motions_are_the_benchmarks_clips_with_their_truth():
    found = open_set("motions", seed=3, limit=20)
    assert len(found) == 20 and "true actor masks" in found.offers and len(found.classes) == 16
    for i in (0, 17):
        footage = found[i].make(WANTED)
        made = motion_clip(i, 3, size=(32, 32), frames=4, fps=2)
        assert np.array_equal(footage.clip.frames.numpy(), made.frames) and np.array_equal(footage.actor, made.actor)
        assert found[i].label == made.facts["class"] and footage.facts["difficulty"] == made.difficulty
    assert found[0].make(Wanted((32, 32), 4, whole=True)).clip.size_hw == (32, 43)


@pytest.mark.parametrize("seed", [1, 1001, -1])
def test_training_streams_are_refused(seed):
    with pytest.raises(ValueError, match="which training draws from"):
        open_set("motions", seed=seed)


def test_scenes_have_no_labels():
    found = open_set("scenes", limit=2)
    footage = found[1].make(WANTED)
    assert found.classes == () and footage.clip.frames.shape == (4, 32, 32, 3)
    assert (np.diff(footage.clip.times) > 0).all()


def test_scenes_have_a_caption_of_their_event_and_splits_of_their_own():
    from patchlens.data.scenes import scene

    test, train = open_set("scenes", limit=3), open_set("scenes", limit=3, split="train")
    for samples, split in ((test, "test"), (train, "train")):
        video = scene(2, 3, split)
        assert samples[2].make(WANTED).caption == video.events[2 % len(video.events)].captions[0].text
    assert {s.name for s in test}.isdisjoint(s.name for s in train) and test.name == "scenes, stream 3"
    assert train.name == "scenes, train split, stream 3"
    with pytest.raises(ValueError, match="split is 'odd'; scenes have train, validation, test"):
        open_set("scenes", limit=1, split="odd")


def test_class_folders(folder):
    found = open_set(folder, seed=0)
    assert Counter(s.label for s in found) == {"running": 3, "sitting still": 3}
    assert found.classes == ("running", "sitting still") and not found.offers
    assert found.notes == ("1 file was skipped (no video by its ending): notes.txt.",)
    by_name = {s.name: s for s in found}
    footage = by_name["sitting still/2.avi"].make(WANTED)
    assert footage.clip.frames.shape == (4, 32, 32, 3) and footage.actor is None
    assert [clips.number_of(f) for f in footage.clip.frames] == [2, 7, 12, 17]
    with pytest.raises(VideoError):
        by_name["running/0.mp4"].make(WANTED)


def test_the_first_samples_are_a_fair_part_in_a_seeded_order(folder):
    orders = [[s.name for s in open_set(folder, seed=seed)] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    for seed in range(4):
        assert Counter(s.label for s in open_set(folder, seed=seed, limit=4)) == {"running": 2, "sitting still": 2}
    with pytest.raises(ValueError, match="limit is 0"):
        open_set(folder, limit=0)


def test_a_flat_folder_is_unlabelled(tmp_path, video):
    (tmp_path / "a.webm").write_bytes(video)
    found = open_set(tmp_path)
    assert [s.label for s in found] == [None] and found.classes == ()


def test_kinetics_lists(tmp_path, video):
    rows = ["label,youtube_id,time_start,time_end,split"]
    rows += ["juggling,aaa,0,1,val", "yoga,-b_b,0,2,val", "yoga,ccc,1,2,train", "yoga,gone,0,10,val"]
    (tmp_path / "k.csv").write_text("\n".join(rows))
    (tmp_path / "videos" / "yoga").mkdir(parents=True)
    (tmp_path / "videos" / "aaa_000000_000001.mp4").write_bytes(video)  # trimmed already
    (tmp_path / "videos" / "yoga" / "-b_b.mkv").write_bytes(video)
    (tmp_path / "videos" / "ccc.mp4").write_bytes(video)  # the whole video: the span is read
    found = open_set(tmp_path / "k.csv", videos=tmp_path / "videos")
    assert {s.name: s.label for s in found} == {"aaa": "juggling", "-b_b": "yoga", "ccc": "yoga"}
    assert found.notes == ("1 file was skipped (named by k.csv, not in videos): gone.",)
    by_name = {s.name: s.make(WANTED).clip for s in found}
    assert [clips.number_of(f) for f in by_name["aaa"].frames] == [2, 7, 12, 17]
    assert [clips.number_of(f) for f in by_name["ccc"].frames] == [11, 13, 16, 18]
    assert {s.name for s in open_set(tmp_path / "k.csv", videos=tmp_path / "videos", split="val")} == {"aaa", "-b_b"}
    with pytest.raises(ValueError, match="no split 'test'; it has train, val"):
        open_set(tmp_path / "k.csv", videos=tmp_path / "videos", split="test")


def test_something_something_lists(tmp_path, video):
    entries = [
        {"id": "1", "label": "moving a cup up", "template": "Moving [something] up"},
        {"id": 2, "label": "Holding [something]"},
        {"id": "3"},
        {"id": "4", "template": "Moving [something] up"},
    ]
    (tmp_path / "v.json").write_text(json.dumps(entries))
    for name in ("1", "2", "3"):
        (tmp_path / f"{name}.webm").write_bytes(video)
    found = open_set(tmp_path / "v.json")
    assert {s.name: s.label for s in found} == {"1": "Moving something up", "2": "Holding something", "3": None}
    assert "4" in found.notes[0]


def test_lists_with_groups_and_splits(tmp_path, video):
    rows = ["file,class,group,split", "a/x.mp4,jump,15,test", "a/y.mp4,walk,3,train", "../secret.mp4,walk,3,train"]
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "secret.mp4").write_bytes(video)
    for name in "xy":
        (tmp_path / "set" / "a" / f"{name}.mp4").write_bytes(video)
    (tmp_path / "set" / "labels.csv").write_text("\n".join(rows))
    found = open_set(tmp_path / "set")
    assert {(s.label, s.group) for s in found} == {("jump", "15"), ("walk", "3")}
    assert "../secret.mp4" in found.notes[0]
    assert [s.label for s in open_set(tmp_path / "set", split="test")] == ["jump"]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.csv", "a,b\n1,2\n", "has the columns a, b"),
        ("x.csv", "", "has the columns none"),
        ("x.csv", "label,youtube_id,time_start,time_end\ny,q,soon,2\n", "gives the times 'soon' to '2'"),
        ("x.json", "{", "cannot be read as a list"),
        ("x.json", '{"id": 3}', "no list of videos"),
        ("x.json", '[{"id": "9"}]', "holds no video that could be found"),
        ("x.txt", "hello", "is no data set"),
    ],
)
def test_what_is_no_list_is_one_sentence(tmp_path, name, content, sentence):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=sentence) as error:
        open_set(tmp_path / name)
    assert "\n" not in str(error.value)


def test_nothing_there(tmp_path):
    with pytest.raises(ValueError, match="holds no video"):
        open_set(tmp_path)
    with pytest.raises(ValueError, match="is no data set; give motions"):
        open_set(tmp_path / "absent")
    (tmp_path / "l.csv").write_text("file,class\nx.mp4,a\n")
    with pytest.raises(ValueError, match="There is no folder"):
        open_set(tmp_path / "l.csv", videos=tmp_path / "absent")


def test_real_lists_where_they_lie(shared):
    found = open_set(shared / "actions" / "ucf11", seed=0)
    assert len(found) == 196 and len(found.classes) == 5 and all(s.group for s in found)
    for sample in islice(found, 2):
        assert sample.make(Wanted((64, 64), 8, "crop")).clip.frames.shape == (8, 64, 64, 3)
