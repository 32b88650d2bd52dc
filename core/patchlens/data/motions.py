"""The action benchmark `motions`: short clips in which one thing, or two, do one of sixteen things.

Knows the classes, the fixed default difficulty, and how one clip follows from (seed, index): everything
random is drawn beforehand in units of the frame side and the clip's length, so another size, length or rate
shows the same story. Does not know models or training. Classes come in pairs that are each other's clip
played backwards (the two shakes mirror each other), so no single frame and no unordered set of frames tells
the two of a pair apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .casting import AREA, DISTRACTORS, MOST_DISTRACTORS, NOISE, act, dress, hire, place_distractors
from .drawing import MARGIN, Thing, add_noise, background_px, render
from .filming import CAMERA_CHANCE, CAMERAS, NOISY, SCENES, film, light
from .stories import FAMILIES, MOMENTS, distractor_track
from .textures import background

__all__ = ["CLASSES", "SAMPLES", "SCENES", "MotionClip", "batch", "motion_clip", "sample_clip"]

DRAWN_BY = "patchlens.data.motions"  # how its clips name their origin
CLASSES: tuple[str, ...] = (
    "left to right", "right to left", "top to bottom", "bottom to top", "rotating clockwise",
    "rotating counter-clockwise", "growing", "shrinking", "appearing", "disappearing", "shaking sideways",
    "shaking up and down", "two things meeting", "two things parting", "covering something",
    "uncovering something",
)  # fmt: skip
# Each class's family, and whether its clip is that family's played backwards.
_PLAYED = tuple(
    (family, back) for family in FAMILIES for back in ((False,) if "shake" in family else (False, True))
)

_STORY = ("rest before", "rest after", "smooth", "place x", "place y", "amount", "second", "moment", "way",
          "drift")  # fmt: skip


@dataclass(frozen=True)
class MotionClip:
    """One clip.

    `frames` uint8 (T,H,W,3) RGB; `label` an index into CLASSES; `actor` bool (T,H,W), the visible pixels of
    what acts (both things where two act; the mover and what it leaves visible in covering and uncovering);
    `camera` float32 (T,3): a point p (pixels from the frame's middle) of the still world is seen at zoom * p
    + (dx, dy); `difficulty` 0..1, a mix of distractors (30 %), camera (20 %), noise (20 %), contrast (15 %)
    and size (15 %); `facts` what was drawn: label name, background, camera, scene, distractors, noise (sigma
    in grey levels), gain (brightness change over the clip), contrast (grey levels), actor share (of the
    frame), seconds.
    """

    frames: np.ndarray
    label: int
    actor: np.ndarray
    camera: np.ndarray
    difficulty: float
    facts: dict[str, Any]


def _stream(seed: int, index: int, part: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index, part])))


@lru_cache(maxsize=64)
def _order(seed: int) -> tuple[int, ...]:
    shuffled = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed]))).permutation(len(CLASSES))
    return tuple(shuffled.tolist())


def _frame_size(size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, (int, np.integer)) else size
    if min(height, width) < 16:
        raise ValueError(f"size {size!r}: a side under 16 pixels shows nothing")
    return int(height), int(width)


def _difficulty(facts: dict[str, Any]) -> float:
    weights = dict(zip(DISTRACTORS, (0.6, 1.0, 0.8, 1.0), strict=True))
    parts = (
        sum(weights[kind] for kind in facts["distractors"]) / MOST_DISTRACTORS,
        0.0 if facts["camera"] == "static" else 1.0,
        facts["noise"] / NOISE,
        1 - (facts["contrast"] - 40) / 80,
        1 - (facts["actor share"] - AREA[0]) / (AREA[1] - AREA[0]),
    )
    return float(np.dot(np.clip(parts, 0, 1), (0.3, 0.2, 0.2, 0.15, 0.15)))


@dataclass(frozen=True)
class _Script:
    """What is drawn before anything has a size: class, story, camera, light, and the streams for the rest."""

    label: int
    family: str
    back: bool
    draws: dict[str, float]
    camera: str
    shot: np.ndarray
    light: np.ndarray
    sigma: int


def _script(index: int, seed: int, label: int | None, ease: float, scene: str | None) -> _Script:
    label = _order(seed)[index % len(CLASSES)] if label is None else int(label)
    story = _stream(seed, index, 0)
    draws = dict(zip(_STORY, story.random(len(_STORY)).tolist(), strict=True))
    which, grain = story.random(2)
    camera = CAMERAS[int(which / CAMERA_CHANCE * 3)] if which < CAMERA_CHANCE and ease < 1 else "static"
    if scene is not None:
        camera = scene if scene in CAMERAS else "static"
    sigma = NOISY if scene == "noise" else int(grain * (1 - ease) * (NOISE + 1))
    return _Script(label, *_PLAYED[label], draws, camera, story.random(6), story.random(2), sigma)


def _backgrounds(
    seed: int, index: int, n: int, ease: float, scene: str | None
) -> tuple[list[np.ndarray], str]:
    ground = _stream(seed, index, 2)
    painted = [background(ground, n, ease) for _ in range(2 if scene == "cut" else 1)]
    return [picture for picture, _ in painted], painted[0][1]


def _cast(
    script: _Script, seed: int, index: int, time: np.ndarray, wide: float, ease: float, scene: str | None
) -> tuple[list[Thing], list[str], float]:
    """Everyone in the clip, from bottom to top, the distractors' kinds and the actors' least contrast."""
    cast = _stream(seed, index, 1)
    bodies = hire(script.family, cast, ease)
    ways = act(script.family, bodies, MOMENTS, script.draws)
    others = place_distractors(bodies, ways, cast, ease, busy=scene == "busy")
    # Colours are chosen on a background of one fixed size, or rounding would change them from size to size.
    pictures, _ = _backgrounds(seed, index, 48, ease, scene)
    everyone = bodies + [body for _, body, _, _ in others]
    places = [way.place[::16] for way in ways] + [place[None] for _, _, place, _ in others]
    looks = dress(everyone, places, script.family == "turn", cast, pictures, wide)
    tracks = act(script.family, bodies, time, script.draws)
    tracks += [distractor_track(kind, time, body, place, u) for kind, body, place, u in others]
    things = [
        Thing(look, body.side, track, k < len(bodies))
        for k, ((look, _), body, track) in enumerate(zip(looks, everyone, tracks, strict=True))
    ]
    contrast = min(contrast for _, contrast in looks[: len(bodies)])
    return things[len(bodies) :] + things[: len(bodies)], [kind for kind, *_ in others], contrast


def _check(index: int, frames: int, fps: float, label: int | None, ease: float, scene: str | None) -> None:
    if index < 0:
        raise ValueError(f"index {index} is negative")
    if frames < 2 or fps <= 0:
        raise ValueError(f"{frames} frames at {fps} per second are no clip")
    if label is not None and not 0 <= label < len(CLASSES):
        raise ValueError(f"label {label} is not one of the {len(CLASSES)} classes")
    if not 0 <= ease <= 1:
        raise ValueError(f"ease {ease} is outside 0..1")
    if scene is not None and scene not in SCENES:
        raise ValueError(f"scene {scene!r} is not one of {', '.join(SCENES)}")


def motion_clip(
    index: int,
    seed: int = 0,
    *,
    size: int | tuple[int, int] = 64,
    frames: int = 16,
    fps: float = 8.0,
    label: int | None = None,
    ease: float = 0.0,
    scene: str | None = None,
) -> MotionClip:
    """Make clip `index` of the benchmark's split `seed`; the same arguments always give the same clip.

    `size` is the side or (H,W) in pixels; in an oblong frame the story fills the middle square and shares of
    the frame mean shares of that square. `frames` is T; the story spans the clip, which lasts frames / fps
    seconds. `label` forces a class upon the same draws; by default any 16 consecutive indices hold each class
    once. `ease` 0..1 is for training curricula only: it enlarges actors and takes away distractors, texture,
    noise and camera motion. `scene` forces one of SCENES, for sample clips. Raises ValueError for an argument
    out of range, FileNotFoundError when scikit-image's packaged photographs are missing.
    """
    _check(index, frames, fps, label, ease, scene)
    height, width = _frame_size(size)
    unit = min(height, width)
    script = _script(index, seed, label, ease, scene)
    time = np.linspace(0.0, 1.0, frames)
    camera = film(script.camera, time, script.shot, ease)
    pictures, ground = _backgrounds(seed, index, background_px(height, width), ease, scene)
    wide = max(height, width) / unit + 2 * MARGIN
    things, kinds, contrast = _cast(script, seed, index, time, wide, ease, scene)
    shown, actor = render(
        pictures, frames // 2 if scene == "cut" else frames, things, camera, (height, width)
    )
    gains = light(time, script.light, ease, scene)
    add_noise(shown, gains, script.sigma, _stream(seed, index, 3))

    step = -1 if script.back else 1
    seen = np.column_stack([camera.shift * unit, camera.zoom]).astype(np.float32)
    shown, actor, seen = (np.ascontiguousarray(part[::step]) for part in (shown, actor, seen))
    visible = actor.any(axis=(1, 2))
    facts: dict[str, Any] = {
        "class": CLASSES[script.label], "background": ground, "camera": script.camera, "scene": scene,
        "distractors": kinds, "noise": script.sigma, "gain": float(gains[::step][-1] - gains[::step][0]),
        "contrast": contrast, "ease": ease, "seconds": frames / fps,
        "actor share": float(actor[visible].mean()) if visible.any() else 0.0,
    }  # fmt: skip
    return MotionClip(shown, script.label, actor, seen, _difficulty(facts), facts)


def batch(indices: Sequence[int], seed: int = 0, **same: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make several clips: frames uint8 (B,T,H,W,3), labels int64 (B,), actors bool (B,T,H,W).

    `same` goes to `motion_clip` for every index. Raises what `motion_clip` raises, ValueError for no index.
    """
    if not len(indices):
        raise ValueError("a batch needs at least one index")
    clip = motion_clip(int(indices[0]), seed, **same)
    frames, actors = (np.empty((len(indices), *part.shape), part.dtype) for part in (clip.frames, clip.actor))
    labels = np.empty(len(indices), np.int64)
    for k, index in enumerate(indices):
        clip = clip if k == 0 else motion_clip(int(index), seed, **same)
        frames[k], labels[k], actors[k] = clip.frames, clip.label, clip.actor  # while it is in the processor's cache
    return frames, labels, actors


# Name to (seed, index, label, scene): the gallery's clips, chosen by eye.
SAMPLES: dict[str, tuple[int, int, int | None, str | None]] = {
    "static camera": (7, 1, 0, "static"),
    "pan": (7, 2, 3, "pan"),
    "zoom": (7, 3, 4, "zoom"),
    "cut": (7, 4, 1, "cut"),
    "flicker": (7, 5, 6, "flicker"),
    "noise": (7, 6, 8, "noise"),
    "busy": (7, 7, 10, "busy"),
    "two things": (7, 8, 12, "static"),
}


def sample_clip(
    name: str, size: int | tuple[int, int] = 288, frames: int = 48, fps: float = 12
) -> MotionClip:
    """Make one of the gallery's SAMPLES; `size` as in `motion_clip`; raises KeyError for an unknown name."""
    seed, index, label, scene = SAMPLES[name]
    return motion_clip(index, seed, size=size, frames=frames, fps=fps, label=label, scene=scene)
