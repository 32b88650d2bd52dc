"""How claims are put into words, in varied wording over a closed vocabulary.

Knows words; does not know pixels, events or truth. WORDS is every word that can occur; a text encoder trained
on these captions knows no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from .claims import BEFORE, BEHIND, COLOURS, OPEN, PATTERNS, SHAPES, SIZES, UNSAID, Caption, State
from .dice import Dice

__all__ = ["WORDS", "describe", "vary"]

_NOUNS = {
    "disc": ("disc", "circle", "round"), "square": ("square", "box"), "triangle": ("triangle",),
    "bar": ("bar", "rectangle"), "star": ("star",), "cross": ("cross", "plus"),
    "ring": ("ring", "hoop", "donut"), "arrow": ("arrow",),
}  # fmt: skip
_ANY = ("thing", "shape", "object")
_SIZE_WORDS = {"small": ("small", "little", "tiny"), "medium": ("medium", "middle sized"),
               "large": ("large", "big", "huge")}  # fmt: skip
_BEFORE_NOUN = {"solid": ("plain", "solid"), "striped": ("striped", "stripy"), "dotted": ("dotted", "spotted"),
                "half": ("two tone", "half and half")}  # fmt: skip
_AFTER_NOUN = {"striped": ("with stripes",), "dotted": ("with dots", "with spots"),
               "half": ("in two tones",), "solid": ("without a pattern",)}  # fmt: skip
# Finite verbs for sentences, participles behind "there is ..." and where two things are told of.
_VERBS = {
    "still": ("stands still", "sits", "rests", "lies", "is"), "shaking": ("shakes", "trembles", "is shaking"),
    "rotating": ("rotates", "turns", "spins", "is rotating"), "growing": ("grows", "gets bigger", "is growing"),
    "shrinking": ("shrinks", "gets smaller", "is shrinking"),
}  # fmt: skip
_PARTICIPLES = {
    "still": ("standing still", "resting", "that stays"), "shaking": ("shaking", "trembling"),
    "rotating": ("rotating", "turning", "spinning"), "growing": ("growing", "getting bigger"),
    "shrinking": ("shrinking", "getting smaller"),
}  # fmt: skip
_GOING, _AS_GOING = ("drifts", "moves", "is moving", "slides"), ("drifting", "moving", "sliding")
_WAYS = {"left": "to the left", "right": "to the right", "up": "up", "down": "down"}
_OPENERS = ("", "", "", "", "there is", "we see", "a picture of", "a video of", "this shows", "look for")
_RELATIONS = {
    (0, BEFORE): ("left of", "to the left of"), (0, BEHIND): ("right of", "to the right of"),
    (1, BEFORE): ("above", "over"), (1, BEHIND): ("below", "under"),
}  # fmt: skip
_JOINS = ("and", "next to", "with", "beside", "together with")
_EMPTY = ("an empty scene", "nothing is there", "an empty background", "no object at all", "only the background",
          "a scene without any shape", "nothing to see")  # fmt: skip


@lru_cache(maxsize=1)
def _words() -> tuple[str, ...]:
    tables = [_NOUNS, _SIZE_WORDS, _BEFORE_NOUN, _AFTER_NOUN, _VERBS, _PARTICIPLES]
    spoken: list[str] = [*COLOURS, *_ANY, *_GOING, *_AS_GOING, *_WAYS.values(), *_OPENERS, *_JOINS, *_EMPTY]
    for table in tables:
        spoken += [phrase for phrases in table.values() for phrase in phrases]
    spoken += [phrase for phrases in _RELATIONS.values() for phrase in phrases]
    spoken += ["a an the one on in at near side corner of middle center centre upper lower half top bottom"]
    return tuple(sorted({word for phrase in spoken for word in phrase.split()}))


WORDS: tuple[str, ...] = _words()


def _place(column: int, row: int, dice: Dice) -> str:
    """A place in words; at least one of column and row is said."""
    if (column, row) == (1, 1):
        return dice.pick(("in the middle", "in the center", "in the centre"))
    sides = {0: ("left", "top"), 2: ("right", "bottom")}
    if column in sides and row in sides:
        upper = dice.pick((sides[row][1], "upper" if row == 0 else "lower"))
        return dice.pick(("in the {} {} corner", "at the {} {}", "in the {} {}")).format(upper, sides[column][0])
    side = sides[column][0] if column in sides else sides[row][1]
    return dice.pick(("on the {}", "at the {}", "at the {} side", "near the {}")).format(side)


def _noun_phrase(said: Sequence[int], dice: Dice) -> str:
    """Attributes in words without the place."""
    colour, shape, pattern, size = said[:4]
    words = [dice.pick(("a", "a", "a", "the", "one"))]
    if size != UNSAID:
        words.append(dice.pick(_SIZE_WORDS[SIZES[size]]))
    behind = pattern != UNSAID and dice.roll() < 0.3
    front = [COLOURS[colour]] if colour != UNSAID else []
    if pattern != UNSAID and not behind:
        front.insert(int(dice.roll() * (len(front) + 1)), dice.pick(_BEFORE_NOUN[PATTERNS[pattern]]))
    noun = dice.pick(_NOUNS[SHAPES[shape]]) if shape != UNSAID else dice.pick(_ANY)
    words += [*front, *([noun, dice.pick(_ANY)] if noun == "round" else [noun])]
    if behind:
        words.append(dice.pick(_AFTER_NOUN[PATTERNS[pattern]]))
    text = " ".join(words)
    return "an" + text[1:] if text.startswith(("a o", "a a")) else text


def _one(said: Sequence[int], motion: str | None, finite: bool, dice: Dice) -> str:
    """One object with its motion (None: not said), as a finite verb or a participle, and place."""
    parts = [_noun_phrase(said, dice)]
    if motion is not None:
        if motion in _WAYS:
            parts.append(f"{dice.pick(_GOING if finite else _AS_GOING)} {_WAYS[motion]}")
        else:
            parts.append(dice.pick((_VERBS if finite else _PARTICIPLES)[motion]))
    if said[4] != UNSAID or said[5] != UNSAID:
        parts.append(_place(said[4], said[5], dice))
    return " ".join(parts)


def _choose(facts: Sequence[int], wordy: float, dice: Dice) -> tuple[int, ...]:
    """What to say of an object: at least its colour or shape; columns and rows as words can put them."""
    chances = (0.6 + 0.4 * wordy, 0.6 + 0.4 * wordy, 0.2 + 0.8 * wordy, 0.1 + 0.8 * wordy)
    said = [f if f != OPEN and dice.roll() < c else UNSAID for f, c in zip(facts[:4], chances, strict=True)]
    if said[0] == said[1] == UNSAID:
        said[0] = facts[0]
    column, row = facts[4:]
    if dice.roll() > 0.3 + 0.7 * wordy or (column == row == OPEN):
        return (*said, UNSAID, UNSAID)
    # "On the left" says nothing of the row; only the middle and the corners say both.
    corner = column in (0, 2) and row in (0, 2) and dice.roll() < 0.2 + 0.8 * wordy
    if (column, row) == (1, 1) or corner:
        return (*said, column, row)
    if column in (0, 2) and (row not in (0, 2) or dice.roll() < 0.5):
        return (*said, column, UNSAID)
    return (*said, UNSAID, row) if row in (0, 2) else (*said, UNSAID, UNSAID)


def _sentence(
    objects: Sequence[Sequence[int]], relation: tuple[int, int], motions: Sequence[str | None], dice: Dice
) -> str:
    """The claims in words; no object means an empty scene."""
    if not objects:
        return dice.pick(_EMPTY)
    opener = dice.pick(_OPENERS)
    finite = len(objects) == 1 and not opener
    parts = [_one(said, motion, finite, dice) for said, motion in zip(objects, motions, strict=True)]
    if len(parts) == 2:
        axis = 0 if relation[0] else 1
        join = dice.pick(_RELATIONS[axis, relation[axis]] if any(relation) else _JOINS)
        link = "is " if any(relation) and not opener and motions[0] is None and dice.roll() < 0.6 else ""
        parts = [f"{parts[0]} {link}{join} {parts[1]}"]
    return f"{opener} {parts[0]}".strip()


def _relation(state: State, dice: Dice) -> tuple[int, int]:
    """One axis of the relation that can be told, or none."""
    told = [axis for axis in (0, 1) if state.relation[axis] in (BEFORE, BEHIND)]
    if not told or dice.roll() < 0.4:
        return (0, 0)
    axis = dice.pick(told)
    return (state.relation[0], 0) if axis == 0 else (0, state.relation[1])


def describe(state: State, wordy: float, dice: Dice) -> Caption:
    """A caption that is true of a state; `wordy` 0..1 says how much of it is told."""
    order = list(range(len(state.objects)))
    if len(order) == 2 and dice.roll() < 0.5:
        order = order[::-1]
    if len(order) == 2 and dice.roll() > 0.5 + 0.5 * wordy:
        order = order[:1]
    relation = _relation(state, dice) if len(order) == 2 else (0, 0)
    if order == [1, 0]:
        relation = (-relation[0], -relation[1])
    said = [_choose(state.objects[k], wordy, dice) for k in order]
    if any(relation):  # "a disc on the left above a star" would leave open what is above
        said = [(*row[:4], UNSAID, UNSAID) for row in said]
    motions: list[str | None] = []
    for k, row in zip(order, said, strict=True):
        # A pair's sentence has room for the motion or the place of each.
        room = len(order) == 1 or (not any(relation) and row[4] == row[5] == UNSAID)
        motions.append(state.motions[k] if dice.roll() < 0.5 and room else None)
    return Caption(_sentence(said, relation, motions, dice), tuple(said), relation)


def _another(said: Sequence[int], slot: int, dice: Dice) -> tuple[int, ...]:
    """The claims with another value in one slot; a side becomes the opposite one, the middle any side."""
    row = list(said)
    if slot < 4:
        count = (len(COLOURS), len(SHAPES), len(PATTERNS), len(SIZES))[slot]
        row[slot] = (row[slot] + 1 + int(dice.roll() * (count - 1))) % count
    elif (row[4], row[5]) == (1, 1):
        row[4:] = dice.pick(((0, UNSAID), (2, UNSAID), (UNSAID, 0), (UNSAID, 2)))
    else:
        row[slot] = 2 - row[slot]
    return tuple(row)


def vary(caption: Caption, allowed: frozenset[tuple[int, int]], dice: Dice) -> Caption:
    """A caption that differs in one claim, and so is mostly false of what the first one described.

    A colour and a shape said of one object stay among the `allowed` (colour, shape) pairs. An empty scene's
    caption comes back in other words.
    """
    slots = [(k, slot) for k, row in enumerate(caption.objects) for slot in range(6) if row[slot] != UNSAID]
    relation = caption.relation
    objects = caption.objects
    if any(relation) and dice.roll() < 0.4:
        relation = (-relation[0], -relation[1])
    elif slots:
        for _ in range(8):
            k, slot = dice.pick(slots)
            row = _another(caption.objects[k], slot, dice)
            if UNSAID in row[:2] or row[:2] in allowed:
                objects = (*caption.objects[:k], row, *caption.objects[k + 1 :])
                break
    return Caption(_sentence(objects, relation, [None] * len(objects), dice), objects, relation)
