"""Text-to-moment grounding (NLTVG) from frame features: every frame in full, and any number of other ways, paired.

Videos are streamed through an encoder, so that memory stays bounded. `moments.py` has the rules of ranking and judging,
`data/asked.py` the videos with their sentences. Source: algorithms.md 2.7 (ResidualViT's evaluation).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from patchlens.data.asked import Asked, Filming, scene_asked
from patchlens.data.scenes import FPS
from patchlens.encoders.encoder import Encoder
from patchlens.evaluation.filmed import Filmed
from patchlens.evaluation.grounded import Grounded
from patchlens.evaluation.moments import hits, located, moments
from patchlens.evaluation.parts import Parts
from patchlens.merge import Merger
from patchlens.registry import Selector, reading_of
from patchlens.specs import spec_of, way_spec
from patchlens.streaming import stream
from patchlens.types import Clip

TEST_SEED = 3
CHUNK = 48
FULL, EVERY = "full", "every frame in full"

Ways = Mapping[str, Selector]


def frame_features(encoder: Encoder, frames: np.ndarray) -> Tensor:
    """Features (T,D), float32, L2-normalised for CLIP models, of uint8 frames (T,H,W,3) encoded one by one."""
    encoding = encoder.encode(encoder.tokens(Clip.from_frames(frames, fps=FPS)))
    if encoding.frames is None:
        raise ValueError(
            f"{encoder.name} sees whole clips; grounding needs an encoder of single frames, such as tiny-clip."
        )
    return encoding.frames


@dataclass(frozen=True, eq=False)
class Seen:
    """A whole video's frames by one way: times (T,), features (T, D), which are I-frames (T,), and GMACs per frame.

    gmacs: the selector's included; full: with every frame in full.
    """

    times: np.ndarray
    features: Tensor
    intra: Tensor
    gmacs: float
    full: float


def seen(
    pieces: Iterable[Clip], encoder: Encoder, way: Selector | None, seed: int, known: Tensor | None = None,
    merger: Merger | None = None,
) -> Seen:  # fmt: skip
    """Stream a video; with `known`, features of every frame in full, I-frames are taken from there and cost the same.

    Raises ValueError for a video without frames.
    """
    parts = list(stream(pieces, encoder, way, seed, known=known, merger=merger))
    if not parts:
        raise ValueError("The video gave no frame.")
    times, features, intra = (torch.cat([getattr(p, name) for p in parts]) for name in ("times", "features", "intra"))
    costs = (sum(getattr(p, name) for p in parts) / len(times) for name in ("gmacs", "full"))
    return Seen(times.numpy(), features, intra, *costs)


def filming_for(encoder: Encoder, way: Selector | None, fps: float) -> Filming:
    """How a video is wanted for this encoder and plan."""
    wanted = reading_of([] if way is None else [way])
    return Filming(fps, encoder.inputs.size_hw, encoder.inputs.fit, **(wanted if "motion" in wanted else {}))


def text_features(encoder: Encoder, texts: Sequence[str]) -> Tensor:
    """Normalised features (n, D) of sentences.

    Raises ValueError for an encoder without a text side.
    """
    if encoder.loaded.text is None:
        raise ValueError(f"{encoder.name} has no text side; grounding needs a CLIP model, such as tiny-clip.")
    return encoder.loaded.text.encode_text(list(texts))


def judged(asked: Asked, times: np.ndarray, similarities: np.ndarray, fps: float, shift: float) -> np.ndarray:
    """Whether the moments of each query's similarities (Q, T) are right, bool (Q, RANKS, OVERLAPS)."""
    length = asked.duration or float(times[-1] + 1 / fps)
    start = float(times[0])
    rows = []
    for row, (_, (low, high)) in zip(similarities, asked.queries, strict=True):
        rows.append(hits(moments(row, fps, length, shift), (low - start, high - start), length))
    return np.array(rows)


@dataclass(frozen=True)
class Question:
    """How videos are asked: frames per second, threshold shift (0.95 for ActivityNet), seed, and how many queries."""

    fps: float = FPS
    shift: float = 1.0
    seed: int = TEST_SEED
    queries: int = 2000


def ground(
    encoder: Encoder,
    videos: Iterable[Asked],
    ways: Ways,
    question: Question = Question(),
    parts: Path | None = None,
    mergers: Mapping[str, Merger] = MappingProxyType({}),
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Grounded]:
    """Ground the sentences of as many videos as it takes for `queries` of them (the last video counts whole).

    Returns what was found with every frame in full ("full") and by each of `ways`, over the same sentences; `mergers`, by
    name of the way, shorten sequences inside the blocks (of an interleaved plan in its P-frames). `parts` is a folder of
    finished videos, from which a killed run goes on; `progress` is told (queries done, wanted).
    """
    names = [FULL, *ways]
    specs = {FULL: EVERY, **{k: way_spec(v, mergers.get(k)) for k, v in ways.items()}}
    about = {"ways": specs, "of": str(question)}
    store = Parts(parts, repr(sorted({**encoder.loaded.facts, **encoder.facts, **about}.items(), key=str)))
    made: list[dict[str, np.ndarray]] = []
    done = 0
    for index, asked in enumerate(videos):
        if done >= question.queries:
            break
        found = store.load("video", index)
        if found is None:
            found = store.save("video", index, _video(encoder, asked, ways, question, mergers))
        made.append(found)
        done += len(made[-1]["ceiling"])
        if progress:
            progress(min(done, question.queries), question.queries)
    if not made:
        raise ValueError("There is no video with a sentence.")
    owner = np.concatenate([np.full(len(m["ceiling"]), i) for i, m in enumerate(made)])
    ceiling = np.concatenate([m["ceiling"] for m in made])
    frames = np.array([m["frames"] for m in made], float)
    out = {}
    for k, name in enumerate(names):
        spent, near = (float(np.average([m[what][k] for m in made], weights=frames)) for what in ("gmacs", "cosine"))
        facts = {"way": specs[name], "seed": question.seed,
                 "fps": question.fps, "shift": question.shift, "frames": int(frames.sum()),
                 "gmacs_per_frame": spent, "gmacs_per_s": spent * question.fps, "cosine": near}  # fmt: skip
        out[name] = Grounded(np.concatenate([m["found"][k] for m in made]), ceiling, owner, facts)
    return out


def _video(
    encoder: Encoder, asked: Asked, ways: Ways, question: Question, mergers: Mapping[str, Merger]
) -> dict[str, np.ndarray]:
    """One video by every way: found (ways, Q, RANKS, OVERLAPS), ceiling, and GMACs per frame and mean cosine (ways,)."""
    texts = text_features(encoder, [text for text, _ in asked.queries])
    filmed = Filmed(asked)
    film = lambda way: filmed.pieces(filming_for(encoder, way, question.fps))  # noqa: E731
    full = seen(film(None), encoder, None, question.seed)
    by = lambda name, way: seen(film(way), encoder, way, question.seed, full.features, mergers.get(name))  # noqa: E731
    all_ways = [full, *(by(name, way) for name, way in ways.items())]
    perfect = np.array([(full.times >= low) & (full.times < high) for _, (low, high) in asked.queries], float)
    judge = lambda rows: judged(asked, full.times, rows, question.fps, question.shift)  # noqa: E731
    near = [float(torch.cosine_similarity(full.features, w.features, dim=-1).mean()) for w in all_ways]
    return {
        "found": np.array([judge((texts.double() @ w.features.double().T).numpy()) for w in all_ways]),
        "ceiling": judge(perfect),
        "gmacs": np.array([w.gmacs for w in all_ways]),
        "cosine": np.array(near),
        "frames": np.array(len(full.times)),
    }


def answer(
    encoder: Encoder,
    pieces: Iterable[Clip],
    sentence: str,
    way: Selector | None = None,
    fps: float = FPS,
    shift: float = 1.0,
    top: int = 5,
    seed: int = 0,
) -> dict[str, Any]:
    """The best moments of one video for a sentence, in seconds on its clock, with the similarity of every frame."""
    (said,) = text_features(encoder, [sentence]).double()
    got = seen(pieces, encoder, way, seed)
    similarities = (got.features.double() @ said).numpy()
    return {
        "sentence": sentence,
        "encoder": encoder.name,
        "weights": encoder.loaded.weights,
        "plan": spec_of(way) if way is not None else EVERY,
        "fps": fps,
        "frames": len(got.times),
        "gmacs_per_s": got.gmacs * fps,
        "saved": 1 - got.gmacs / got.full,
        "moments": located(similarities, got.times, fps, shift)[:top],
        "times": got.times.tolist(),
        "similarities": similarities.tolist(),
        "intra": got.intra.tolist(),
    }


def evaluate_scenes(encoder: Encoder, queries: int = 2000, seed: int = TEST_SEED) -> dict[str, Any]:
    """Every frame of the test scenes in full, as plain data: R@{1,5} at IoU .3/.5/.7 with intervals and the ceiling."""
    found = ground(encoder, scene_asked(seed), {}, Question(seed=seed, queries=queries))[FULL]
    return {"split": "test", **found.as_dict()}
