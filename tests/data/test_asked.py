"""Sentences with spans: the lists of the data sets, and the procedural scenes."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest
from clips import encode, moving
from patchlens.data.asked import Filming, open_asked, scene_asked


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("3MSZA", "v_abc", "m1"):
        encode(tmp_path / f"{name}.mp4", moving(50, height=48, width=64))
    return tmp_path


def test_scenes_come_in_pieces_on_their_own_clock() -> None:
    video = next(islice(scene_asked(3), 1, None))
    times = [t for piece in video.pieces(Filming(2.0, (96, 96))) for t in piece.times.tolist()]
    assert times == pytest.approx([i / 2 for i in range(len(times))]) and len(times) == -(-video.duration * 2 // 1)
    assert all(0 <= low < high <= video.duration for _, (low, high) in video.queries)


LISTS = {
    "charades.txt": "3MSZA 0.3 1.4##person turn a light on.\nGONE 0 1##nobody\n3MSZA 1.0 2.0##person sits.\n",
    "activitynet.json": json.dumps(
        {"v_abc": {"duration": 2.0, "timestamps": [[0.5, 1.5], [0, 2]], "sentences": [" A man runs.", "He stops."]}}
    ),
    "mad.json": json.dumps({
        "7": {"movie": "m1", "sentence": "She leaves.", "movie_duration": 2.0, "timestamps": [0, 1],
              "ext_timestamps": [0.2, 1]},
        "8": {"movie": "gone", "sentence": "Night.", "movie_duration": 9.0, "timestamps": [0, 1]},
    }),
    "mine.csv": "file,start,end,sentence\n3MSZA.mp4,0.5,1,a door\n",
}  # fmt: skip
FOUND = {
    "charades.txt": ("3MSZA", None, (("person turn a light on.", (0.3, 1.4)), ("person sits.", (1.0, 2.0)))),
    "activitynet.json": ("v_abc", 2.0, (("A man runs.", (0.5, 1.5)), ("He stops.", (0.0, 2.0)))),
    "mad.json": ("m1", 2.0, (("She leaves.", (0.2, 1.0)),)),
    "mine.csv": ("3MSZA.mp4", None, (("a door", (0.5, 1.0)),)),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_gives_the_videos_that_are_there(folder: Path, name: str) -> None:
    (folder / name).write_text(LISTS[name])
    (asked,) = open_asked(str(folder / name))
    assert (asked.name, asked.duration, asked.queries) == FOUND[name]
    frames = sum(len(piece.frames) for piece in asked.pieces(Filming(5.0, (32, 32))))
    assert frames == 10


def test_a_folder_holds_annotations_csv(folder: Path) -> None:
    (folder / "annotations.csv").write_text(LISTS["mine.csv"])
    assert [a.name for a in open_asked(str(folder))] == ["3MSZA.mp4"]


@pytest.mark.parametrize(("name", "text", "sentence"), [
    ("a.txt", "no marks here", "a.txt cannot be read as sentences with spans"),
    ("a.json", "[1]", "a JSON list where an object is expected"),
    ("a.csv", "file,start\nx,1\n", "a.csv cannot be read as sentences with spans"),
    ("a.txt", "GONE 0 1##nobody", "a.txt names 1 videos, none of which lies in"),
    ("a.doc", "", "is no grounding set"),
])  # fmt: skip
def test_a_bad_list_is_one_sentence(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=sentence):
        open_asked(str(tmp_path / name))
