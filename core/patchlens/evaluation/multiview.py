"""The papers' multi-view protocol "AxB": A temporal clips by B spatial crops of one video, whose scores are averaged.

Temporal clips interleave: A*T frames are taken evenly from the whole video and clip a gets every A-th of them from a on,
so each spans the whole action (Something-Something's protocol; Kinetics' denser clips would each see a part). Crops have
the encoder's shape and the picture's short side, and slide along the long one from end to end; a square picture gives
equal crops. 1x1 is the encoder's own single view. Knows no selector.
Source: VideoMAE's and LITE's test protocols (2x3, 5x3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import torch
from torch import Tensor

from patchlens.data.samples import Footage, Wanted
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.patches import fit_frames
from patchlens.types import Clip, MotionMap, Tokens

FRAMES = 16  # for encoders that take any number


@dataclass(frozen=True)
class Views:
    """A x B; "2x3" is two clips by three crops."""

    clips: int = 1
    crops: int = 1

    @classmethod
    def parse(cls, text: str) -> Views:
        """From "AxB".

        Raises ValueError for anything but two whole numbers from 1 to 16.
        """
        a, _, b = text.lower().partition("x")
        if not (a.isdigit() and b.isdigit() and 1 <= int(a) <= 16 and 1 <= int(b) <= 16):
            raise ValueError(f"views is {text!r}; give temporal clips x spatial crops, each 1 to 16, as in 2x3.")
        return cls(int(a), int(b))

    @property
    def count(self) -> int:
        """Encoder runs per video."""
        return self.clips * self.crops

    def __str__(self) -> str:
        return f"{self.clips}x{self.crops}"


@dataclass(frozen=True, eq=False)
class View:
    """One clip as the encoder reads it.

    actor: float32 (N,), the share of each token that is actor, where the set knows it.
    """

    clip: Clip
    tokens: Tokens
    actor: Tensor | None = None


def wanted(encoder: Encoder, views: Views, motion: bool = False, frames: int = FRAMES) -> Wanted:
    """What to ask of a sample so that it can be cut into these views."""
    count = (encoder.inputs.frames or frames) * views.clips
    return Wanted(encoder.inputs.size_hw, count, encoder.inputs.fit, whole=views.crops > 1, motion=motion)


def views_of(footage: Footage, encoder: Encoder, views: Views) -> list[View]:
    """Cut footage made for `wanted(encoder, views)` into its A*B views, clip by clip."""
    out = []
    for a in range(views.clips):
        clip, actor = _every(footage.clip, footage.actor, a, views.clips)
        for b in range(views.crops):
            place = b / (views.crops - 1) if views.crops > 1 else None
            out.append(_view(*_crop(clip, actor, encoder.inputs.size_hw, place), encoder, f"{a}/{b} of {views}", views))
    return out


def _view(clip: Clip, actor: np.ndarray | None, encoder: Encoder, name: str, views: Views) -> View:
    if views.count > 1:  # so that random draws differ from view to view
        digest = sha256(f"{clip.source.sha256} view {name}".encode()).hexdigest()
        clip = replace(clip, source=replace(clip.source, sha256=digest))
    clip = encoder.fit(clip)
    tokens = encoder.tokens(clip)
    return View(clip, tokens, None if actor is None else actor_share(actor, tokens))


def _every(clip: Clip, actor: np.ndarray | None, start: int, step: int) -> tuple[Clip, np.ndarray | None]:
    """Frames start, start + step, ... of a clip; all of them where it has too few."""
    if step == 1 or len(clip.frames) < 2 * step:
        return clip, actor
    pick = torch.arange(start, len(clip.frames), step)
    motion = None
    if clip.motion is not None:
        motion = MotionMap(_sums(clip.motion.values, pick), clip.motion.kind, clip.motion.seconds / step)
    frames, times, display = (x[pick] for x in (clip.frames, clip.times, clip.display))
    part = replace(clip, frames=frames, times=times, display=display, proxy=None, motion=motion)
    return part, None if actor is None else actor[pick.numpy()]


def _sums(values: Tensor, pick: Tensor) -> Tensor:
    """Motion since the previous picked frame, (len(pick), a, b); the first copies the second, as in every MotionMap."""
    total = values.cumsum(0)[pick]
    out = total.diff(dim=0)
    return torch.cat([out[:1], out])


def _crop(
    clip: Clip, actor: np.ndarray | None, size_hw: tuple[int, int], place: float | None
) -> tuple[Clip, np.ndarray | None]:
    """The crop of the encoder's shape at `place` 0..1 of the free way; None: the clip as it is."""
    if place is None:
        return clip, actor
    height, width = clip.size_hw
    scale = min(height / size_hw[0], width / size_hw[1])
    h, w = round(size_hw[0] * scale), round(size_hw[1] * scale)
    y, x = round((height - h) * place), round((width - w) * place)
    window = (slice(None), slice(y, y + h), slice(x, x + w))
    frames, actor = clip.frames[window], None if actor is None else actor[window]
    if (h, w) != size_hw:
        frames, _ = fit_frames(frames, size_hw, "squash")
    x0, y0, x1, y1 = clip.rect
    sx, sy = (x1 - x0) / width, (y1 - y0) / height
    rect = (x0 + x * sx, y0 + y * sy, x0 + (x + w) * sx, y0 + (y + h) * sy)
    return replace(clip, frames=frames.contiguous(), rect=rect), actor


def actor_share(actor: np.ndarray, tokens: Tokens) -> Tensor:
    """Share of each token that is actor, float32 (N,), from masks bool (T, H, W) over what the tokens cover."""
    grid = tokens.grid
    mask = torch.from_numpy(np.ascontiguousarray(actor))[tokens.frame_index].float()
    share = torch.nn.functional.adaptive_avg_pool2d(mask[:, None], (grid.h, grid.w))[:, 0]
    return share.reshape(grid.t, grid.tubelet, grid.per_frame).mean(1).reshape(-1)
