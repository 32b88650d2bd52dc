"""What happens in a clip: how the acting things of each class move through a clip, and where distractors go.

Knows trajectories in units of the frame side and of the clip's length. Does not know pixels, colours, cameras
or class names: a class is a family here, and the second class of a pair is the first one's clip played
backwards. Every function takes uniform draws made beforehand, so a story never depends on size, length or
frame rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .drawing import Track
from .looks import SHAPES

__all__ = [
    "FAMILIES", "MOMENTS", "Body", "distractor_track", "one_body", "reach", "spread", "touching",
    "two_bodies",
]  # fmt: skip

FAMILIES = ("across", "down", "turn", "grow", "appear", "shake across", "shake down", "meet", "cover")
# How near a thing's middle path may come to the frame's edge, in shares of its own half extent.
INSIDE = 0.9
# What has to be decided about a whole path is decided at these moments, whatever the number of frames.
MOMENTS = np.linspace(0.0, 1.0, 65)

Draws = Mapping[str, float]


@dataclass(frozen=True)
class Body:
    """A thing without paint: shape name, box side in frame sides, resting angle in radians (clockwise)."""

    shape: str
    side: float
    tilt: float


def _outline(body: Body) -> np.ndarray:
    cos, sin = np.cos(body.tilt), np.sin(body.tilt)
    return SHAPES[body.shape].outline @ np.array([[cos, sin], [-sin, cos]]) * body.side


def reach(body: Body) -> float:
    """The largest distance of a body's outline from its centroid, in frame sides."""
    return SHAPES[body.shape].span / 2 * body.side


def spread(draw: Any, low: float, high: float) -> Any:
    """A uniform draw 0..1, a number or an array, stretched to low..high."""
    return low + draw * (high - low)


def _progress(time: np.ndarray, draws: Draws) -> np.ndarray:
    """From 0 to 1 with a short rest before and after, at constant or smooth speed; (T,) to (T,)."""
    first, last = 0.08 * draws["rest before"], 1 - 0.08 * draws["rest after"]
    share = np.clip((time - first) / (last - first), 0, 1)
    return share if draws["smooth"] < 0.6 else 0.5 * share + 0.5 * share * share * (3 - 2 * share)


def _settle(bodies: list[Body], paths: list[np.ndarray], scale: float, draws: Draws) -> np.ndarray:
    """The shift (2,) that brings paths (M,2) to a drawn place where the bodies stay in the unit square."""
    outlines = [_outline(body) * INSIDE * scale for body in bodies]
    low = np.min([path.min(0) + points.min(0) for path, points in zip(paths, outlines, strict=True)], axis=0)
    high = np.max([path.max(0) + points.max(0) for path, points in zip(paths, outlines, strict=True)], axis=0)
    room = 1 - (high - low)
    at = np.array([draws["place x"], draws["place y"]])
    return np.where(room > 0, at * room, room / 2) - low


def _standing(count: int, body: Body) -> dict[str, np.ndarray]:
    return {
        "place": np.zeros((count, 2)),
        "angle": np.full(count, body.tilt),
        "scale": np.ones(count),
        "opacity": np.ones(count),
    }


def _travel(time: np.ndarray, body: Body, axis: int, draws: Draws) -> np.ndarray:
    extent = np.ptp(_outline(body)[:, axis]) * INSIDE
    length = max(0.35, min(spread(draws["amount"], 0.35, 0.65), 1 - extent))
    along = length * _progress(time, draws)
    return np.stack([along, (time - 0.5) * 0.1 * (draws["drift"] - 0.5)], axis=1)


def _arrive(time: np.ndarray, parts: dict[str, np.ndarray], draws: Draws) -> None:
    """Make the thing come into being once, by a pop, a fade or a scaling, in the middle 60 % of the clip."""
    moment = spread(draws["moment"], 0.2, 0.8)
    way = int(3 * draws["way"])
    lasts = spread(draws["amount"], 0.12, 0.19)
    share = np.clip((time - moment) / lasts + 0.5, 0, 1)
    if way == 0:
        parts["opacity"] = (time >= moment).astype(float)
    elif way == 1:
        parts["opacity"] = share
    else:
        parts["opacity"] = (share > 0.15).astype(float)
        parts["scale"] = np.maximum(share, 0.15)


def _growth(time: np.ndarray, draws: Draws) -> np.ndarray:
    """Scale factors (T,) whose mean square is one, so that the mean area is the drawn one."""
    start, end = spread(draws["amount"], 0.55, 0.42), spread(draws["second"], 1.35, 1.5)
    steps = start + (end - start) * _progress(np.linspace(0, 1, 64), draws)
    return (start + (end - start) * _progress(time, draws)) / np.sqrt(np.mean(steps**2))


def _unsettled(family: str, time: np.ndarray, body: Body, draws: Draws) -> dict[str, np.ndarray]:
    """A single actor's track as a dict, around the origin."""
    parts = _standing(len(time), body)
    vertical = family in ("down", "shake down")
    if family in ("across", "down"):
        parts["place"] = _travel(time, body, int(vertical), draws)
    elif family in ("shake across", "shake down"):
        wave = np.sin(2 * np.pi * (spread(draws["second"], 2.0, 3.5) * time + draws["moment"]))
        parts["place"][:, 0] = spread(draws["amount"], 0.07, 0.12) * wave
    elif family == "turn":
        parts["angle"] = body.tilt + np.deg2rad(spread(draws["amount"], 90, 270)) * _progress(time, draws)
    elif family == "grow":
        parts["scale"] = _growth(time, draws)
    elif family == "appear":
        _arrive(time, parts, draws)
    else:
        raise ValueError(f"{family!r} is not a family with one actor")
    if vertical:
        parts["place"] = parts["place"][:, ::-1]
    return parts


def one_body(family: str, time: np.ndarray, body: Body, draws: Draws) -> Track:
    """The track of the only actor of a family; `time` (T,) lies in 0..1.

    Raises ValueError for a family with two actors or an unknown one.
    """
    parts, whole = _unsettled(family, time, body, draws), _unsettled(family, MOMENTS, body, draws)
    kept_inside = Body("disc", 2 * reach(body), 0.0) if family == "turn" else body
    shift = _settle([kept_inside], [whole["place"]], float(whole["scale"].max()), draws)
    return Track(**(parts | {"place": parts["place"] + shift}))


def _profile(body: Body, way: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """How far the body reaches along `way` at each perpendicular distance in `bins`; -inf beside the body."""
    points = _outline(body)
    steps = np.linspace(0, 1, 12, endpoint=False)[:, None, None]
    dense = (points + steps * (np.roll(points, -1, axis=0) - points)).reshape(-1, 2)
    across = dense @ np.array([-way[1], way[0]])
    places = np.clip(np.searchsorted(bins, across), 0, len(bins) - 1)
    profile = np.full(len(bins), -np.inf)
    np.maximum.at(profile, places, dense @ way)
    return profile


def touching(one: Body, other: Body, way: np.ndarray) -> float:
    """The distance of two centroids along the unit vector `way` (2,) at which the bodies just touch."""
    edge = max(reach(one), reach(other))
    bins = np.linspace(-edge, edge, 24)
    return float(np.max(_profile(one, way, bins) + _profile(other, -way, bins)))


def _way(draws: Draws) -> np.ndarray:
    angle = 2 * np.pi * draws["way"]
    return np.array([np.cos(angle), np.sin(angle)])


def _longest(bodies: list[Body], way: np.ndarray) -> float:
    """The longest way from centroid to centroid at which both bodies still fit the unit square."""
    room = 1 - INSIDE * sum(np.ptp(_outline(body), axis=0) for body in bodies) / 2
    return float(np.min(np.maximum(room, 0) / np.maximum(np.abs(way), 1e-6)))


def _pair_paths(family: str, one: Body, other: Body, draws: Draws) -> np.ndarray:
    """Where two actors start and end, (2,2,2) for body, start or end, x or y; around the origin."""
    way = _way(draws)
    touch, longest = touching(one, other, way), _longest([one, other], way)
    if family == "meet":
        gap = max(0.26, min(spread(draws["amount"], 0.3, 0.55), longest - touch))
        part = spread(draws["second"], 0.4, 0.6)
        return np.array([(0, part * gap), (touch + gap, touch + part * gap)])[..., None] * way
    length = max(touch + 0.03, min(touch + spread(draws["amount"], 0.05, 0.25), longest))
    return np.array([(0, 0), (length, 0)])[..., None] * way


def two_bodies(family: str, time: np.ndarray, one: Body, other: Body, draws: Draws) -> list[Track]:
    """The tracks of the two actors of a family, the lower one first; `time` (T,) lies in 0..1.

    meet: both approach until they touch. cover: `other` slides over `one`, which stands, until it hides it.
    Raises ValueError for a family with one actor or an unknown one.
    """
    if family not in ("meet", "cover"):
        raise ValueError(f"{family!r} is not a family with two actors")
    ends = _pair_paths(family, one, other, draws)
    shift = _settle([one, other], list(ends), 1.0, draws)
    share = _progress(time, draws)[:, None]
    tracks = []
    for body, (start, end) in zip((one, other), ends, strict=True):
        place = start + (end - start) * share + shift
        tracks.append(Track(**(_standing(len(time), body) | {"place": place})))
    return tracks


def distractor_track(kind: str, time: np.ndarray, body: Body, place: np.ndarray, draws: np.ndarray) -> Track:
    """The track of a distractor: standing, drifting, jittering or flickering around `place` (2,).

    `draws` (4,) uniform; drifting goes at most 6 % of the side, jittering stays within 1.5 %, flickering goes
    out several times. Raises ValueError for an unknown kind.
    """
    parts = _standing(len(time), body)
    parts["place"] = np.tile(place, (len(time), 1))
    angle = 2 * np.pi * draws[0]
    if kind == "drifting":
        way = np.array([np.cos(angle), np.sin(angle)]) * spread(draws[1], 0.02, 0.06)
        parts["place"] = place + (time[:, None] - 0.5) * way
    elif kind == "jittering":
        cycles = spread(draws[1:3], 3, 6) * time[:, None] + draws[2:4]
        parts["place"] = place + spread(draws[0], 0.006, 0.015) * np.sin(2 * np.pi * cycles)
    elif kind == "flickering":
        wave = np.sin(2 * np.pi * (spread(draws[1], 2.5, 5) * time + draws[2]))
        parts["opacity"] = np.where(wave > 0, 1.0, 0.0 if draws[3] < 0.5 else 0.45)
    elif kind != "standing":
        raise ValueError(f"{kind!r} is not a kind of distractor")
    return Track(**parts)
