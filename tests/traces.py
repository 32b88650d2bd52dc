"""Toy Traces made by hand, so that views are tested without a model or a decoder.

`toy_trace()` has RLT with run lengths over 4 tubelets; `rival_trace()` random selection of the same clip;
`frame_trace()` a frame encoder with top-K per frame and a chained plan; `HOSTILE` is what a file
name must not do to a page.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from patchlens.keep import Rule, Threshold, TopK, TopKPerFrame, keep_of
from patchlens.specs import ClipSpec, EncoderSpec, Request
from patchlens.types import Clip, Cost, Encoding, Grid, Report, Scores, Source, Trace

HOSTILE = (
    """${alert(1)}{{value}}</script><script>window.hacked=1</script>"'\\`<img src=x onerror=window.hacked=1>.mp4"""
)
CLASSES = ("left to right", "right to left", "growing", "shrinking", "meeting", "parting")


def moving_square(frames: int, height: int, width: int) -> np.ndarray:
    """A bright square walking over a textured ground, uint8 (T, H, W, 3)."""
    rows, columns = np.mgrid[:height, :width]
    ground = (90 + 50 * np.sin(rows / 9) * np.cos(columns / 13)).astype(np.uint8)
    out = np.stack([np.stack([ground, ground + 20, ground + 40], -1)] * frames)
    side = height // 4
    for f in range(frames):
        x = round((width - side) * f / max(1, frames - 1))
        out[f, height // 3 : height // 3 + side, x : x + side] = (235, 120, 60)
    return out


def toy_clip(frames: int, name: str = "walk.mp4", size: tuple[int, int] = (120, 200), crop: bool = False) -> Clip:
    """A clip of a moving square; with `crop` the encoder sees only the middle square of the picture."""
    pixels = torch.from_numpy(moving_square(frames, *size))
    height, width = size
    rect = (
        ((width - height) / 2, 0.0, (width + height) / 2, float(height))
        if crop
        else (0.0, 0.0, float(width), float(height))
    )
    times = torch.arange(frames, dtype=torch.float64) / 8 + 0.25
    source = Source(name, "ab" * 32, size, 8.0, frames / 8, "h264", 0, (0.25, 0.25 + frames / 8), frames)
    return Clip(pixels, times, source, rect, pixels)


def _differences(clip: Clip, grid: Grid) -> torch.Tensor:
    """RLT-like values: mean |difference| to the tubelet before, +inf in the first."""
    first = clip.display[:: grid.tubelet, :, :, 0].float() / 58
    cells = torch.nn.functional.adaptive_avg_pool2d((first[1:] - first[:-1]).abs()[:, None], (grid.h, grid.w))
    return torch.cat([torch.full((grid.per_frame,), torch.inf), cells.reshape(-1)])


def _encoding(grid: Grid, kept: int, seed: int, frames: bool) -> Encoding:
    random = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=random)  # noqa: E731
    per = draw(grid.t, 8) if frames else None
    return Encoding(draw(kept, 8), draw(8), per, 2 * draw(len(CLASSES)))


def _trace(clip: Clip, grid: Grid, plan: str, stages: list[tuple[Scores, Rule]], frames: bool) -> Trace:
    keep = keep_of(stages, grid, 7, frames)
    cost = lambda k: Cost(0.5 + 0.02 * k, 1e-4 * k * k)  # noqa: E731
    segments = keep.per_frame if frames else [keep.count]
    whole = [grid.per_frame] * grid.t if frames else [grid.n]
    full, reduced = (sum((cost(k) for k in ks if k), Cost()) for ks in (whole, segments))
    report = Report(grid.n, keep.count, full, reduced, 0.003, 0.98765, True, 0.0312, CLASSES[2], (0.71, 0.66))
    encoder = {"name": "toy", "weights": "by hand", "device": "cpu", "dtype": "float32", "tubelet": grid.tubelet,
               "patch": grid.patch, "segments": "frame" if frames else "clip", "cost": {"per_segment": [0.5, 0.02, 1e-4]},
               "domain": {"like_training": False, "distance": 3.0, "limit": 2.0}}  # fmt: skip
    return Trace(
        Request(ClipSpec(clip.source.sha256), EncoderSpec("toy"), plan, None, None, 7), clip, grid,
        torch.arange(grid.frames), stages[0][0], keep, _encoding(grid, keep.count, 1, frames),
        _encoding(grid, grid.n, 2, frames), report, encoder, tuple(stages), CLASSES,
        {"decode": 0.1234567, "encode_full": 0.5}, ("This footage is unlike the training.",),
    )  # fmt: skip


def toy_trace(name: str = "walk.mp4", tau: float = 0.1, crop: bool = False) -> Trace:
    """RLT with run lengths: 4 tubelets of 2 frames, 6 x 10 patches."""
    clip, grid = toy_clip(8, name, crop=crop), Grid(4, 6, 10, 2, 20)
    scores = Scores(_differences(clip, grid), "ImageNet-normalised mean |difference|", gmacs=0.003)
    return _trace(clip, grid, f"rlt:tau={tau:g}", [(scores, Threshold(tau, True))], False)


def rival_trace(keep: float = 0.3) -> Trace:
    """The clip of `toy_trace` under random selection."""
    clip, grid = toy_clip(8), Grid(4, 6, 10, 2, 20)
    random = torch.rand(grid.n, generator=torch.Generator().manual_seed(5))
    return _trace(clip, grid, f"random:keep={keep:g}", [(Scores(random, "random number in 0..1"), TopK(keep))], False)


def frame_trace() -> Trace:
    """A frame encoder behind two chained selectors."""
    clip, grid = toy_clip(6, "frames.mp4", crop=True), Grid(6, 6, 6, 1, 20)
    centre = torch.arange(6) - 2.5
    near = -(centre[:, None] ** 2 + centre[None] ** 2).reshape(-1).repeat(6)
    random = torch.rand(grid.n, generator=torch.Generator().manual_seed(3))
    stages = [
        (Scores(near.float(), "minus squared distance"), TopKPerFrame(0.6)),
        (Scores(random, "random number in 0..1", fine=random.flip(0).contiguous()), TopKPerFrame(0.5)),
    ]
    return _trace(clip, grid, "center:keep=0.6+random:per=frame", stages, True)


def large_trace() -> Trace:
    """8 x 14 x 14 tokens over pictures of 480 x 854, as a real clip has them."""
    grid = Grid(8, 14, 14, 2, 16)
    pixels = torch.from_numpy(moving_square(16, 480, 854))
    toy = toy_trace()
    source = replace(toy.clip.source, size_hw=(480, 854))
    clip = Clip(pixels, torch.arange(16, dtype=torch.float64) / 8, source, (0.0, 0.0, 854.0, 480.0), pixels)
    random = torch.rand(grid.n, generator=torch.Generator().manual_seed(0))
    random[: grid.per_frame] = torch.inf
    stages = ((Scores(random, "random"), Threshold(0.1, True)),)
    keep = keep_of(list(stages), grid, 7)
    return replace(
        toy, clip=clip, grid=grid, frame_index=torch.arange(16), scores=stages[0][0], stages=stages, keep=keep
    )
