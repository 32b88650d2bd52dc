"""The clips that the dashboard offers: procedural ones, rendered once into the cache, and those inside the gradio wheel.

Nothing is downloaded, and the wheel's clips are used where they lie; absent ones are left out.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from patchlens.cache import default_folder

RATE = 12.0
STORY_SIDE, STORY_CRF = 240, 22  # pixels; its noise would fill megabytes at the others' quality
VERSION = 2  # raise it when the rendering changes
_WHEEL = {"b.mp4": "night Earth", "a.mp4": "title screen"}


@dataclass(frozen=True)
class Sample:
    """A clip to start from: `kind` "procedural", "story" or "gradio"; `label` the class it shows, or None.

    sentences: what can be asked of it, each with the true span in seconds.
    """

    name: str
    kind: str
    label: str | None
    note: str
    sentences: tuple[tuple[str, tuple[float, float]], ...] = ()

    def path(self) -> Path:
        """The file, rendered now if it is not there yet."""
        if self.kind == "gradio":
            return _wheel_folder() / _wheel_file(self.name)
        path = default_folder() / "samples" / f"{self.name.replace(' ', '-')}-{VERSION}.mp4"
        if not path.exists():
            _render(self, path)
        return path

    def about(self) -> dict[str, Any]:
        """What the page shows of it."""
        told = {"sentences": self.sentences} if self.sentences else {}
        return {"name": self.name, "label": self.label, "note": self.note, "thumb": _thumb(self), **told}


def procedural() -> tuple[str, ...]:
    """Names of the clips of one motion that are drawn by code; their traces ship."""
    return tuple(n for n, s in samples().items() if s.kind == "procedural")


@cache
def samples() -> dict[str, Sample]:
    """All clips on offer, by name."""
    from patchlens.data.motions import CLASSES, SAMPLES

    notes = {
        "static camera": "the camera stands still: much repeats", "pan": "the camera moves: nothing repeats",
        "zoom": "the camera zooms in", "cut": "a hard cut in the middle", "flicker": "the light flickers",
        "noise": "sensor noise everywhere", "busy": "distractors move too", "two things": "two actors meet",
    }  # fmt: skip
    made = [
        Sample(n, "procedural", None if c[2] is None else CLASSES[c[2]], notes.get(n, "")) for n, c in SAMPLES.items()
    ]
    wheel = [Sample(title, "gradio", None, "real footage from the gradio package") for title in _WHEEL.values()]
    there = [s for s in wheel if (_wheel_folder() / _wheel_file(s.name)).exists()]
    return {s.name: s for s in [*made, *_stories(), *there]}


def _stories() -> list[Sample]:
    """Excerpts of untrimmed scenes, of which sentences can be asked."""
    from patchlens.data.scenes import SAMPLES, excerpt

    notes = {
        "story": "two scenes with a cut between them, 21 s: ask tiny-clip for a moment by a sentence",
        "cut story": "scenes that change soon after an I-frame, which misleads a residual token, 21 s",
    }
    return [Sample(name, "story", None, notes[name], excerpt(name, fps=1 / 8)[1]) for name in SAMPLES]


def _wheel_folder() -> Path:
    return Path(str(files("gradio"))) / "media_assets" / "videos"


def _wheel_file(title: str) -> str:
    return next(file for file, name in _WHEEL.items() if name == title)


def _render(sample: Sample, path: Path) -> None:
    import io

    from patchlens.cache import write_whole
    from patchlens.data import motions, scenes
    from patchlens.export import write_mp4

    data = io.BytesIO()
    if sample.kind == "story":
        write_mp4(data, scenes.excerpt(sample.name, RATE, STORY_SIDE)[0], fps=RATE, crf=STORY_CRF)
    else:
        write_mp4(data, motions.sample_clip(sample.name, fps=RATE).frames, fps=RATE, crf=16, comment=motions.DRAWN_BY)
    write_whole(path, data.getvalue())


def _thumb(sample: Sample) -> str:
    """A small JPEG of the clip's middle as a data URI."""
    from patchlens.views.player import jpeg

    return "data:image/jpeg;base64," + base64.b64encode(jpeg(_middle(sample))).decode()


def _middle(sample: Sample) -> Any:
    if sample.kind == "procedural":
        from patchlens.data.motions import sample_clip

        return sample_clip(sample.name, size=96, frames=5).frames[2]
    if sample.kind == "story":
        from patchlens.data.scenes import excerpt

        return excerpt(sample.name, fps=1 / 8)[0][-1]
    import av  # directly, because `patchlens.video` needs torch and the page should be up before that is loaded

    with av.open(str(sample.path())) as video:
        frame = next(f for f in video.decode(video=0) if f.time >= 1.5)
        return frame.reformat(96 * frame.width // frame.height, 96, "rgb24").to_ndarray()
