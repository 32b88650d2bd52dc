"""What reading a video may cost, and the one error it raises.

Knows numbers and sentences only: no decoder, no torch, so that the worker process starts quickly.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any


class VideoError(ValueError):
    """A video that cannot be read: one plain sentence with the file's name, what is wrong and what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(" ".join(str(sentence).split())[:600])


class Cancelled(VideoError):
    """The reader was asked to stop."""


def reason(error: BaseException) -> str:
    """An exception in a few words, without numbers and paths."""
    return str(getattr(error, "strerror", None) or type(error).__name__)


def plain_name(path: str | os.PathLike[str], name: str | None = None) -> str:
    """The file's own name, safe to print in a sentence: printable characters on one line, at most 80 of them."""
    text = str(name) if name else (Path(os.fsdecode(path)).name or os.fsdecode(path))
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= 80 else f"{text[:50]}...{text[-25:]}"


def _mb(count: float) -> str:
    if count >= 2**30:
        return f"{count / 2**30:,.1f} GB"
    return f"{count / 2**20:,.{0 if count >= 10 * 2**20 else 1}f} MB"


@dataclass(frozen=True)
class Limits:
    """Upper bounds for reading one file; the defaults suit a person's own machine.

    bytes of the file; side and pixels of one coded picture; seconds and frames of video read in one go; sampled frames
    kept; wall seconds of work; memory in bytes for the kept frames (a third of it), and for the worker beyond its start.
    """

    bytes: int = 4 * 2**30
    side: int = 8192
    pixels: int = 8192 * 4320
    seconds: float = 3600.0
    frames: int = 250_000
    sampled: int = 512
    wall: float = 900.0
    memory: int = 3 * 2**30

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not value > 0:
                raise ValueError(f"Limits.{item.name} is {value}; it must be positive.")

    @classmethod
    def public(cls) -> Limits:
        """Stricter bounds for files uploaded by strangers; each yields to PATCHLENS_MAX_BYTES, _SIDE, _PIXELS, ...

        Raises ValueError when such a variable does not hold a positive number.
        """
        strict = cls(64 * 2**20, 4096, 1920 * 1088, 60.0, 1800, 64, 30.0, 2 * 2**30)
        return replace(strict, **_from_environment(os.environ))

    def describe(self) -> str:
        """The limits as one sentence for the person who chooses a file."""
        return (
            f"Files up to {_mb(self.bytes)}, pictures up to {self.pixels / 1e6:.1f} megapixels and {self.side} px "
            f"a side; at most {self.seconds:g} s or {self.frames} frames are read, {self.sampled} of them kept, "
            f"in {self.wall:g} s of work."
        )

    def check_bytes(self, name: str, size: int) -> None:
        """Raise VideoError for a file that is empty or too large."""
        if size == 0:
            raise VideoError(f"{name} is empty; choose another file.")
        if size > self.bytes:
            raise VideoError(f"{name} has {_mb(size)}; the limit is {_mb(self.bytes)}: cut or compress it first.")

    def check_picture(self, name: str, width: int, height: int) -> None:
        """Raise VideoError for a coded picture with too many pixels or too long a side."""
        if max(width, height) > self.side or width * height > self.pixels:
            raise VideoError(
                f"{name} has pictures of {width} x {height} px; the limit is {self.pixels / 1e6:.1f} megapixels and "
                f"{self.side} px a side: scale it down first."
            )

    def check_memory(self, name: str, count: int, *sizes_hw: tuple[int, int]) -> None:
        """Raise VideoError when `count` frames of each size (H, W) would not fit."""
        needed = count * sum(3 * h * w for h, w in sizes_hw)
        if needed > self.memory // 3:  # they exist twice while they are stacked
            raise VideoError(
                f"{name}: {count} frames of this size take {_mb(needed)}; the limit is {_mb(self.memory // 3)}: "
                "ask for fewer or smaller frames."
            )


def _from_environment(environment: Any) -> dict[str, float]:
    chosen: dict[str, float] = {}
    for item in fields(Limits):
        key = f"PATCHLENS_MAX_{item.name.upper()}"
        text = environment.get(key)
        if text is None:
            continue
        if not re.fullmatch(r"\d+(\.\d+)?", text.strip()) or float(text) <= 0:
            raise ValueError(f"{key} is {text!r}; it must be a positive number.")
        chosen[item.name] = float(text) if item.type == "float" else int(float(text))
    return chosen


class Watch:
    """Asked between two frames whether to go on; passes progress (0..1) on, at most a hundred times."""

    def __init__(
        self,
        name: str,
        wall: float,
        progress: Callable[[float], None] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> None:
        self.name, self.wall, self.progress, self.cancel = name, wall, progress, cancel
        self._told = 0.0
        self.renew()

    def renew(self) -> None:
        """Start the time allowed anew."""
        self.deadline = time.monotonic() + self.wall

    def check(self) -> None:
        """Raise VideoError when time is up, Cancelled when the caller wants no more."""
        if self.cancel is not None and self.cancel():
            raise Cancelled(f"{self.name}: reading was cancelled.")
        if time.monotonic() > self.deadline:
            raise VideoError(
                f"{self.name} took longer than the {self.wall:g} s allowed; choose a shorter span or a smaller file."
            )

    def report(self, fraction: float) -> None:
        """Pass `fraction` on when it has grown by a hundredth."""
        fraction = min(max(fraction, 0.0), 1.0)
        if self.progress is not None and fraction >= self._told + 0.01:
            self._told = fraction
            self.progress(fraction)
