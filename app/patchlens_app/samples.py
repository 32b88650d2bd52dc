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
VERSION = 2  # raise it when the rendering changes
_WHEEL = {"b.mp4": "night Earth", "a.mp4": "title screen"}


@dataclass(frozen=True)
class Sample:
    """A clip to start from: `kind` "procedural" or "gradio"; `label` the class it shows, or None."""

    name: str
    kind: str
    label: str | None
    note: str

    def path(self) -> Path:
        """The file, rendered now if it is not there yet."""
        if self.kind == "gradio":
            return _wheel_folder() / _wheel_file(self.name)
        path = default_folder() / "samples" / f"{self.name.replace(' ', '-')}-{VERSION}.mp4"
        if not path.exists():
            _render(self.name, path)
        return path

    def about(self) -> dict[str, Any]:
        """What the page shows of it."""
        return {"name": self.name, "label": self.label, "note": self.note, "thumb": _thumb(self)}


def procedural() -> tuple[str, ...]:
    """Names of the clips that are drawn by code."""
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
    return {s.name: s for s in [*made, *there]}


def _wheel_folder() -> Path:
    return Path(str(files("gradio"))) / "media_assets" / "videos"


def _wheel_file(title: str) -> str:
    return next(file for file, name in _WHEEL.items() if name == title)


def _render(name: str, path: Path) -> None:
    import io

    from patchlens.cache import write_whole
    from patchlens.data.motions import DRAWN_BY, sample_clip
    from patchlens.export import write_mp4

    data = io.BytesIO()
    write_mp4(data, sample_clip(name, fps=RATE).frames, fps=RATE, crf=16, comment=DRAWN_BY)
    write_whole(path, data.getvalue())


def _thumb(sample: Sample) -> str:
    """A small JPEG of the clip's middle as a data URI."""
    from patchlens.views.player import jpeg

    return "data:image/jpeg;base64," + base64.b64encode(jpeg(_middle(sample))).decode()


def _middle(sample: Sample) -> Any:
    if sample.kind == "procedural":
        from patchlens.data.motions import sample_clip

        return sample_clip(sample.name, size=96, frames=5).frames[2]
    import av  # directly, because `patchlens.video` needs torch and the page should be up before that is loaded

    with av.open(str(sample.path())) as video:
        frame = next(f for f in video.decode(video=0) if f.time >= 1.5)
        return frame.reformat(96 * frame.width // frame.height, 96, "rgb24").to_ndarray()
