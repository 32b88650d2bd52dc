"""Moments of a video that answer a sentence, from its similarity to every frame, and how well they fit the truth.

Pure functions on numbers; source: algorithms.md 2.7 (ResidualViT's evaluation).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

WINDOW = 15
RANKS, OVERLAPS = (1, 5), (0.3, 0.5, 0.7)


class Moment(NamedTuple):
    """A stretch of video in seconds and its score; None where the whole video fills a missing rank."""

    start: float
    end: float
    score: float | None


def smooth(similarities: np.ndarray, window: int = WINDOW) -> np.ndarray:
    """Centred moving average (L,) over `window` frames, cut at the ends; untouched when L <= window."""
    values = np.asarray(similarities, np.float64)
    if len(values) <= window:
        return values
    sums = np.concatenate([[0.0], values.cumsum()])
    at, half = np.arange(len(values)), window // 2
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def segments(values: np.ndarray, shift: float = 1.0) -> list[tuple[int, int]]:
    """Runs [start, end) of frames at or above mean * shift; a run open at the end ends at the last index, L-1."""
    above = values >= values.mean() * shift
    edges = np.diff(np.concatenate([[0], above.astype(np.int8), [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [(int(s), min(int(e), len(values) - 1)) for s, e in zip(starts, ends, strict=True)]


def moments(
    similarities: np.ndarray,
    fps: float,
    duration: float,
    shift: float = 1.0,
    score: str = "max",
    least: int = 5,
) -> list[Moment]:
    """Ranked moments of one sentence from its similarity to every frame, (L,) at `fps`.

    shift scales the threshold (1.00 for Charades-STA and scenes, 0.95 for ActivityNet); score is "max" or "mean" of the
    smoothed values in a segment. Fewer than `least` segments are filled up by the whole video.
    Raises ValueError for no frames or another score.
    Source: algorithms.md 2.7, steps 2 to 6.
    """
    if not len(similarities) or score not in ("max", "mean"):
        raise ValueError(f"{len(similarities)} similarities, score {score!r}: give at least one, and max or mean.")
    values = smooth(similarities)
    rate = np.max if score == "max" else np.mean
    # A segment of the last frame alone has no length in seconds, but a value.
    found = [Moment(s / fps, e / fps, float(rate(values[s : max(e, s + 1)]))) for s, e in segments(values, shift)]
    found.sort(key=lambda moment: moment.score, reverse=True)
    return found + [Moment(0.0, duration, None)] * (least - len(found))


def located(
    similarities: np.ndarray, times: np.ndarray, fps: float, shift: float = 1.0
) -> list[dict[str, float | None]]:
    """The ranked `moments` of one sentence on the video's own clock: {start, end, score}, none of them a filler.

    similarities (L,) of frames that lie at `times` (L,) seconds, about 1/fps apart. Where nothing stands out it is the
    whole video, with the score None.
    """
    clock = np.append(times, times[-1] + 1 / fps)
    at = lambda second: float(np.interp(second * fps, np.arange(len(clock)), clock))  # noqa: E731
    ranked = moments(similarities, fps, len(times) / fps, shift, least=1)
    return [{"start": at(m.start), "end": at(m.end), "score": m.score} for m in ranked]


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Overlap of two spans (start, end, ...) divided by their hull; 0 when they do not touch or have no length."""
    hull = max(a[1], b[1]) - min(a[0], b[0])
    return max(0.0, min(a[1], b[1]) - max(a[0], b[0])) / hull if hull > 0 else 0.0


def hits(ranked: Sequence[Moment], span: tuple[float, float], duration: float) -> np.ndarray:
    """Whether one of the first k moments overlaps the true span by more than theta, bool (RANKS, OVERLAPS)."""
    true = (min(max(span[0], 0.0), duration), min(max(span[1], 0.0), duration))
    best = [max(iou(moment, true) for moment in ranked[:k]) for k in RANKS]
    return np.array([[value > theta for theta in OVERLAPS] for value in best])
