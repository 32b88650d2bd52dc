"""A shot: one backdrop, camera and light for a while; and how props are painted and filmed in it at any moment.

Knows how to turn props and times into pixels, each frame on its own. Does not know words, events' order or
splits. Times are seconds on the video's clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from .claims import COLOURS, PATTERNS, SHAPES
from .dice import Dice
from .drawing import MARGIN, Camera, Thing, Track, add_noise, background_px, render
from .events import RGB, Prop, track
from .filming import film
from .looks import Look
from .textures import background

__all__ = ["Shot", "draw_shot", "seen_boxes", "shoot", "stream"]

CAMERA_SHARES = (("pan", 0.15), ("shake", 0.3), ("static", 1.0))
SHAKE_SECONDS = 4.0
MOST_NOISE = 10
CLEAR = 50.0
FADE = 0.5


@dataclass(frozen=True)
class Shot:
    """One uninterrupted take: what seeds its backdrop, when it runs, how it is filmed and lit."""

    key: tuple[int, ...]
    start: float
    end: float
    camera: str
    draws: tuple[float, ...]
    gain: float
    sigma: int
    flatten: float


def stream(*key: int) -> np.random.Generator:
    """A generator of its own for every key of non-negative integers."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def draw_shot(key: tuple[int, ...], start: float, end: float) -> Shot:
    """A shot from `start` to `end` seconds; everything about it follows from `key`."""
    dice = Dice(stream(*key))
    roll = dice.roll()
    camera = next(name for name, until in CAMERA_SHARES if roll < until)
    draws = tuple(dice.roll() for _ in range(6))
    gain = 1 + dice.between(-0.15, 0.12)
    return Shot(key, start, end, camera, draws, gain, int(dice.roll() * (MOST_NOISE + 1)), dice.between(0, 0.4))


@lru_cache(maxsize=32)
def _backdrop(key: tuple[int, ...], flatten: float, n: int) -> np.ndarray:
    picture, _ = background(stream(*key, 1), n, flatten)
    picture.setflags(write=False)
    return picture


def _camera(shot: Shot, times: np.ndarray) -> Camera:
    """The camera at `times` (T,): a pan lasts the whole shot, shaking keeps its pace."""
    since = times - shot.start
    pace = SHAKE_SECONDS if shot.camera == "shake" else max(shot.end - shot.start, 1e-6)
    return film(shot.camera, since / pace, np.array(shot.draws), 0.0)


def _look(prop: Prop, under: np.ndarray) -> Look:
    """Paint for a prop over a background colour (3,): a second shade of its own, an edge where it would hide."""
    first = np.clip(np.array(RGB[COLOURS[prop.colour]]) + prop.tint, 0, 255)
    light = 0.299 * first[0] + 0.587 * first[1] + 0.114 * first[2]
    # White gets grey and every other colour a pale or a dark shade, so that the colour named stays the main one.
    second = first * 0.42 if light > 105 else first * 0.35 + 255 * 0.6
    contrast = np.abs(first - under).mean()
    edge = None
    if contrast < CLEAR:
        edge = (12, 12, 12) if under.mean() > 127 else (242, 242, 242)
    rgb = [tuple(int(v) for v in np.clip(colour, 0, 255)) for colour in (first, second)]
    return Look(SHAPES[prop.shape], PATTERNS[prop.pattern], rgb[0], rgb[1], edge, prop.bands)


def _looks(shot: Shot, props: tuple[Prop, ...]) -> list[Look]:
    """Looks chosen on a small backdrop of one fixed size, or rounding would change them from size to size."""
    wide = 1 + 2 * MARGIN
    picture = _backdrop(shot.key, shot.flatten, 32)
    looks = []
    for prop in props:
        low, high = (((np.array(prop.at) + side * prop.side / 2 - 0.5) / wide + 0.5) * 32 for side in (-1, 1))
        (x0, y0), (x1, y1) = np.clip(low, 0, 30).astype(int), np.clip(high, 1, 32).astype(int)
        looks.append(_look(prop, np.array(cv2.mean(picture[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)])[:3])))
    return looks


def seen_boxes(shot: Shot, props: tuple[Prop, ...], time: float, share: float) -> np.ndarray:
    """Middle x, y and side, in shares of the frame, of up to two props at one moment, (2,3); zeros for none."""
    boxes = np.zeros((2, 3), np.float32)
    shift = _camera(shot, np.array([time])).shift[0]
    for k, prop in enumerate(props):
        at = track(prop, np.array([share]))
        boxes[k] = (*(at.place[0] + shift), prop.side * at.scale[0])
    return boxes


def shoot(
    shot: Shot,
    props: tuple[Prop, ...],
    times: np.ndarray,
    span: tuple[float, float],
    size: int,
    fades: bool = False,
) -> np.ndarray:
    """Film props that act over `span` (seconds) at `times` (T,): uint8 (T,size,size,3).

    `fades` lets them come and go over half a second instead of at once. Each frame depends on its own time
    only.
    """
    share = (times - span[0]) / (span[1] - span[0])
    opacity = np.ones(len(times))
    if fades:
        opacity = np.clip(np.minimum(times - span[0], span[1] - times) / FADE, 0, 1)
    things = []
    for prop, look in zip(props, _looks(shot, props), strict=True):
        at = track(prop, share)
        things.append(Thing(look, prop.side, Track(at.place, at.angle, at.scale, opacity), False))
    picture = _backdrop(shot.key, shot.flatten, background_px(size, size))
    frames, _ = render([picture], len(times), things, _camera(shot, times), (size, size))
    gains = np.full(1, shot.gain)
    for k, time in enumerate(times.tolist()):
        add_noise(frames[k : k + 1], gains, shot.sigma, stream(*shot.key, 2, round(time * 1000)))
    return frames
