"""Text-to-moment grounding (NLTVG) from frame features, and caption retrieval, on the procedural scenes.

The pure part turns one sentence's similarities over time into ranked moments and judges them; the rest streams videos
through an encoder in pieces, so that memory stays bounded. Knows no selector: whoever encodes frames another way passes
`features`. Source: algorithms.md 2.7 (ResidualViT's evaluation).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from patchlens.data.claims import truth
from patchlens.data.scenes import FPS, Scene, scene, scene_frames
from patchlens.data.stills import caption_batch
from patchlens.encoders.encoder import Encoder
from patchlens.evaluation.intervals import Interval, percentiles, resampled_means, wilson
from patchlens.types import Clip

WINDOW = 15
RANKS, OVERLAPS = (1, 5), (0.3, 0.5, 0.7)
TEST_SEED = 3
CHUNK = 48

Features = Callable[[Scene, np.ndarray], Tensor]


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


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Overlap of two spans (start, end, ...) divided by their hull; 0 when they do not touch or have no length."""
    hull = max(a[1], b[1]) - min(a[0], b[0])
    return max(0.0, min(a[1], b[1]) - max(a[0], b[0])) / hull if hull > 0 else 0.0


def hits(ranked: Sequence[Moment], span: tuple[float, float], duration: float) -> np.ndarray:
    """Whether one of the first k moments overlaps the true span by more than theta, bool (RANKS, OVERLAPS)."""
    true = (min(max(span[0], 0.0), duration), min(max(span[1], 0.0), duration))
    best = [max(iou(moment, true) for moment in ranked[:k]) for k in RANKS]
    return np.array([[value > theta for theta in OVERLAPS] for value in best])


@dataclass(frozen=True)
class Grounded:
    """What was found for n queries of some videos.

    found and ceiling: bool (n, RANKS, OVERLAPS), by the encoder and by a perfect 0/1 similarity; video int (n,): which
    video a query is of; facts: seed, fps, seconds of video, ...
    """

    found: np.ndarray
    ceiling: np.ndarray
    video: np.ndarray
    facts: dict[str, Any]

    def recall(self, rank: int, overlap: float, what: str = "found") -> Interval:
        """R@rank at IoU > overlap with its interval: the bootstrap draws videos, whose queries hang together."""
        return self._rate(self._column(what, rank, overlap))

    def difference(self, other: Grounded, rank: int, overlap: float) -> Interval:
        """Recall of self minus other's over the same queries, paired.

        Raises ValueError when they are not the same number.
        """
        if len(self.video) != len(other.video):
            raise ValueError(
                f"A paired comparison needs the same queries; there are {len(self.video)} and {len(other.video)}."
            )
        mine, theirs = (g._column("found", rank, overlap).astype(float) for g in (self, other))
        return self._rate(mine - theirs)

    def _column(self, what: str, rank: int, overlap: float) -> np.ndarray:
        return getattr(self, what)[:, RANKS.index(rank), OVERLAPS.index(overlap)]

    def _rate(self, values: np.ndarray) -> Interval:
        _, of = np.unique(self.video, return_inverse=True)
        sums = np.stack([np.bincount(of, values.astype(float)), np.bincount(of)], 1)
        draws = resampled_means(sums)
        return percentiles(float(values.mean()), draws[:, 0] / draws[:, 1])

    def as_dict(self) -> dict[str, Any]:
        """Plain data: the facts and one row per rank and overlap."""
        rows = []
        for rank in RANKS:
            for overlap in OVERLAPS:
                mine, top = self.recall(rank, overlap), self.recall(rank, overlap, "ceiling").mean
                rows.append({"rank": rank, "iou": overlap, "recall": mine.mean, "interval": mine.ends,
                             "ceiling": top, "of_ceiling": mine.mean / max(top, 1e-9)})  # fmt: skip
        return {
            **self.facts,
            "queries": len(self.video),
            "videos": len(set(self.video.tolist())),
            "rows": rows,
        }


def frame_features(encoder: Encoder, frames: np.ndarray) -> Tensor:
    """Features (T,D), float32, L2-normalised for CLIP models, of uint8 frames (T,H,W,3) encoded one by one."""
    encoding = encoder.encode(encoder.tokens(Clip.from_frames(frames, fps=FPS)))
    if encoding.frames is None:
        raise ValueError(
            f"{encoder.name} sees whole clips; grounding needs an encoder of single frames, such as tiny-clip."
        )
    return encoding.frames


def full_rate(encoder: Encoder, chunk: int = CHUNK) -> Features:
    """The plain way to encode a video: every frame in full, `chunk` frames at a time."""

    def features(video: Scene, times: np.ndarray) -> Tensor:
        pieces = [times[start : start + chunk] for start in range(0, len(times), chunk)]
        side = encoder.inputs.size_hw[0]
        return torch.cat([frame_features(encoder, scene_frames(video, piece, side)) for piece in pieces])

    return features


def ground_scenes(
    encoder: Encoder,
    queries: int = 2000,
    seed: int = TEST_SEED,
    fps: float = FPS,
    split: str = "test",
    shift: float = 1.0,
    features: Features | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Grounded:
    """Ground the captions of as many videos as it takes for `queries` of them (the last video counts whole).

    `features` (video, times) -> (T,D) encodes another way than every frame in full; `progress` is told (queries done,
    wanted). Raises ValueError for an encoder without a text side or of whole clips.
    """
    if encoder.loaded.text is None:
        raise ValueError(f"{encoder.name} has no text side; grounding needs a CLIP model, such as tiny-clip.")
    features = features or full_rate(encoder)
    found, ceiling, owner, seconds = [], [], [], 0.0
    index = 0
    while len(found) < queries:
        video = scene(index, seed, split)
        times, asked = video.times(fps), video.queries
        texts = encoder.loaded.text.encode_text([text for text, _ in asked])
        similarities = (texts.double() @ features(video, times).double().T).numpy()
        for row, (_, span) in zip(similarities, asked, strict=True):
            perfect = ((times >= span[0]) & (times < span[1])).astype(float)
            for out, values in ((found, row), (ceiling, perfect)):
                out.append(hits(moments(values, fps, video.duration, shift), span, video.duration))
        owner += [index] * len(asked)
        index, seconds = index + 1, seconds + video.duration
        if progress:
            progress(len(found), queries)
    facts = {"seed": seed, "split": split, "fps": fps, "shift": shift, "seconds_of_video": seconds}
    return Grounded(np.array(found), np.array(ceiling), np.array(owner), facts)


def evaluate_scenes(encoder: Encoder, queries: int = 2000, seed: int = TEST_SEED, **options: Any) -> dict[str, Any]:
    """`ground_scenes` as plain data: R@{1,5} at IoU .3/.5/.7 with intervals and the ceiling beside each."""
    return ground_scenes(encoder, queries, seed, **options).as_dict()


def retrieval(encoder: Encoder, frames: int = 256, seed: int = TEST_SEED, split: str = "test") -> dict[str, Any]:
    """R@1 of captions among frames and of frames among captions, held-out, with Wilson intervals.

    "r1" counts the caption's own frame only; "r1_true" any frame that the caption is true of, because some captions are
    true of several; "distinct" is the share of captions that are true of one frame alone.
    """
    made = caption_batch(range(frames), seed, split, encoder.inputs.size_hw[0])
    seen = torch.cat([frame_features(encoder, made.frames[s : s + CHUNK]) for s in range(0, frames, CHUNK)])
    similarities = (encoder.loaded.text.encode_text(made.captions) @ seen.T).numpy()
    true, own = truth(made.claims, made.facts) == 1, np.arange(frames)
    out: dict[str, Any] = {
        "frames": frames,
        "seed": seed,
        "split": split,
        "distinct": float((true.sum(1) == 1).mean()),
    }
    for name, sims, right in (
        ("text_to_frame", similarities, true),
        ("frame_to_text", similarities.T, true.T),
    ):
        best = sims.argmax(1)
        for key, good in (("r1", best == own), ("r1_true", right[own, best])):
            rate = wilson(int(good.sum()), frames)
            out[f"{name}_{key}"] = {"value": rate.mean, "interval": rate.ends}
    return out
