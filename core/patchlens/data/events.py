"""One event: one or two painted objects at a place, at rest or moving, and what is true of every frame of it.

Knows geometry, the combinations each split may use, and when a place or a size can be told although a thing
moves. Does not know words, backgrounds, cameras or pixels. Lengths are in frame sides, `share` (T,) runs from
0 at an event's start to 1 at its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .claims import BEFORE, BEHIND, COLOURS, NEITHER, OPEN, PATTERNS, SHAPES, SIZES, State
from .dice import Dice
from .drawing import Track

__all__ = ["RGB", "SPLITS", "Prop", "allowed", "draw_props", "state_of", "track"]

SPLITS = ("train", "validation", "test")
RGB = {
    "red": (210, 35, 35), "orange": (245, 140, 25), "yellow": (240, 225, 55), "green": (45, 160, 60),
    "blue": (45, 80, 215), "purple": (140, 50, 175), "white": (242, 242, 242), "black": (22, 22, 22),
}  # fmt: skip
# Box sides by size; bars and arrows are drawn longer, for they are thin.
SIDES = {"small": (0.16, 0.2), "medium": (0.25, 0.3), "large": (0.37, 0.43)}
THIN = {"bar": 1.2, "arrow": 1.15, "cross": 1.08}
CELLS, SPREAD, BORDER = (0.22, 0.5, 0.78), 0.045, (0.36, 0.64)
MOTION_SHARES = (("still", 0.45), ("drift", 0.67), ("shaking", 0.79), ("rotating", 0.91), ("scaling", 1.0))
PAIR_CHANCE = 0.5
APART, LEVEL = 0.18, 0.08
MOMENTS = np.linspace(0.0, 1.0, 17)


@dataclass(frozen=True)
class Prop:
    """One object: indices of its colour, shape, pattern and size, its geometry and its motion.

    `at` is the middle of its way and `side` its box side at `scale` 1; `way` (dx, dy) how far a drifting one
    goes; `amount` how far it shakes (sides) or turns (radians) or the log of its final scale; `cycles` shakes
    per event; `tint` shifts its colour by grey levels; `bands` counts stripes or dots.
    """

    colour: int
    shape: int
    pattern: int
    size: int
    motion: str
    at: tuple[float, float]
    side: float
    tilt: float
    way: tuple[float, float] = (0.0, 0.0)
    amount: float = 0.0
    cycles: float = 0.0
    tint: tuple[float, float, float] = (0.0, 0.0, 0.0)
    bands: float = 3.0


@lru_cache(maxsize=len(SPLITS))
def allowed(split: str) -> frozenset[tuple[int, int]]:
    """The (colour, shape) pairs of a split: 40 for train, 8 for validation, 16 for test, none shared.

    Every split holds every colour and every shape. Raises ValueError for an unknown split.
    """
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is not one of {', '.join(SPLITS)}")
    residues = {"train": (0, 2, 3, 5, 6), "validation": (7,), "test": (1, 4)}[split]
    count = len(COLOURS)
    pairs = ((c, s) for c in range(count) for s in range(len(SHAPES)))
    return frozenset((c, s) for c, s in pairs if (c + 3 * s) % count in residues)


@lru_cache(maxsize=len(SPLITS))
def _pairs(split: str) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(allowed(split)))


def _move(prop: dict, seconds: float, dice: Dice) -> None:
    """Choose a motion and its strength for an event that lasts `seconds`."""
    roll = dice.roll()
    kind = next(name for name, until in MOTION_SHARES if roll < until)
    prop["motion"] = kind
    if kind == "drift":
        ways = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
        name, length = dice.pick(tuple(ways)), dice.between(0.25, 0.5)
        prop["motion"], prop["way"] = name, tuple(length * part for part in ways[name])
        axis = 0 if name in ("left", "right") else 1
        at = list(prop["at"])
        at[axis] = 0.5 + dice.between(-0.12, 0.12)
        prop["at"] = tuple(at)
    elif kind == "shaking":
        prop["amount"], prop["cycles"] = dice.between(0.012, 0.03), seconds * dice.between(0.8, 1.6)
    elif kind == "rotating":
        prop["amount"] = seconds * dice.between(0.25, 0.8) * dice.pick((-1, 1))
    elif kind == "scaling":
        prop["motion"] = dice.pick(("growing", "shrinking"))
        prop["amount"] = dice.between(0.5, 0.8) * (1 if prop["motion"] == "growing" else -1)
        prop["size"] = 1


def _prop(pair: tuple[int, int], cell: int, seconds: float, dice: Dice) -> Prop:
    colour, shape = pair
    name = SHAPES[shape]
    spot = (CELLS[cell % 3] + dice.between(-SPREAD, SPREAD), CELLS[cell // 3] + dice.between(-SPREAD, SPREAD))
    prop = {"at": spot, "size": int(dice.roll() * len(SIZES)), "pattern": int(dice.roll() * len(PATTERNS))}
    _move(prop, seconds, dice)
    turned = name in ("bar", "arrow", "disc", "ring", "star")
    return Prop(
        colour, shape, side=dice.between(*SIDES[SIZES[prop["size"]]]) * THIN.get(name, 1.0),
        tilt=dice.between(0, 2 * np.pi) if turned else dice.between(-0.3, 0.3), bands=dice.between(2.6, 3.6),
        tint=(dice.between(-14, 14), dice.between(-14, 14), dice.between(-14, 14)), **prop,
    )  # fmt: skip


def track(prop: Prop, share: np.ndarray) -> Track:
    """Where a prop is at `share` (T,) of its event, fully visible."""
    count = len(share)
    place = np.array(prop.at) + (share[:, None] - 0.5) * np.array(prop.way)
    angle, scale = np.full(count, prop.tilt), np.ones(count)
    if prop.motion == "shaking":
        place = place + prop.amount * np.sin(2 * np.pi * (prop.cycles * share[:, None] + (0.0, 0.3)))
    elif prop.motion == "rotating":
        angle = angle + prop.amount * share
    elif prop.motion in ("growing", "shrinking"):
        scale = np.exp((share - 0.5) * prop.amount)
    return Track(place, angle, scale, np.ones(count))


def _crowding(one: Prop, other: Prop) -> float:
    """How far two props overlap at worst, in sides; negative when they stay apart."""
    a, b = track(one, MOMENTS), track(other, MOMENTS)
    gap = np.hypot(*(a.place - b.place).T)
    return float((0.5 * (one.side * a.scale + other.side * b.scale) - gap).max())


def draw_props(split: str, seconds: float, dice: Dice) -> tuple[Prop, ...]:
    """One or two props of a split's combinations, the second one of another colour and shape, not overlapping.

    Draws anew until two fit side by side; after twelve tries the first stays alone.
    """
    pairs = _pairs(split)
    first = _prop(dice.pick(pairs), int(dice.roll() * 9), seconds, dice)
    if dice.roll() >= PAIR_CHANCE:
        return (first,)
    for _ in range(12):
        pair = dice.pick(pairs)
        if pair[0] == first.colour or pair[1] == first.shape:
            continue
        second = _prop(pair, int(dice.roll() * 9), seconds, dice)
        if _crowding(first, second) < 0:
            return (first, second)
    return (first,)


def _cell(values: np.ndarray) -> int:
    """The third of the frame that places (T,) stay in, or OPEN when they leave it."""
    cells = np.searchsorted(BORDER, (values.min(), values.max()))
    return int(cells[0]) if cells[0] == cells[1] else OPEN


def _side_of(gap: np.ndarray) -> int:
    """The relation along one axis from gaps (T,), second minus first; 0 when it cannot be told."""
    if gap.min() > APART:
        return BEFORE
    if gap.max() < -APART:
        return BEHIND
    return NEITHER if np.abs(gap).max() < LEVEL else 0


def state_of(props: tuple[Prop, ...]) -> State:
    """What is true of every frame of an event with these props."""
    ways = [track(prop, MOMENTS).place for prop in props]
    objects = []
    for prop, way in zip(props, ways, strict=True):
        size = OPEN if prop.motion in ("growing", "shrinking") else prop.size
        objects.append((prop.colour, prop.shape, prop.pattern, size, _cell(way[:, 0]), _cell(way[:, 1])))
    relation = (0, 0)
    if len(props) == 2:
        gap = ways[1] - ways[0]
        relation = (_side_of(gap[:, 0]), _side_of(gap[:, 1]))
    return State(tuple(objects), relation, tuple(prop.motion for prop in props))
