"""LITE's selector as a network: the value of a token read off its embedding, before any block has run; and its file.

Three fully connected layers on the patch embedding with its position, token by token, and a sigmoid (LITE, arXiv
2411.13626, eq. 6; hidden sizes and activation are our choice, the paper names none). The branches of its section 4.4
stand beside that MLP: "block", one transformer block, and "global", 3-D convolutions and then self-attention, which see
a token's neighbours. Knows embeddings and grids; knows neither video nor training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from patchlens.encoders import carded
from patchlens.encoders.catalog import selector_file
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.weights import digest
from patchlens.flops import GIGA, mlp_cost
from patchlens.types import Grid

BRANCHES = ("none", "block", "global")


@dataclass(frozen=True)
class RankerConfig:
    """Shape of a ranker: width D of the embeddings, hidden sizes of the MLP, and the branch beside it."""

    width: int
    hidden: tuple[int, ...] = (256, 64)
    branch: str = "none"
    channels: int = 32
    heads: int = 4

    def __post_init__(self) -> None:
        if self.branch not in BRANCHES:
            raise ValueError(f"branch is {self.branch!r}; choose one of {', '.join(BRANCHES)}.")
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"hidden sizes are {self.hidden}; give at least one, as in 256,64.")


class Ranker(nn.Module):
    """Embeddings (segments, L, D) of whole segments to one number per token (segments, L), before the sigmoid."""

    def __init__(self, config: RankerConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.width))  # of the embeddings, so that training starts scaled
        self.register_buffer("scale", torch.ones(config.width))
        sizes = (config.width, *config.hidden)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False))
        more = config.channels if config.branch != "none" else 0
        self.branch = Branch(config) if more else None
        self.out = nn.Linear(sizes[-1] + more, 1)

    def forward(self, x: Tensor, grid: tuple[int, int, int]) -> Tensor:
        x = (x - self.mean) * self.scale
        seen = [x] if self.branch is None else [x, self.branch(x, grid)]
        for layer in self.layers:
            seen[0] = F.gelu(layer(seen[0]))
        return self.out(torch.cat(seen, -1)).squeeze(-1)


class Branch(nn.Module):
    """What a token's surroundings say, (segments, L, channels): convolutions over the grid, or an MLP, after attention."""

    def __init__(self, config: RankerConfig) -> None:
        super().__init__()
        c, self.heads, self.convolved = config.channels, config.heads, config.branch == "global"
        self.enter = nn.Linear(config.width, c)
        self.convs = nn.ModuleList(nn.Conv3d(c, c, 3, padding=1) for _ in range(2 if self.convolved else 0))
        self.norm, self.qkv, self.proj = nn.LayerNorm(c), nn.Linear(c, 3 * c), nn.Linear(c, c)
        wide = [nn.LayerNorm(c), nn.Linear(c, 4 * c), nn.GELU(), nn.Linear(4 * c, c)]
        self.mlp = None if self.convolved else nn.Sequential(*wide)

    def forward(self, x: Tensor, grid: tuple[int, int, int]) -> Tensor:
        x = self.enter(x)
        volume = x.transpose(1, 2).unflatten(2, grid)
        for conv in self.convs:
            volume = volume + conv(F.gelu(volume))
        x = volume.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x if self.mlp is None else x + self.mlp(x)


def ranker_gmacs(config: RankerConfig, segments: int, length: int) -> float:
    """1e9 multiply-accumulates of ranking `segments` segments of `length` tokens each; the embedding is not in it."""
    n, c = segments * length, config.channels
    total = mlp_cost(n, (config.width, *config.hidden, 1)).total
    if config.branch == "none":
        return total
    token = config.width * c + (2 * 27 * c * c if config.branch == "global" else 8 * c * c) + 4 * c * c + c
    return total + (n * token + segments * 2 * length**2 * c) / GIGA


def segment_grid(encoder: Encoder, grid: Grid) -> tuple[int, tuple[int, int, int]]:
    """How many segments a clip has, and the (t, h, w) of one: the whole clip, or one frame at a time."""
    return (1, (grid.t, grid.h, grid.w)) if encoder.segments == "clip" else (grid.t, (1, grid.h, grid.w))


@torch.no_grad()
def rank(ranker: Ranker, encoder: Encoder, embedded: Tensor, grid: Grid) -> Tensor:
    """Values before the sigmoid, float32 (N,) on the CPU, of a clip's embeddings (N, D)."""
    segments, shape = segment_grid(encoder, grid)
    x = embedded.to(encoder.device).float().unflatten(0, (segments, -1))
    return ranker.to(encoder.device)(x, shape).flatten().float().cpu()


def ranker_for(encoder: Encoder, weights: str = "auto") -> tuple[Ranker, dict[str, Any]]:
    """The trained ranker of an encoder and its card: the bundled one, or a file that `patchlens train lite` wrote.

    Raises ValueError for a file that is none, or that was trained on embeddings of another width.
    """
    path = selector_file(encoder.name) if weights == "auto" else Path(weights).expanduser()
    with carded.expected(path, "selector", f"patchlens train lite --encoder {encoder.name}"):
        ranker, card = _read(path, path.stat().st_mtime_ns)
    if ranker.config.width != encoder.config.width:
        raise ValueError(f"{path.name} ranks embeddings of width {ranker.config.width}, and those of {encoder.name} have "
                         f"{encoder.config.width}; train one for this encoder with `patchlens train lite`.")  # fmt: skip
    return ranker, card


def teacher_of(name: str) -> str | None:
    """The oracle, in the grammar of plans, whose maps the selector learned that ships for an encoder; None without one."""
    path = selector_file(name)
    return str(carded.card_of(path)["recipe"]["oracle"]) if path.is_file() else None


def ranker_digest(encoder: Encoder, weights: str) -> str:
    """SHA-256 of the file that `ranker_for` would read; "" where there is none."""
    path = selector_file(encoder.name) if weights == "auto" else Path(weights).expanduser()
    return digest(path) if path.is_file() else ""


@lru_cache(maxsize=4)
def _read(path: Path, stamp: int) -> tuple[Ranker, dict[str, Any]]:
    state, card = carded.read(path)
    ranker = Ranker(RankerConfig(**{**card["config"], "hidden": tuple(card["config"]["hidden"])}))
    ranker.load_state_dict(state)
    return ranker.eval().requires_grad_(False), card


def write_ranker(path: Path, ranker: Ranker, card: dict[str, Any]) -> None:
    """Write weights (half precision) and card as one safetensors file, whole or not at all."""
    carded.write(path, ranker.state_dict(), {**card, "config": asdict(ranker.config)}, torch.float16)


def parse_sizes(text: str) -> Sequence[int]:
    """Hidden sizes as in "256,64".

    Raises ValueError for anything else.
    """
    try:
        return tuple(int(x) for x in text.split(","))
    except ValueError:
        raise ValueError(f"hidden is {text!r}; give sizes joined by commas, as in 256,64.") from None
