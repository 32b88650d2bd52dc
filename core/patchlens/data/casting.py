"""Who is in a clip: the acting bodies of each family, the distractors around them, and everyone's colours.

Knows the fixed default difficulty of sizes and numbers, and how to keep distractors out of the actors' way
and colours off the background's. Does not know classes, cameras or frames. Lengths are in frame sides.
"""

from __future__ import annotations

import cv2
import numpy as np

from .drawing import Track
from .looks import PATTERNS, SHAPES, Look, palette
from .stories import Body, Draws, one_body, reach, spread, two_bodies

__all__ = ["AREA", "DISTRACTORS", "MOST_DISTRACTORS", "NOISE", "act", "dress", "hire", "place_distractors"]

# The default difficulty. Fixed: a score on the benchmark means these numbers.
AREA = (0.015, 0.06)
PAIR_AREA = (0.015, 0.045)
COVERED_AREA = (0.015, 0.02)
MOST_DISTRACTORS = 4
DISTRACTOR_CHANCE = 0.5
DISTRACTORS = ("standing", "drifting", "jittering", "flickering")
NOISE = 14
LEAST_AREA = 0.012
# What `ease` = 1 leads to, in training curricula only.
EASY_AREA, EASY_COVERED = (0.06, 0.12), (0.03, 0.04)
# No box is longer than this, so that every path still fits; it binds only for easy clips.
LONGEST = 0.44

COVERED = ("disc", "square", "bar", "star", "cross", "ring")
COVERS = ("square", "disc")
PLACES, COLOURS = 8, 10


def _between(usual: tuple[float, float], easy: tuple[float, float], ease: float, draw: float) -> float:
    return spread(draw, *(spread(ease, u, e) for u, e in zip(usual, easy, strict=True)))


def _body(draws: np.ndarray, area: float, names: tuple[str, ...]) -> Body:
    """A body of an area (in squared sides), its shape and tilt from `draws` (2,)."""
    name = names[int(draws[0] * len(names))]
    return Body(name, min(float(np.sqrt(area / SHAPES[name].area)), LONGEST), float(2 * np.pi * draws[1]))


def _cover(draws: np.ndarray, hidden: Body, area: float) -> Body:
    """A body at least as large as `area` and large enough to hide `hidden` when it lies on it."""
    name = COVERS[int(draws[0] * len(COVERS))]
    outline = SHAPES[hidden.shape].outline
    need = SHAPES[hidden.shape].span if name == "disc" else 2 * float(np.abs(outline).max())
    side = max(1.04 * need * hidden.side, float(np.sqrt(area / SHAPES[name].area)))
    return Body(name, side, hidden.tilt)


def hire(family: str, cast: np.random.Generator, ease: float) -> list[Body]:
    """The acting bodies of a family, the lower one first; draws six numbers whatever the family."""
    u = cast.random((2, 3))
    every = tuple(SHAPES)
    if family == "cover":
        one = _body(u[0, 1:], _between(COVERED_AREA, EASY_COVERED, ease, u[0, 0]), COVERED)
        return [one, _cover(u[1, 1:], one, _between(PAIR_AREA, EASY_AREA, ease, u[1, 0]))]
    if family == "meet":
        return [_body(row[1:], _between(PAIR_AREA, EASY_AREA, ease, row[0]), every) for row in u]
    return [_body(u[0, 1:], _between(AREA, EASY_AREA, ease, u[0, 0]), every)]


def act(family: str, bodies: list[Body], time: np.ndarray, draws: Draws) -> list[Track]:
    """The tracks of a family's bodies at `time` (T,) in 0..1; raises ValueError for an unknown family."""
    if len(bodies) == 2:
        return two_bodies(family, time, bodies[0], bodies[1], draws)
    return [one_body(family, time, bodies[0], draws)]


def _clearances(places: np.ndarray, own: float, taken: list[tuple[np.ndarray, float]]) -> np.ndarray:
    """For each place (K,2), the least gap between a body that reaches `own` far and paths `taken` (P,2)."""
    gaps = [
        np.hypot(*(places[:, None] - path[None]).transpose(2, 0, 1)).min(axis=1) - 0.9 * (far + own)
        for path, far in taken
    ]
    return np.min(gaps, axis=0)


def place_distractors(
    actors: list[Body], ways: list[Track], cast: np.random.Generator, ease: float, busy: bool
) -> list[tuple[str, Body, np.ndarray, np.ndarray]]:
    """Distractors as (kind, body, place (2,), draws (4,)): binomial(4, 1/2) many, four when `busy`.

    `ways` are the actors' tracks at MOMENTS; `ease` takes distractors away. Each takes the first of eight
    drawn places that is clear of the actors' whole way and of the others, else the clearest one, and is made
    smaller there as far as its least area allows.
    """
    u, places = cast.random((MOST_DISTRACTORS, 9)), 0.08 + 0.84 * cast.random((MOST_DISTRACTORS, PLACES, 2))
    count = MOST_DISTRACTORS if busy else round(float((u[:, 0] < DISTRACTOR_CHANCE).sum()) * (1 - ease))
    taken = [
        (way.place[::4], reach(body) * float(way.scale.max())) for body, way in zip(actors, ways, strict=True)
    ]
    others = []
    for row, choice in zip(u[:count], places[:count], strict=True):
        body = _body(row[3:5], spread(row[2], *AREA), tuple(SHAPES))
        gaps = _clearances(choice, reach(body), taken)
        best = int(np.argmax(gaps > 0.01)) if gaps.max() > 0.01 else int(gaps.argmax())
        if gaps[best] < 0:
            least = np.sqrt(LEAST_AREA / SHAPES[body.shape].area) / body.side
            shrunk = body.side * float(np.clip(1 + gaps[best] / reach(body), least, 1))
            body = Body(body.shape, shrunk, body.tilt)
        others.append((DISTRACTORS[int(row[1] * len(DISTRACTORS))], body, choice[best], row[5:9]))
        taken.append((choice[best][None], reach(body)))
    return others


def _under(places: np.ndarray, small: list[np.ndarray], wide: float) -> np.ndarray:
    """Background colours (S,3) at places (P,2), from pictures (16,16,3) that are `wide` frame sides wide."""
    cells = np.clip(((places - 0.5) / wide + 0.5) * 16, 0, 15).astype(int)
    return np.concatenate([picture[cells[:, 1], cells[:, 0]] for picture in small]).astype(np.float64)


def _look(
    body: Body, u: np.ndarray, colours: np.ndarray, under: np.ndarray, turns: bool
) -> tuple[Look, float]:
    """Paint for a body from `u` (3,) and `colours` (K,3) over background colours (S,3), and its contrast."""
    (first, second), contrast = palette(colours, under)
    pattern = PATTERNS[int(u[0] * len(PATTERNS))]
    if turns and not SHAPES[body.shape].turns:
        pattern = "half"
    dark = under.mean() > 127
    # An outline leaves little of a small thing's pattern, which is what shows that it turns.
    outlined = contrast < 45 or (u[1] < 0.4 and not turns)
    edge = ((15, 15, 15) if dark else (240, 240, 240)) if outlined else None
    return Look(body.shape, pattern, first, second, edge, 2.5 + 2 * u[2]), contrast


def dress(
    bodies: list[Body],
    ways: list[np.ndarray],
    turning: bool,
    cast: np.random.Generator,
    pictures: list[np.ndarray],
    wide: float,
) -> list[tuple[Look, float]]:
    """Paint everyone from one distribution of looks: each look and its contrast in grey levels.

    `ways` are the places (P,2) of each body, `pictures` the backgrounds uint8 (n,n,3), `wide` frame sides
    wide with the unit square in their middle; `turning` says that the first body must show its rotation.
    """
    small = [cv2.resize(picture, (16, 16), interpolation=cv2.INTER_AREA) for picture in pictures]
    u, colours = cast.random((MOST_DISTRACTORS + 2, 3)), cast.random((MOST_DISTRACTORS + 2, COLOURS, 3))
    return [
        _look(body, u[k], colours[k], _under(way, small, wide), turning and k == 0)
        for k, (body, way) in enumerate(zip(bodies, ways, strict=True))
    ]
