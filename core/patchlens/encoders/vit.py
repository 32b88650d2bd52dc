"""The one transformer: pre-norm ViT blocks over packed, variable-length sequences.

Every checkpoint family is loaded into this class (`open_clip.py`, `videomae.py`, `timm.py`, `reference.py`). It knows
patches, positions and segments; it knows no video, no selector and no weights' origin. Its seams: tokens may be missing
before block 1, a residual token may be inserted behind the class token, a merger may act between attention and MLP, and
`tap` may watch any submodule. Letters: S packed length, D width, P prefix tokens, G segments, K kept patches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from patchlens.encoders.merging import run_merged
from patchlens.encoders.packing import Segments, attend, patch_places, segment_mean
from patchlens.merge import Merger

Check = Callable[[], None]


@dataclass(frozen=True)
class ViTConfig:
    """Shape of a ViT. `grid` is (t, h, w) of one segment: t = 1 means that frames are encoded one at a time.

    `prefix` counts class and register tokens (the class token is number 0); `outputs` is classes or projection width;
    `eps_post` is the LayerNorm epsilon behind the pooling, where a family has another one there.
    """

    width: int
    depth: int
    heads: int
    mlp: int
    grid: tuple[int, int, int]
    patch: int
    tubelet: int = 1
    channels: int = 3
    prefix: int = 0
    pool: str = "mean"
    outputs: int = 0
    output_bias: bool = True
    embed_bias: bool = True
    norm_pre: bool = False
    activation: str = "gelu"
    eps: float = 1e-6
    eps_post: float | None = None

    @property
    def tokens(self) -> int:
        """Patch tokens in one whole segment."""
        t, h, w = self.grid
        return t * h * w

    @property
    def patch_dim(self) -> int:
        """Numbers in one patch: channels * tubelet * patch^2."""
        return self.channels * self.tubelet * self.patch**2


class Output(NamedTuple):
    """patches (K, D) after the last block; pooled (G, D) after the final norm; out (G, outputs), pooled without a head.

    Behind a merger there are fewer patches, and groups int64 (K,) says for each that entered which one it is now part of
    (their numbers among those that entered; -1: dropped).
    """

    patches: Tensor
    pooled: Tensor
    out: Tensor
    groups: Tensor | None = None


class Attention(nn.Module):
    """Multi-head self-attention within segments, with one fused qkv layer."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.proj = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor, segments: Segments, backend: str | None = None) -> Tensor:
        return self.join(attend(*self.split(x), segments, backend))

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, each (S, heads, dh)."""
        return self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(1)

    def join(self, heads: Tensor) -> Tensor:
        """The output layer over attended values (S, heads, dh)."""
        return self.proj(heads.flatten(1))


class MLP(nn.Module):
    """Two layers with GELU, or CLIP's QuickGELU x*sigmoid(1.702x)."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.quick = config.activation == "quick_gelu"
        self.fc1 = nn.Linear(config.width, config.mlp)
        self.fc2 = nn.Linear(config.mlp, config.width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc1(x)
        return self.fc2(x * torch.sigmoid(1.702 * x) if self.quick else F.gelu(x))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); the two halves can be run apart."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, config.eps)
        self.attention = Attention(config)
        self.norm2 = nn.LayerNorm(config.width, config.eps)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, segments: Segments, backend: str | None = None) -> Tensor:
        x = self.mix(x, segments, backend)
        return x + self.mlp_output(x)

    def mix(self, x: Tensor, segments: Segments, backend: str | None = None) -> Tensor:
        """First half: x + attention(norm1(x))."""
        return x + self.attention(self.norm1(x), segments, backend)

    def mlp_output(self, x: Tensor) -> Tensor:
        """Second half before its residual addition: mlp(norm2(x)), what Grad-CAM watches."""
        return self.mlp(self.norm2(x))


class ViT(nn.Module):
    """A pre-norm vision transformer over packed segments; see the module's docstring for its seams."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Linear(config.patch_dim, config.width, bias=config.embed_bias)
        self.prefix = nn.Parameter(torch.zeros(config.prefix, config.width))  # positions of its own folded in
        self.position = nn.Parameter(torch.zeros(config.tokens, config.width))
        self.norm_pre = nn.LayerNorm(config.width, config.eps) if config.norm_pre else nn.Identity()
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        eps = config.eps if config.eps_post is None else config.eps_post
        self.norm_post = nn.LayerNorm(config.width, eps)
        self.head = (
            nn.Linear(config.width, config.outputs, config.output_bias) if config.outputs else nn.Identity()
        )

    def embed(self, patches: Tensor, index: Tensor) -> Tensor:
        """Linear patch embedding plus position: normalised patches (K, patch_dim), token numbers (K,) -> (K, D)."""
        x = self.embedding(patches)
        if len(index) == self.config.tokens and bool(
            (index == torch.arange(len(index), device=index.device)).all()
        ):
            return x + self.position.to(x.dtype)  # a whole segment: no gather
        return x + self.position[index % self.config.tokens].to(x.dtype)

    def forward(
        self,
        x: Tensor,
        counts: tuple[int, ...],
        *,
        residual: Tensor | None = None,
        backend: str | None = None,
        check: Check | None = None,
        merger: Merger | None = None,
    ) -> Output:
        """Run the blocks over embedded patches (K, D) whose segments hold `counts` patches each.

        residual (G, D) is one more token per segment, placed right behind the class token and given no position
        (ResidualViT sec. 3.1). `check` is called before each block and may raise to stop the run.
        """
        x, segments, where = self.assemble(x, counts, residual)
        if merger is not None:
            return run_merged(self, x, segments, where, counts, merger, backend, check)
        x = self.trunk(x, segments, backend=backend, check=check)
        return self.finish(x, segments, where, counts)

    def trunk(
        self,
        x: Tensor,
        segments: Segments,
        start: int = 0,
        stop: int | None = None,
        backend: str | None = None,
        check: Check | None = None,
    ) -> Tensor:
        """Blocks start to stop (end exclusive) over the packed sequence (S, D)."""
        for block in self.blocks[start:stop]:
            if check:
                check()
            x = block(x, segments, backend)
        return x

    def assemble(
        self, x: Tensor, counts: tuple[int, ...], residual: Tensor | None = None
    ) -> tuple[Tensor, Segments, Tensor | None]:
        """Put prefix and residual tokens in front of each segment's patches.

        Returns the packed sequence (S, D) behind the first norm where there is one, its segments, and the packed places
        of the patches (None: all of them).
        """
        extras = self._extras(len(counts), residual, x.dtype)
        front = extras.shape[1]
        segments = Segments(tuple(front + c for c in counts))
        if front == 0:
            return self.norm_pre(x), segments, None
        if len(segments.runs) == 1:  # equal lengths: two views instead of a gather
            packed = torch.cat([extras, x.unflatten(0, (len(counts), counts[0]))], 1).flatten(0, 1)
        else:
            parts = [piece for e, p in zip(extras, x.split(counts), strict=True) for piece in (e, p)]
            packed = torch.cat(parts)
        return self.norm_pre(packed), segments, patch_places(counts, front, x.device)

    def _extras(self, groups: int, residual: Tensor | None, dtype: torch.dtype) -> Tensor:
        """Prefix (and residual, at index 1) tokens of each segment, (G, P or P+1, D)."""
        extras = self.prefix.to(dtype).expand(groups, -1, -1)
        if residual is None:
            return extras
        return torch.cat([extras[:, :1], residual.to(dtype)[:, None], extras[:, 1:]], 1)

    def finish(
        self,
        x: Tensor,
        segments: Segments,
        where: Tensor | None,
        counts: tuple[int, ...],
        weights: Tensor | None = None,
    ) -> Output:
        """Pool, normalise and apply the head; CLS pooling before the norm equals the norm before CLS pooling.

        weights (K,) make a mean over patches a weighted one.
        """
        patches = x if where is None else x[where]
        if self.config.pool == "cls":
            pooled = x[segments.bounds(x.device)[:-1].long()]
        else:
            pooled = segment_mean(patches, Segments(counts), weights).to(x.dtype)
        pooled = self.norm_post(pooled)
        return Output(patches, pooled, self.head(pooled))
