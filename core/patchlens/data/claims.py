"""What is true of a frame and what a caption claims: six attributes per object, a relation, three-valued truth.

Knows truth only: not words, not pixels, not time. Three values are needed because some things cannot be told
of every frame (the column of a thing that drifts across): 1 true, 0 false, 0.5 open.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["ABSENT", "ATTRIBUTES", "BEFORE", "BEHIND", "EMPTY", "MOTIONS", "NEITHER", "OPEN", "UNSAID", "Caption",
           "State", "truth"]  # fmt: skip

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black")
SHAPES = ("disc", "square", "triangle", "bar", "star", "cross", "ring", "arrow")
PATTERNS = ("solid", "striped", "dotted", "half")
SIZES = ("small", "medium", "large")
COLUMNS, ROWS = ("left", "centre", "right"), ("top", "centre", "bottom")
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "colour": COLOURS, "shape": SHAPES, "pattern": PATTERNS, "size": SIZES, "column": COLUMNS, "row": ROWS,
}  # fmt: skip
MOTIONS = ("still", "left", "right", "up", "down", "shaking", "rotating", "growing", "shrinking")
# In a state: this attribute cannot be told; there is no such object. In a claim: not said.
OPEN, ABSENT, UNSAID = -1, -2, -1
# A relation of the first object to the second: before (left of, above), behind, neither, cannot be told.
BEFORE, BEHIND, NEITHER = 1, -1, 2


@dataclass(frozen=True)
class State:
    """What is true of an event's frames.

    `objects` holds (colour, shape, pattern, size, column, row) per object, indices into ATTRIBUTES or OPEN;
    `relation` the (horizontal, vertical) relation of the first to the second; `motions` a name of MOTIONS
    each. No object at all means an empty scene.
    """

    objects: tuple[tuple[int, ...], ...]
    relation: tuple[int, int] = (0, 0)
    motions: tuple[str, ...] = ()

    @property
    def codes(self) -> tuple[int, ...]:
        """14 numbers: two objects' attributes, then the relation."""
        rows = [*self.objects, *[(ABSENT,) * 6] * (2 - len(self.objects))]
        return (*rows[0], *rows[1], *self.relation)


EMPTY = State(())


@dataclass(frozen=True)
class Caption:
    """A sentence and what it claims: attributes per object said (UNSAID where left out) and their relation."""

    text: str
    objects: tuple[tuple[int, ...], ...]
    relation: tuple[int, int] = (0, 0)

    @property
    def codes(self) -> tuple[int, ...]:
        """14 numbers like State.codes."""
        rows = [*self.objects, *[(ABSENT,) * 6] * (2 - len(self.objects))]
        return (*rows[0], *rows[1], *self.relation)


def _agree(claims: np.ndarray, facts: np.ndarray) -> np.ndarray:
    """Truth of one described object (C,6) of one object (F,6), as (C,F)."""
    said = claims[:, None, :]
    value = np.where(said == facts[None], 1.0, np.where(facts[None] == OPEN, 0.5, 0.0))
    return np.where(said == UNSAID, 1.0, value).min(-1) * (facts[None, :, 0] != ABSENT)


def _relate(claims: np.ndarray, facts: np.ndarray, flip: int) -> np.ndarray:
    """Truth of relations (C,2) of relations (F,2), as (C,F); `flip` is -1 for the swapped pair."""
    fact = np.where(np.abs(facts) == 1, facts * flip, facts)[None]
    said = claims[:, None]
    value = np.where(said == fact, 1.0, np.where(fact == 0, 0.5, 0.0))
    return np.where(said == 0, 1.0, value).min(-1)


def truth(claims: np.ndarray, facts: np.ndarray) -> np.ndarray:
    """Whether captions are true of frames: codes (C,14) and (F,14) to float (C,F) of 1, 0 or 0.5 for open.

    A caption is true when the objects it speaks of can be matched to different objects of the frame; a frame
    may hold more than is said.
    """
    one, two = claims[:, :6], claims[:, 6:12]
    a, b = facts[:, :6], facts[:, 6:12]
    single = np.maximum(_agree(one, a), _agree(one, b))
    straight = np.minimum(_agree(one, a), _agree(two, b))
    swapped = np.minimum(_agree(one, b), _agree(two, a))
    straight = np.minimum(straight, _relate(claims[:, 12:], facts[:, 12:], 1))
    swapped = np.minimum(swapped, _relate(claims[:, 12:], facts[:, 12:], -1))
    value = np.where((two[:, 0] == ABSENT)[:, None], single, np.maximum(straight, swapped))
    nothing = (facts[:, 0] == ABSENT)[None].astype(float)
    return np.where((one[:, 0] == ABSENT)[:, None], nothing, value)
