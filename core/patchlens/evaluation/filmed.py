"""A video's frames as several ways of encoding want them: those of a short video are made once, of a long one anew.

Optical flow, where a plan asks for motion and the video brings none, is worked out once too, over the whole video. Knows
no model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from itertools import accumulate, chain

from patchlens.data.asked import Asked, Filming
from patchlens.selectors.cues import flow
from patchlens.streaming import first_frames, joined, later_frames
from patchlens.types import Clip

FRAMES, BYTES = 1024, 256 << 20  # of a short video, at the size that the encoder wants, with what is shown


class Filmed:
    """The pieces of one video under every filming asked for, kept where they are short."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self._kept: dict[Filming, list[Clip]] = {}

    def pieces(self, filming: Filming) -> Iterable[Clip]:
        """The frames in pieces; with motion, if asked for, where the video is short."""
        if filming in self._kept:
            return self._kept[filming]
        coming, read = self.asked.pieces(filming), []
        for piece in coming:
            read.append(piece)
            if not _short(read):
                return chain(read, coming)
        self._kept[filming] = moving(read) if filming.motion else read
        return self._kept[filming]


def _short(pieces: list[Clip]) -> bool:
    frames = sum(len(p.frames) for p in pieces)
    size = sum(x.numel() for p in pieces for x in {id(x): x for x in (p.frames, p.display)}.values())
    return frames <= FRAMES and size <= BYTES


def moving(pieces: list[Clip]) -> list[Clip]:
    """Consecutive clips with optical flow where they bring no motion, as one clip of them all would have it."""
    if not pieces or any(p.motion for p in pieces):
        return pieces
    whole = reduce(joined, pieces)
    whole = replace(whole, motion=flow(whole))
    starts = accumulate((len(p.frames) for p in pieces), initial=0)
    part = lambda start, count: first_frames(later_frames(whole, start), count)  # noqa: E731
    return [replace(p, motion=part(at, len(p.frames)).motion) for p, at in zip(pieces, starts, strict=False)]
