"""Run-length tokenization: a patch that looks like its past is dropped, and its run gets longer.

Source: RLT (arXiv 2411.05222) sec. 3 and the released mask: the LAST frame of tubelet i against the FIRST frame of
tubelet i-1, in ImageNet-normalised units whatever the encoder's own normalisation, mean over pixels and channels,
kept when strictly above tau; tubelet 0 is always kept. Departures: run lengths come out in token order; the mean over
tokens can be weighted by them (`pool=runs`) and camera motion undone (`compensate=on`), which the paper does not do.
"""

from __future__ import annotations

from dataclasses import dataclass

from patchlens.keep import Rule, Threshold, best
from patchlens.knobs import choice, knob
from patchlens.lazy import torch
from patchlens.registry import Context, register
from patchlens.selectors.camera import compensated_totals
from patchlens.types import Scores, Tokens

STD = (0.229, 0.224, 0.225)  # ImageNet's, the unit of tau
UNIT = "ImageNet-normalised mean |difference|"


def neighbour_difference(tokens: Tokens) -> Scores:
    """Mean |difference| of each token to the one before it in time, float32 (N,); +inf in tubelet 0.

    Sums are taken over integers, so the value does not depend on the order of summation.
    """
    g = tokens.grid
    pixels = tokens.patches.reshape(g.t, g.per_frame, 3, g.tubelet, -1)
    now, before = pixels[1:, :, :, -1].short(), pixels[:-1, :, :, 0].short()
    total = (now - before).abs_().sum(-1, dtype=torch.int32)  # (t-1, h*w, 3), grey levels
    values = torch.full((g.t, g.per_frame), torch.inf)
    values[1:] = in_units(total, g.patch)
    return Scores(values.reshape(-1), UNIT, gmacs=now.numel() / 1e9)


def in_units(total: torch.Tensor, patch: int) -> torch.Tensor:
    """Sums of |difference| in grey levels over patches (..., 3 channels) as means in ImageNet-normalised units (...)."""
    return (total / (torch.tensor(STD, dtype=torch.float64, device=total.device) * 255 * patch**2)).mean(-1).float()


def compensated_difference(tokens: Tokens) -> Scores:
    """`neighbour_difference` after the earlier frame has been warped onto the later one; see `camera.py`."""
    g = tokens.grid
    values = torch.full((g.t, g.per_frame), torch.inf)
    values[1:] = in_units(torch.from_numpy(compensated_totals(tokens)), g.patch)
    note = "Camera motion is estimated with OpenCV: computing it takes time (timing_s) that GMACs do not count."
    return Scores(values.reshape(-1), UNIT, gmacs=(g.t - 1) * g.per_frame * g.patch**2 * 3 / 1e9, facts={"note": note})


class StaticStream:
    """RLT's differences over a video of any length: frames come in pieces, and only the last tubelet is remembered.

    However the frames are cut into pieces, the values are those of the whole video, on any device.

    stream = StaticStream(tubelet=2, patch=16)
    for clip in video.windows("hour.mp4", 64, fps=8, carry=0, size=(224, 224)):
        moved = stream.feed(clip.frames) > 0.1  # (tubelets that are now whole, h*w)
    """

    def __init__(self, tubelet: int, patch: int, device: str | torch.device = "cpu") -> None:
        self.tubelet, self.patch, self.device = tubelet, patch, device
        self.before: torch.Tensor | None = None  # first frame of the last whole tubelet
        self.rest: torch.Tensor | None = None  # frames of the tubelet under way

    def feed(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames uint8 (T, H, W, 3), following those before, to differences float32 (t, h*w) of the tubelets now whole.

        Raises ValueError for frames that patches do not tile.
        """
        if frames.shape[1] % self.patch or frames.shape[2] % self.patch:
            raise ValueError(
                f"Frames of {frames.shape[1]} x {frames.shape[2]} pixels cannot be cut into patches of {self.patch}; "
                "give multiples of it."
            )
        frames = frames.to(self.device)
        frames = frames if self.rest is None else torch.cat([self.rest, frames])
        count = len(frames) // self.tubelet
        whole, self.rest = frames[: count * self.tubelet], frames[count * self.tubelet :].clone()
        cells = frames.shape[1] // self.patch * (frames.shape[2] // self.patch)
        if not count:
            return torch.zeros(0, cells)
        first, last = whole[:: self.tubelet], whole[self.tubelet - 1 :: self.tubelet]
        known = self.before is not None
        before = torch.cat([self.before, first])[:-1] if known else first[:-1]
        self.before = first[-1:].clone()
        moved = (last[len(last) - len(before) :].short() - before.short()).abs_()
        t, height, width, _ = moved.shape
        total = moved.reshape(t, height // self.patch, self.patch, width // self.patch, self.patch, 3)
        values = in_units(total.sum((2, 4), dtype=torch.int32), self.patch).reshape(t, cells).cpu()
        return values if known else torch.cat([torch.full((1, cells), torch.inf), values])

    def finish(self) -> torch.Tensor:
        """The tubelet under way, its last frame held to its end, float32 (0 or 1, h*w)."""
        if self.rest is None or not len(self.rest):
            return torch.zeros(0, 0)
        held, self.rest = torch.cat([self.rest] + [self.rest[-1:]] * (self.tubelet - len(self.rest))), None
        return self.feed(held)


@register("rlt")
@dataclass(frozen=True)
class RLT:
    """Drop what is within tau of the patch before it; the kept patch stands for the whole run."""

    tau: float = knob(0.1, 0.0, 2.0, step=0.005, unit=UNIT, help="0.1 is about 5.7 of 255 grey levels")
    pool: str = choice("plain", ("plain", "runs"), help="runs: the mean counts a token by its run length (our extension)")
    compensate: str = choice("off", ("off", "on"), stage="score", help="undo camera motion first (our extension)")
    monotone = True

    def score(self, tokens: Tokens, context: Context) -> Scores:
        """Difference to the tubelet before."""
        return compensated_difference(tokens) if self.compensate == "on" else neighbour_difference(tokens)

    def rule(self) -> Rule:
        """Strictly above tau, with run lengths."""
        return Threshold(self.tau, runs=True, weighted=self.pool == "runs")


@register("rlt-topk")
@dataclass(frozen=True)
class RLTTopK:
    """The same differences with a fixed budget: the K tokens that changed most. Not RLT, but comparable at equal K."""

    keep: float = knob(0.5, 0.01, 1.0, step=0.01, unit="share of tokens", help="keep ratio K/N")
    per: str = choice("clip", ("clip", "frame"), help="choose over the whole clip, or the same share of every frame")
    monotone = True

    def score(self, tokens: Tokens, context: Context) -> Scores:
        """Difference to the tubelet before."""
        return neighbour_difference(tokens)

    def rule(self) -> Rule:
        """Top K; tubelet 0 ranks first, and falls to the seeded hash when K is smaller than it."""
        return best(self.keep, self.per)
