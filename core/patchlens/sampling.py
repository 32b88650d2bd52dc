"""Which instants of a video are looked at: pure arithmetic on a time table.

One rule: the span is cut into equal parts (`frames` of them, or parts of 1/`fps` seconds) and each part is represented
by the picture shown at its middle. Parts that fall on the same picture collapse, so that times strictly rise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from patchlens.container import Table
from patchlens.limits import Limits, VideoError

EPS = 1e-7  # seconds; far below any container's clock, far above float64 rounding of it


@dataclass(frozen=True)
class Sampling:
    """Instants to look at, float64 (n,) rising seconds, and the part [start, end) of the video that is read.

    `pictures` counts the pictures shown in that part, `distinct` those that the instants fall on.
    """

    targets: np.ndarray
    start: float
    end: float
    pictures: int
    distinct: int
    notes: tuple[str, ...] = ()

    def after(self, shown: np.ndarray, time: float) -> Sampling:
        """Only the instants at which a later picture than the one at `time` is shown (for going on where one stopped)."""
        pictures = shown[np.searchsorted(shown, self.targets + EPS, "right") - 1]
        left = self.targets[pictures > time + EPS]
        start = float(left[0]) if len(left) else self.end
        return Sampling(left, start, self.end, self.pictures, self.distinct, self.notes)

    def until(self, time: float) -> Sampling:
        """The same number of instants over the pictures before `time` (where a damaged file breaks)."""
        share = (time - self.start) / (self.end - self.start)
        targets = self.start + (self.targets - self.start) * share
        return Sampling(targets, self.start, time, self.pictures, self.distinct, self.notes)


def check_request(frames: int | None, fps: float | None, span: tuple[float, float] | None) -> None:
    """Raise ValueError for a request that no video could meet."""
    if frames is not None and not 1 <= frames <= 100_000:
        raise ValueError(f"frames is {frames}; it must lie between 1 and 100000.")
    if fps is not None and not 0 < fps <= 1000:
        raise ValueError(f"fps is {fps}; it must be positive and at most 1000.")
    if span is not None and not (0 <= span[0] < span[1]):
        raise ValueError(f"span is {span[0]} to {span[1]} s; it must start at 0 or later and end after its start.")


def sample(
    table: Table,
    name: str,
    frames: int | None,
    fps: float | None,
    span: tuple[float, float] | None,
    limits: Limits,
    bounded: bool = True,
) -> Sampling:
    """Choose the instants; with neither `frames` nor `fps` every picture of the span.

    `bounded=False` lifts the limit on kept frames (windows keep few at a time). Raises VideoError when the span lies
    outside the video or a limit is passed.
    """
    inside, end = _inside(table, name, span)
    inside, end, notes = _shorten(inside, end, name, span is not None, limits)
    start, length = float(inside[0]), end - float(inside[0])
    if fps is not None:
        count = max(1, round(length * fps))
        targets = start + np.minimum((np.arange(count) + 0.5) / fps, length * (1 - 0.5 / count))
    elif frames is not None:
        targets = start + (np.arange(frames) + 0.5) * (length / frames)
    else:
        targets = inside + EPS
    distinct = len(np.unique(np.searchsorted(inside, targets + EPS, "right")))
    if bounded and distinct > limits.sampled:
        cure = "lower the rate or shorten the span"
        raise VideoError(f"{name}: {distinct} frames were asked for; the limit is {limits.sampled}: {cure}.")
    return Sampling(targets, start, end, len(inside), distinct, notes)


def _inside(table: Table, name: str, span: tuple[float, float] | None) -> tuple[np.ndarray, float]:
    """Times of the pictures shown within the span, and when the last one's time is over."""
    shown, end = table.shown, table.end
    if span is None:
        return shown, end
    inside = shown[(shown >= span[0] - EPS) & (shown < span[1] - EPS)]
    if not len(inside):  # the span lies between two pictures: the one shown then
        inside = shown[(shown < span[0]) & (span[0] < end)][-1:]
    if not len(inside):
        there = f"from {shown[0]:.2f} to {end:.2f} s"
        raise VideoError(f"{name} has no picture between {span[0]:g} and {span[1]:g} s; its pictures run {there}.")
    later = shown[shown > inside[-1]]
    over = float(later[0]) if len(later) else end
    return inside, max(min(over, span[1]), float(inside[-1]) + 2 * EPS)


def _shorten(
    inside: np.ndarray, end: float, name: str, asked: bool, limits: Limits
) -> tuple[np.ndarray, float, tuple[str, ...]]:
    """Apply the limits on seconds and frames: a span asked for is refused, a whole video is cut with a note."""
    start, whole = float(inside[0]), end
    end = min(end, start + limits.seconds)
    inside = inside[inside < end]
    if len(inside) > limits.frames:
        end, inside = float(inside[limits.frames]), inside[: limits.frames]
    if end >= whole - EPS:
        return inside, end, ()
    bound = f"{limits.seconds:g} s or {limits.frames} frames"
    if asked:
        raise VideoError(f"{name}: the span of {whole - start:.1f} s is longer than the limit of {bound}; shorten it.")
    return inside, end, (f"Only the first {end - start:.1f} s were read: the limit is {bound}.",)
