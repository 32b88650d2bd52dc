"""A glance at a clip: a small 3-D convolutional network that names its class, fast and often wrong, but says how sure.

It stands in MoviNet's role in LITE++ (arXiv 2411.13626, sec. 4.3): its confidence says how hard a clip is, before the
backbone runs. Distilled from the backbone by `patchlens train glance`. Knows frames; knows no token.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from patchlens.encoders import carded
from patchlens.encoders.catalog import glance_file
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.weights import digest
from patchlens.flops import GIGA

MEAN, STD = 0.45, 0.25  # of pixels in 0..1
STRIDES = ((1, 2, 2), (2, 2, 2), (2, 2, 2))


@dataclass(frozen=True)
class GlanceConfig:
    """Classes, and what the network sees: `frames` frames of `side` x `side` pixels; `channels` of its three layers."""

    classes: int
    frames: int = 16
    side: int = 32
    channels: tuple[int, int, int] = (16, 32, 64)


class Glance(nn.Module):
    """Frames uint8 (B, T, H, W, 3) to logits (B, C)."""

    def __init__(self, config: GlanceConfig) -> None:
        super().__init__()
        self.config = config
        sizes = (3, *config.channels)
        self.convs = nn.ModuleList(
            nn.Conv3d(a, b, 3, stride, 1) for a, b, stride in zip(sizes, sizes[1:], STRIDES, strict=False)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(4, c) for c in config.channels)
        self.head = nn.Linear(2 * sizes[-1], config.classes)

    def forward(self, frames: Tensor) -> Tensor:
        c = self.config
        x = frames.movedim(-1, 1).float()
        x = F.interpolate(x, (c.frames, c.side, c.side), mode="area")
        x = (x / 255 - MEAN) / STD
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x)))
        x = x.flatten(2)
        return self.head(torch.cat([x.mean(2), x.amax(2)], 1))


def glance_gmacs(config: GlanceConfig) -> float:
    """1e9 multiply-accumulates of one clip."""
    size, total, width = [config.frames, config.side, config.side], 0, 3
    for channels, stride in zip(config.channels, STRIDES, strict=True):
        size = [-(-n // s) for n, s in zip(size, stride, strict=True)]
        total += size[0] * size[1] * size[2] * 27 * width * channels
        width = channels
    return (total + 2 * width * config.classes) / GIGA


@torch.no_grad()
def confidence(glance: Glance, frames: Tensor) -> tuple[float, int]:
    """(probability of the likeliest class, that class) of one clip's frames uint8 (T, H, W, 3)."""
    p = glance(frames[None]).double().softmax(1)[0]
    return float(p.max()), int(p.argmax())


def glance_for(encoder: Encoder, weights: str = "auto") -> tuple[Glance, dict[str, Any]]:
    """The trained network of an encoder and its card: the bundled one, or a file that `patchlens train glance` wrote.

    Raises ValueError for a file that is none, or that names another number of classes.
    """
    path = glance_file(encoder.name) if weights == "auto" else Path(weights).expanduser()
    with carded.expected(path, "glance network", f"patchlens train glance --encoder {encoder.name}"):
        glance, card = _read(path, path.stat().st_mtime_ns)
    if glance.config.classes != len(encoder.classes or ()):
        raise ValueError(f"{path.name} names {glance.config.classes} classes, and {encoder.name} "
                         f"{len(encoder.classes or ())}; train one for this encoder.")  # fmt: skip
    return glance, card


def glance_digest(encoder: Encoder, weights: str) -> str:
    """SHA-256 of the file that `glance_for` would read; "" where there is none."""
    path = glance_file(encoder.name) if weights == "auto" else Path(weights).expanduser()
    return digest(path) if path.is_file() else ""


@lru_cache(maxsize=4)
def _read(path: Path, stamp: int) -> tuple[Glance, dict[str, Any]]:
    state, card = carded.read(path)
    glance = Glance(GlanceConfig(**{**card["config"], "channels": tuple(card["config"]["channels"])}))
    glance.load_state_dict(state)
    return glance.eval().requires_grad_(False), card


def write_glance(path: Path, glance: Glance, card: dict[str, Any]) -> None:
    """Write weights (half precision) and card as one safetensors file, whole or not at all."""
    carded.write(path, glance.state_dict(), {**card, "config": asdict(glance.config)}, torch.float16)
