"""What a page or a client may ask for, checked before any work: one clip, one part of it, one encoder, one plan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patchlens.limits import Limits
from patchlens.specs import parse_merger, parse_way, spec_of

LONGEST_TEXT, LONGEST_PLAN = 400, 8000  # a plan may name hundreds of tokens
MOST_RANDOM_PARAMETERS = 100.0  # millions; larger random models would only fill the memory
SAMPLE, UPLOAD = "sample:", "upload:"


@dataclass(frozen=True)
class Ask:
    """One run: `source` is "sample:NAME" or "upload:PATH", `name` what the page calls it."""

    source: str
    name: str
    encoder: str = "tiny-video"
    weights: str | None = None
    selector: str = "rlt"
    label: str | None = None
    frames: int = 16
    seed: int = 0
    span: tuple[float, float] | None = None
    merger: str | None = None

    @classmethod
    def of(cls, data: Any, uploads: Path) -> Ask:
        """From what a page sent.

        Raises ValueError or KeyError with one sentence for anything that cannot be meant.
        """
        if not isinstance(data, dict):
            raise ValueError("The request is not understood; reload the page.")
        source = _text(data, "source")
        name = check_source(source, uploads)
        if source.startswith(UPLOAD):  # gradio strips the file's own name of all but letters; the page knows it
            name = _text(data, "name", "") or name
        way, merger = parse_way(_text(data, "selector", "rlt"))  # the last part of a plan may be a merger
        plan, merger = str(way), merger or parse_merger(_text(data, "merger", "").strip() or None)
        encoder, weights = _encoder(_text(data, "encoder", "tiny-video"), _text(data, "weights", "") or None)
        label = _text(data, "label", "").strip() or None
        frames, seed = _whole(data, "frames", 16, 1, 64), _whole(data, "seed", 0, 0, 2**31 - 1)
        shrink = merger and spec_of(merger)
        return cls(source, name, encoder, weights, plan, label, frames, seed, _span(data), shrink)

    @property
    def path(self) -> Path:
        """The video file."""
        if self.source.startswith(SAMPLE):
            from patchlens_app.samples import samples

            return samples()[self.source.removeprefix(SAMPLE)].path()
        return Path(self.source.removeprefix(UPLOAD))

    def options(self) -> dict[str, Any]:
        """The arguments of `pipeline.run`; uploads are read in a child process under the public limits."""
        ours = self.source.startswith(SAMPLE)
        guard = {} if ours else {"isolate": True, "limits": Limits.public()}
        return {
            "encoder": self.encoder, "weights": self.weights, "selector": self.selector, "merger": self.merger,
            "label": self.label, "frames": self.frames, "seed": self.seed, "span": self.span, "name": self.name,
            "proxy": True, "motion": True, **guard,
        }  # fmt: skip


def _text(data: dict, key: str, default: str | None = None) -> str:
    value = data.get(key, default)
    most = {"source": 4 * LONGEST_TEXT, "selector": LONGEST_PLAN}.get(key, LONGEST_TEXT)
    if not isinstance(value, str) or len(value) > most:
        raise ValueError(f"{key} is missing or too long; give at most {most} characters.")
    return value


def _whole(data: dict, key: str, default: int, low: int, high: int) -> int:
    value = data.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or not low <= value <= high:
        raise ValueError(f"{key} is {value!r}; give a whole number from {low} to {high}.")
    return int(value)


def _span(data: dict) -> tuple[float, float] | None:
    value = data.get("span")
    if value is None:
        return None
    numbers = value if isinstance(value, list) else []
    if [type(x) in (int, float) for x in numbers] != [True, True] or not 0 <= numbers[0] < numbers[1] < 1e6:
        raise ValueError(
            f"span is {str(value)[:80]!r}; give [start, end] in seconds, the start 0 or more and below the end."
        )
    return float(numbers[0]), float(numbers[1])


def check_source(source: str, uploads: Path) -> str:
    """The clip's display name; only samples and files that were uploaded here pass."""
    from patchlens_app.samples import samples

    if source.startswith(SAMPLE):
        name = source.removeprefix(SAMPLE)
        if name not in samples():
            raise KeyError(f"There is no sample named {name!r}; choose one of {', '.join(samples())}.")
        return name
    path = Path(source.removeprefix(UPLOAD))
    try:
        inside = path.resolve().is_relative_to(uploads.resolve()) and path.is_file()
    except (OSError, ValueError):
        inside = False
    if not source.startswith(UPLOAD) or not inside:
        raise ValueError("The uploaded file is not there any more; upload it again.")
    return path.name


def _encoder(name: str, weights: str | None) -> tuple[str, str | None]:
    """Encoder and weights that can run here now: a page never starts a download."""
    from patchlens.encoders.catalog import CATALOG, on_disk

    entry = CATALOG.get(name)
    if entry is None:
        raise KeyError(f"The dashboard offers no encoder {name!r}; `patchlens list` names them all.")
    if weights == "random":
        if entry.params > MOST_RANDOM_PARAMETERS:
            raise ValueError(f"{name} has {entry.params:g} million parameters; with random weights at most "
                             f"{MOST_RANDOM_PARAMETERS:g} are allowed here.")  # fmt: skip
        return name, weights
    there = on_disk(entry)
    if not there and not entry.megabytes:
        raise ValueError(f"{name} should have come with PatchLens, but its weights are missing; install it again, or "
                         "choose random weights.")  # fmt: skip
    if weights not in (None, *there) or not there:
        raise ValueError(f"{name} has no such weights on this disk; `patchlens run VIDEO --encoder {name} --weights "
                         f"{entry.tags[0]}` downloads {entry.megabytes} MB once.")  # fmt: skip
    return name, weights or there[0]
