"""The cues people expect to work: motion, attention, saliency. Each says what it cost and where it came from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from patchlens.clip import CODEC, FLOW
from patchlens.keep import Rule, best
from patchlens.knobs import choice, knob, text
from patchlens.lazy import torch
from patchlens.registry import Context, register
from patchlens.selectors.spread import spread
from patchlens.types import Clip, MotionMap, Scores, Tokens

KEEP = dict(step=0.01, unit="share of tokens", help="keep ratio K/N")
TIES = 0.05  # share of a step that parts patches which tie
PER = dict(options=("clip", "frame"), help="choose over the whole clip, or the same share of every frame")


@register("motion")
@dataclass(frozen=True)
class Motion:
    """What moves: codec motion vectors where the file has them, optical flow (OpenCV DIS) where not."""

    keep: float = knob(0.5, 0.01, 1.0, **KEEP)
    per: str = choice("clip", **PER)
    steps: int = knob(
        0, 0, 16, step=1, unit="steps per side of a patch", stage="score",
        help="count motion in such steps only, and take patches that tie evenly spread; 0: by every difference",
    )  # fmt: skip
    clip_needs = frozenset({"motion"})
    monotone = True

    def score(self, tokens: Tokens, context: Context) -> Scores:
        """Mean motion magnitude of each token since the frame before, in pixels of the source."""
        motion = context.clip.motion or flow(context.clip)
        values = pool(motion, context.clip, tokens)
        facts = {"motion": motion.kind}
        if motion.kind != CODEC:
            facts["note"] = f"Motion is {motion.kind}: computing it takes time (timing_s) that GMACs do not count."
        made = Scores(values, f"pixels moved per sampled frame ({motion.kind})", facts=facts)
        return stepped(made, tokens, context.clip, self.steps) if self.steps else made

    def rule(self) -> Rule:
        """Top K."""
        return best(self.keep, self.per)


def flow(clip: Clip) -> MotionMap:
    """Optical flow between the clip's display frames, where the decoder brought no motion."""
    import time

    from patchlens.motion import flow_maps

    begun = time.perf_counter()
    lengths, ways = map(torch.from_numpy, flow_maps(list(clip.display.numpy()), clip.source.size_hw))
    return MotionMap(lengths, FLOW, time.perf_counter() - begun, ways)


def pool(motion: MotionMap, clip: Clip, tokens: Tokens) -> torch.Tensor:
    """Mean motion under each token, float32 (N,): the part of the map inside the clip's rectangle, averaged by area."""
    from patchlens.motion import pooled

    g = tokens.grid
    cells = pooled(motion.values[tokens.frame_index].numpy(), clip.rect, clip.source.size_hw, (g.h, g.w))
    return torch.from_numpy(cells).reshape(g.t, g.tubelet, g.h, g.w).mean(1).reshape(-1).float()


def stepped(made: Scores, tokens: Tokens, clip: Clip, steps: int) -> Scores:
    """Displacements in whole steps, so many per side of a patch, rounded down; less than a step parts those that tie.

    Where little moves, finer differences are mostly the error of the motion field, and choose patches that lie together.
    """
    g = tokens.grid
    x0, y0, x1, y1 = clip.rect
    step = ((x1 - x0) * (y1 - y0) / (g.h * g.w)) ** 0.5 / steps
    ties = torch.from_numpy(spread(g.h, g.w)).repeat(g.t) * TIES
    values = ((made.values / step).floor() + ties) * step
    return replace(made, values=values.float(), unit=f"{made.unit}, in steps of {step:.3g}")


@register("attention")
@dataclass(frozen=True)
class AttentionReceived:
    """The attention a token receives in one block; it needs the full run up to there, and that cost is counted.

    With a class token: its row, averaged over heads. Without: the mean over heads and all queries.
    """

    keep: float = knob(0.5, 0.01, 1.0, **KEEP)
    block: str = text("-1", help="block number, negative from the end")
    per: str = choice("clip", **PER)
    requires = frozenset({"attention"})
    monotone = True

    def score(self, tokens: Tokens, context: Context) -> Scores:
        """Attention mass per token (the mean over a segment of L keys is 1/L)."""
        from patchlens.attention import attention_gmacs, attention_received
        from patchlens.gradcam import block_number

        encoder = context.encoder
        block = block_number(encoder, self.block)
        values = attention_received(encoder, tokens, block, context.check)
        gmacs = attention_gmacs(encoder, tokens.grid, block)
        return Scores(values, f"attention received in block {block}", gmacs=gmacs, facts={"block": block})

    def rule(self) -> Rule:
        """Top K."""
        return best(self.keep, self.per)


@register("saliency")
@dataclass(frozen=True)
class Saliency:
    """Spectral residual of each frame: a stand-in for the learned saliency network (CPFE) that the LITE paper used.

    Source: Hou & Zhang, CVPR 2007.
    """

    keep: float = knob(0.5, 0.01, 1.0, **KEEP)
    per: str = choice("clip", **PER)
    monotone = True

    def score(self, tokens: Tokens, context: Context) -> Scores:
        """Mean saliency of each token, in units of its frame's mean."""
        maps = torch.stack([spectral_residual(frame) for frame in tokens.frames])
        g = tokens.grid
        cells = torch.nn.functional.adaptive_avg_pool2d(maps[:, None], (g.h, g.w))[:, 0]
        values = cells.reshape(g.t, g.tubelet, g.h, g.w).mean(1).reshape(-1)
        side = maps.shape[-1]
        gmacs = len(maps) * 2 * side**2 * 12 / 1e9  # two FFTs of 64 x 64: about 2 log2(64) operations per pixel
        return Scores(values.float(), "spectral residual, 1 = the frame's mean (stand-in for CPFE)", gmacs=gmacs)

    def rule(self) -> Rule:
        """Top K."""
        return best(self.keep, self.per)


def spectral_residual(frame: torch.Tensor, side: int = 64) -> torch.Tensor:
    """Saliency (side, side) of a uint8 frame (H, W, 3): what its log spectrum has beyond a smooth one."""
    import cv2
    import numpy as np

    grey = cv2.cvtColor(frame.numpy(), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA).astype(np.float64)
    spectrum = np.fft.fft2(small)
    log = np.log(np.abs(spectrum) + 1e-8)
    residual = log - cv2.blur(log, (3, 3))
    energy = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    smooth = cv2.GaussianBlur(energy, (0, 0), 2.5)
    return torch.from_numpy(smooth / max(smooth.mean(), 1e-12))
