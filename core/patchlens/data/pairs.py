"""Short videos with a sentence each, for distillation: procedural scenes, a folder with captions, a WebVid-layout list.

A pair is an I-frame and the frames that follow it at a fixed rate. Knows no model.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from patchlens.data.datasets import ENDINGS
from patchlens.data.scenes import Scene, scene, scene_frames

PER_VIDEO = 8
ROOM = 2 << 30  # bytes of frames
FEWEST = 8  # captioned videos that a training can be made of: each step holds sentences against each other


@dataclass(frozen=True)
class Take:
    """How a pair is filmed: `count` frames at `fps`, as the encoder wants them."""

    count: int
    fps: float
    size_hw: tuple[int, int]
    fit: str = "squash"


class Pairs(Protocol):
    """Pairs by number; any number is allowed, and the same one gives the same pair. `parts` are the splits there are."""

    name: str

    def pair(self, number: int, take: Take, held_out: bool = False) -> tuple[np.ndarray, str] | None:
        """uint8 frames (count, H, W, 3) and a sentence; None where that video cannot be read."""
        ...


@lru_cache(maxsize=16)
def _video(index: int, seed: int, split: str) -> Scene:
    return scene(index, seed, split)


@dataclass(frozen=True)
class ScenePairs:
    """Moments of procedural videos; held out are those of the validation split, with other pairs of colour and shape.

    A moment may be anywhere in its video, as in a web video: also in the empty time between events, and where one begins
    or ends. Its sentence is of what happens when it begins, or else of another event of the video.
    """

    seed: int = 1
    name: str = "scenes"

    def pair(self, number: int, take: Take, held_out: bool = False) -> tuple[np.ndarray, str]:
        """See `Pairs`; all frames lie within one shot where it is long enough."""
        video = _video(number // PER_VIDEO, self.seed, "validation" if held_out else "train")
        dice = np.random.default_rng((self.seed, number, held_out))
        length = (take.count - 1) / take.fps + 0.05
        start = dice.uniform(0, video.duration)
        shot = next(s for s in reversed(video.shots) if s.start <= start)
        start = max(shot.start, min(start, shot.end - length))
        times = start + np.arange(take.count) / take.fps
        there = [event for event in video.events if event.start <= start < event.end] or video.events
        event = there[int(dice.integers(len(there)))]
        frames = scene_frames(video, times.clip(0, video.duration - 1e-3), take.size_hw[0])
        return frames, event.captions[int(dice.integers(len(event.captions)))].text


@dataclass(frozen=True, eq=False)
class FilePairs:
    """Captioned video files, in a seeded order; every tenth is held out."""

    name: str
    files: tuple[tuple[Path, str], ...]
    seed: int = 1

    def pair(self, number: int, take: Take, held_out: bool = False) -> tuple[np.ndarray, str] | None:
        """See `Pairs`; a video too short for the rate is sampled more densely."""
        from patchlens.limits import VideoError
        from patchlens.video import read

        mine = self.files[::10] if held_out else [f for i, f in enumerate(self.files) if i % 10]
        turn, place = divmod(number, len(mine))
        order = np.random.default_rng((self.seed, turn)).permutation(len(mine))
        path, text = mine[order[place]]
        dice = np.random.default_rng((self.seed, number))
        try:
            duration = _duration(path)
            length = min(take.count / take.fps, duration)
            start = float(dice.uniform(0, duration - length))
            clip = read(path, frames=take.count, span=(start, start + length), size=take.size_hw, fit=take.fit)
        except VideoError:
            return None
        return (clip.frames.numpy(), text) if len(clip.frames) == take.count else None


class Remembered:
    """Pairs as `source` gives them, each made once while there is room: later passes read no video and draw nothing."""

    def __init__(self, source: Pairs, room: int = ROOM) -> None:
        self.source, self.room, self.name = source, room, source.name
        self._made: dict[tuple[int, Take, bool], tuple[np.ndarray, str] | None] = {}

    def pair(self, number: int, take: Take, held_out: bool = False) -> tuple[np.ndarray, str] | None:
        """See `Pairs`."""
        key = number, take, held_out
        if key in self._made:
            return self._made[key]
        made = self.source.pair(number, take, held_out)
        self.room -= 0 if made is None else made[0].nbytes
        if self.room >= 0:
            self._made[key] = made
        return made


@lru_cache(maxsize=100_000)
def _duration(path: Path) -> float:
    from patchlens.video import probe

    return probe(path).duration


def open_pairs(where: str, videos: Path | None = None, seed: int = 1) -> Pairs:
    """The pairs called `where`: "scenes", a folder of videos with captions, or a WebVid-layout CSV.

    A folder holds NAME.txt beside each NAME.mp4, or a captions.csv with file and caption. A WebVid list has videoid, name
    (the caption) and page_dir; its videos lie under `videos` as page_dir/videoid.mp4 or videoid.mp4.
    Raises ValueError in one sentence for another place, or fewer than eight captioned videos.
    """
    if where == "scenes":
        return ScenePairs(seed)
    path = Path(where)
    if path.is_dir():
        listed = path / "captions.csv"
        found = list(_listed(listed, videos or path) if listed.is_file() else _beside(path))
    elif path.is_file() and path.suffix.lower() == ".csv":
        found = list(_listed(path, videos or path.parent))
    else:
        raise ValueError(f"{where} holds no pairs; give scenes, a folder of videos with captions, or a WebVid-layout CSV.")
    if len(found) < FEWEST:
        raise ValueError(f"{path.name} has {len(found)} videos with a caption that are there; give at least {FEWEST}.")
    order = np.random.default_rng(seed).permutation(len(found))
    return FilePairs(path.name, tuple(found[i] for i in order), seed)


def _beside(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob("*")):
        words = path.with_suffix(".txt")
        if path.suffix.lower() in ENDINGS and words.is_file():
            yield path, words.read_text("utf-8").strip()


def _listed(path: Path, videos: Path) -> Iterator[tuple[Path, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows: Any = csv.DictReader(file)
        columns = set(rows.fieldnames or ())
        if not ({"videoid", "name"} <= columns or {"file", "caption"} <= columns):
            raise ValueError(f"{path.name} has the columns {', '.join(sorted(columns)) or 'none'}; give videoid, name and "
                             "page_dir (WebVid), or file and caption.")  # fmt: skip
        for row in rows:
            names = [row["file"]] if "file" in columns else [
                f"{row.get('page_dir') or ''}/{row['videoid']}.mp4".lstrip("/"), f"{row['videoid']}.mp4"
            ]  # fmt: skip
            there = (videos / name for name in names)
            inside = (p for p in there if p.is_file() and p.resolve().is_relative_to(videos.resolve()))
            if (file_path := next(inside, None)) is not None:
                yield file_path, (row["caption"] if "file" in columns else row["name"]).strip()
