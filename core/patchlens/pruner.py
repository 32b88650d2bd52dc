"""DynamicViT's prediction network: what a token is worth on its way, read off the token and off all others; and its file.

One scorer per stage. Half of a token's projected channels stay its own, the other half is the mean over all tokens that
are still there; an MLP makes one number of the two. Source: Rao et al., DynamicViT (arXiv 2106.02034), sec. 3.2.
Departure: one output, the logit of being kept, where the paper has a softmax of two; only their difference counts.
Knows tokens; knows neither video nor training.
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
from patchlens.encoders.catalog import pruner_file

OWNER = "tiny-video"  # the bundled model whose pruner ships


@dataclass(frozen=True)
class PrunerConfig:
    """Shape of a pruner: width D of the tokens, an even number, and how many stages there are."""

    width: int
    stages: int = 3


class Scorer(nn.Module):
    """Tokens (B, L, D) to one logit each, (B, L); `policy` (B, L) says which are still there (1; all without it)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.enter = nn.LayerNorm(width), nn.Linear(width, width)
        sizes = _sizes(width)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False))

    def forward(self, x: Tensor, policy: Tensor | None = None) -> Tensor:
        own, shared = F.gelu(self.enter(self.norm(x))).chunk(2, -1)
        there = torch.ones_like(x[..., :1]) if policy is None else policy[..., None]
        mean = (shared * there).sum(1, keepdim=True) / there.sum(1, keepdim=True)
        x = torch.cat([own, mean.expand_as(shared)], -1)
        for layer in self.layers[:-1]:
            x = F.gelu(layer(x))
        return self.layers[-1](x).squeeze(-1)


class Pruner(nn.Module):
    """A scorer for every stage."""

    def __init__(self, config: PrunerConfig) -> None:
        super().__init__()
        self.config = config
        self.stages = nn.ModuleList(Scorer(config.width) for _ in range(config.stages))


def _sizes(width: int) -> tuple[int, ...]:
    return width, width // 2, width // 4, 1


def scorer_macs(width: int, tokens: int) -> int:
    """Multiply-accumulates of one scorer on `tokens` tokens."""
    sizes = _sizes(width)
    return tokens * (width**2 + sum(a * b for a, b in zip(sizes, sizes[1:], strict=False)))


@torch.no_grad()
def score_tokens(pruner: Pruner, stage: int, x: Tensor) -> Tensor:
    """Logits float32 (B, L) of tokens (B, L, D) at a stage.

    Raises ValueError for tokens of another width, or a stage that the pruner was not trained for.
    """
    config = pruner.config
    if x.shape[-1] != config.width or stage >= config.stages:
        raise ValueError(
            f"This pruner has {config.stages} stages for tokens of width {config.width}, and is asked for stage "
            f"{stage + 1} of width {x.shape[-1]}; train one for this encoder with `patchlens train pruner`."
        )
    return pruner.to(x.device).stages[stage](x.float())


def pruner_for(weights: str = "auto") -> tuple[Pruner, dict[str, Any]]:
    """A trained pruner and its card: the bundled one (of `OWNER`), or a file that `patchlens train pruner` wrote.

    Raises ValueError for a file that is none.
    """
    path = pruner_file(OWNER) if weights == "auto" else Path(weights).expanduser()
    with carded.expected(path, "pruner", "patchlens train pruner"):
        return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _read(path: Path, stamp: int) -> tuple[Pruner, dict[str, Any]]:
    state, card = carded.read(path)
    pruner = Pruner(PrunerConfig(**card["config"]))
    pruner.load_state_dict(state)
    return pruner.eval().requires_grad_(False), card


def write_pruner(path: Path, pruner: Pruner, card: dict[str, Any]) -> None:
    """Write weights (half precision) and card as one safetensors file, whole or not at all."""
    carded.write(path, pruner.state_dict(), {**card, "config": asdict(pruner.config)}, torch.float16)
