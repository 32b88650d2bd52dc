"""The benchmark `scenes`: untrimmed procedural videos of captioned events with known spans.

Knows how a video is cut into shots, events and gaps, and how any moment of it is drawn on its own. Does not
know models. Everything follows from (seed, index, split): a story never depends on the size or the times asked
for. Splits share every colour, shape, pattern, size and place, and no (colour, shape) combination.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .claims import Caption, State, truth
from .dice import Dice
from .events import SPLITS, Prop, allowed, draw_props, state_of
from .staging import Shot, draw_shot, shoot, stream
from .wording import describe

__all__ = ["EVENT_SECONDS", "FPS", "SAMPLES", "SECONDS", "Event", "Scene", "excerpt", "scene", "scene_frames"]

FPS = 3.0
SECONDS, EVENT_SECONDS, GAP_SECONDS = (60.0, 180.0), (6.0, 30.0), (2.0, 8.0)
# How one event is followed by the next: a cut, on the same backdrop at once, after a gap, after a gap and a cut.
TRANSITIONS = (("cut", 0.35), ("same", 0.55), ("gap", 0.8), ("gap and cut", 1.0))
MOST_CAPTIONS = 3
TRIES = 40
_SCENE, _STORY, _SHOT = 71, 0, 1


@dataclass(frozen=True)
class Event:
    """What happens from `start` to `end` (seconds, end exclusive): props, what is true of them, and captions."""

    start: float
    end: float
    shot: int
    props: tuple[Prop, ...]
    state: State
    captions: tuple[Caption, ...]
    fades: bool

    @property
    def span(self) -> tuple[float, float]:
        """(start, end) in seconds."""
        return self.start, self.end


@dataclass(frozen=True)
class Scene:
    """One video: `duration` seconds, its shots end to end, its events in order, empty time between some."""

    index: int
    seed: int
    split: str
    duration: float
    shots: tuple[Shot, ...]
    events: tuple[Event, ...]

    @property
    def cuts(self) -> tuple[float, ...]:
        """Times in seconds at which the backdrop changes at once."""
        return tuple(shot.start for shot in self.shots[1:])

    @property
    def queries(self) -> tuple[tuple[str, tuple[float, float]], ...]:
        """Every caption with the span it is true of, and no other event of this video is."""
        return tuple((caption.text, event.span) for event in self.events for caption in event.captions)

    def times(self, fps: float = FPS) -> np.ndarray:
        """Times of frames 0, 1/fps, ... before the end, float64 (T,)."""
        return np.arange(int(np.ceil(self.duration * fps - 1e-9))) / fps


def _telling(state: State, dice: Dice) -> list[Caption]:
    """One to three captions of a state, the first one the wordiest."""
    count = 1 + int(dice.roll() * MOST_CAPTIONS)
    return [describe(state, 1.0 if k == 0 else dice.between(0.2, 0.9), dice) for k in range(count)]


def _codes(items: Sequence[State | Caption]) -> np.ndarray:
    return np.array([item.codes for item in items]).reshape(-1, 14)


def _cast(
    split: str, seconds: float, others: list[tuple[State, list[Caption]]], dice: Dice
) -> tuple[tuple[Prop, ...], State, list[Caption]] | None:
    """Props and captions that cannot be taken for another event of the video; None when forty tries fail."""
    states = _codes([state for state, _ in others])
    spoken = _codes([caption for _, captions in others for caption in captions])
    for _ in range(TRIES):
        props = draw_props(split, seconds, dice)
        state = state_of(props)
        if truth(spoken, _codes([state])).any():
            continue
        told = _telling(state, dice)
        clear = [c for c, row in zip(told, truth(_codes(told), states), strict=True) if not row.any()]
        if clear and clear[0] is told[0]:
            return props, state, list({caption.text: caption for caption in clear}.values())
    return None


def _plan(duration: float, dice: Dice) -> tuple[list[tuple[float, float, int]], list[float]]:
    """Spans of events as (start, end, shot number), and the times at which shots start."""
    now = dice.between(*GAP_SECONDS) if dice.roll() < 0.4 else 0.0
    starts, spans = [0.0], []
    low, high = EVENT_SECONDS
    while duration - now >= low:
        length = low * (high / low) ** dice.roll()
        end = round(min(now + length, duration), 2)
        spans.append((round(now, 2), end, len(starts) - 1))
        roll = dice.roll()
        follow = next(name for name, until in TRANSITIONS if roll < until)
        now = end + (dice.between(*GAP_SECONDS) if "gap" in follow else 0.0)
        if "cut" in follow and now < duration:
            starts.append(round(end + (now - end) * dice.roll(), 2))
    return spans, starts


def scene(index: int, seed: int = 0, split: str = "train") -> Scene:
    """Make video `index` of a split's stream `seed`; the same arguments always give the same video.

    Captions of one video are true of their own event only. Raises ValueError for a negative index or an unknown
    split.

        video = scene(0, seed=3, split="test")
        frames = scene_frames(video, video.times())
    """
    if index < 0:
        raise ValueError(f"index {index} is negative")
    allowed(split)
    key = (_SCENE, seed, SPLITS.index(split), index)
    dice = Dice(stream(*key, _STORY))
    duration = round(dice.between(*SECONDS), 2)
    spans, starts = _plan(duration, dice)
    ends = [*starts[1:], duration]
    shots = tuple(
        draw_shot((*key, _SHOT, k), start, end) for k, (start, end) in enumerate(zip(starts, ends, strict=True))
    )
    events: list[Event] = []
    for start, end, shot in spans:
        others = [(event.state, list(event.captions)) for event in events]
        cast = _cast(split, end - start, others, dice)
        if cast is not None:
            props, state, captions = cast
            events.append(Event(start, end, shot, props, state, tuple(captions), dice.roll() < 0.3))
    return Scene(index, seed, split, duration, shots, tuple(events))


def _stretches(video: Scene) -> list[tuple[float, float, Shot, Event | None]]:
    """The video end to end: (start, end, shot, event or None), each within one shot."""
    edges = sorted({0.0, video.duration, *video.cuts, *(t for event in video.events for t in event.span)})
    out = []
    for start, end in zip(edges[:-1], edges[1:], strict=True):
        event = next((e for e in video.events if e.start <= start < e.end), None)
        shot = next(s for s in reversed(video.shots) if s.start <= start)
        out.append((start, end, shot, event))
    return out


def scene_frames(video: Scene, times: Sequence[float] | np.ndarray, size: int = 96) -> np.ndarray:
    """Draw the video at `times` (seconds, any order): uint8 (T,size,size,3).

    Every frame depends on its own time only, so a video can be drawn in pieces and at any rate. Raises
    ValueError for a time outside the video.
    """
    times = np.asarray(times, dtype=np.float64)
    if len(times) and not (times.min() >= 0 and times.max() < video.duration):
        raise ValueError(f"times {times.min():g} to {times.max():g} s are outside 0 to {video.duration:g} s")
    frames = np.empty((len(times), size, size, 3), np.uint8)
    for start, end, shot, event in _stretches(video):
        at = np.flatnonzero((times >= start) & (times < end))
        if len(at):
            props, span, fades = ((), (start, end), False) if event is None else (event.props, event.span, event.fades)
            frames[at] = shoot(shot, props, times[at], span, size, fades)
    return frames


# Excerpts of held-out videos for a gallery, by name: (seed, index, seconds at which it begins). Chosen to show, not drawn
# by lot: in the first the residual token helps and hardly ever harms, in the second a cut misleads it.
SAMPLES: dict[str, tuple[int, int, float]] = {"story": (3, 4, 56.0), "cut story": (3, 1, 59.5)}
EXCERPT_SECONDS = 64 / FPS
SHORTEST_SHOWN = 3.0


def excerpt(name: str, fps: float = FPS, size: int = 96) -> tuple[np.ndarray, tuple[tuple[str, tuple[float, float]], ...]]:
    """Frames uint8 (T,size,size,3) of one of SAMPLES, and the sentences about it with their spans in its own seconds.

    A caption is left out whose event is seen for less than 3 s. Raises KeyError for an unknown name.
    """
    seed, index, begin = SAMPLES[name]
    video = scene(index, seed, "test")
    end = begin + EXCERPT_SECONDS
    frames = scene_frames(video, begin + np.arange(round(EXCERPT_SECONDS * fps)) / fps, size)
    seen = ((text, (max(a, begin) - begin, min(b, end) - begin)) for text, (a, b) in video.queries)
    return frames, tuple((text, (round(a, 2), round(b, 2))) for text, (a, b) in seen if b - a >= SHORTEST_SHOWN)
