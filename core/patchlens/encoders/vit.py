"""The one transformer: pre-norm ViT blocks over packed, variable-length sequences.

Every checkpoint family is loaded into this class (`open_clip.py`, `videomae.py`, `timm.py`, `reference.py`). It knows
patches, positions and segments; it knows no video, no selector and no weights' origin. Its seams: tokens may be missing
before block 1, a residual token may be inserted behind the class token, a merger may act between attention and MLP, and
`tap` may watch any submodule. Letters: S packed length, D width, P prefix tokens, G segments, K kept patches.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from patchlens.encoders.block import Block
from patchlens.encoders.merging import run_merged
from patchlens.encoders.packing import Segments, patch_places, segment_mean
from patchlens.merge import Merger

Check = Callable[[], None]


@dataclass(frozen=True)
class ViTConfig:
    """Shape of a ViT. `grid` is (t, h, w) of one segment: t = 1 means that frames are encoded one at a time.

    `prefix` counts class and register tokens (the class token is number 0); `outputs` is classes or projection width;
    `eps_post` is the LayerNorm epsilon behind the pooling, where a family has another one there; `lengths` is the longest
    run that a learned length encoding knows (0: there is none).
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
    lengths: int = 0

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


class ViT(nn.Module):
    """A pre-norm vision transformer over packed segments; see the module's docstring for its seams."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Linear(config.patch_dim, config.width, bias=config.embed_bias)
        self.prefix = nn.Parameter(torch.zeros(config.prefix, config.width))  # positions of its own folded in
        self.position = nn.Parameter(torch.zeros(config.tokens, config.width))
        self.length = nn.Parameter(torch.zeros(config.lengths, config.width)) if config.lengths else None
        self.norm_pre = nn.LayerNorm(config.width, config.eps) if config.norm_pre else nn.Identity()
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        eps = config.eps if config.eps_post is None else config.eps_post
        self.norm_post = nn.LayerNorm(config.width, eps)
        self.head = (
            nn.Linear(config.width, config.outputs, config.output_bias) if config.outputs else nn.Identity()
        )

    def embed(
        self, patches: Tensor, index: Tensor, lengths: Tensor | None = None, grid: tuple[int, int] | None = None
    ) -> Tensor:
        """Linear patch embedding plus position: normalised patches (K, patch_dim), token numbers (K,) -> (K, D).

        lengths int64 (K,), run lengths from 1 (all 1 without them), choose the length encoding of weights that have one; it
        starts at zero. Source: RLT sec. 3.3; the released code pairs it with tokens in another order.
        grid (h, w) says that frames are seen in so many patches, and their numbers count these: positions are interpolated.
        """
        x = self.embedding(patches)
        x = self._placed(x, index) if grid is None else x + self.positions(grid)[index % math.prod(grid)].to(x.dtype)
        if self.length is None:
            return x
        return x + (self.length[:1] if lengths is None else self.length[lengths - 1]).to(x.dtype)

    def _placed(self, x: Tensor, index: Tensor) -> Tensor:
        """Position added."""
        if len(index) == self.config.tokens and bool(
            (index == torch.arange(len(index), device=index.device)).all()
        ):
            return x + self.position.to(x.dtype)  # a whole segment: no gather
        return x + self.position[index % self.config.tokens].to(x.dtype)

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """The position table of one frame for (h, w) patches, (h*w, D): bicubic with antialias, as open_clip does it."""
        table = self.position.float().T.unflatten(1, self.config.grid[1:])[None]
        return F.interpolate(table, grid, mode="bicubic", antialias=True, align_corners=False)[0].flatten(1).T

    def forward(
        self,
        x: Tensor,
        counts: tuple[int, ...],
        *,
        residual: Tensor | None = None,
        backend: str | None = None,
        check: Check | None = None,
        merger: Merger | None = None,
        weights: Tensor | None = None,
    ) -> Output:
        """Run the blocks over embedded patches (K, D) whose segments hold `counts` patches each.

        residual (G, D) is one more token per segment, placed right behind the class token and given no position
        (ResidualViT sec. 3.1). `check` is called before each block and may raise to stop the run. weights (K,) make a mean
        over patches a weighted one; a merger starts with them as sizes.
        """
        x, segments, where = self.assemble(x, counts, residual)
        if merger is not None:
            return run_merged(self, x, segments, where, counts, merger, backend, check, weights)
        x = self.trunk(x, segments, backend=backend, check=check)
        return self.finish(x, segments, where, counts, weights)

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
