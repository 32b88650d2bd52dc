"""The types that join everything: Grid, Tokens, Scores and Keep here, Clip in `clip.py`, the outcome in `results.py`.

All are frozen and check their invariants where they are made; none knows how it is computed or drawn. There is no
batch axis. Token order is n = (t*h + y)*w + x everywhere, and only `Grid` maps between n, (t, y, x) and pixels.
Letters: T frames, t tubelets, N = t*h*w tokens, K kept, D width, C classes, p patch side in pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from patchlens.clip import Clip, MotionMap, Source, require
from patchlens.lazy import torch
from patchlens.results import Cost, Encoding, Report, Trace

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """How a clip is cut into tokens: t x h x w cells of `tubelet` frames by `patch` x `patch` pixels."""

    t: int
    h: int
    w: int
    tubelet: int
    patch: int

    def __post_init__(self) -> None:
        for name in ("t", "h", "w", "tubelet", "patch"):
            require(getattr(self, name) >= 1, f"Grid.{name} is {getattr(self, name)}; it must be at least 1.")

    @property
    def n(self) -> int:
        """Number of tokens N = t*h*w."""
        return self.t * self.h * self.w

    @property
    def per_frame(self) -> int:
        """Tokens in one tubelet (or one frame): h*w."""
        return self.h * self.w

    @property
    def frames(self) -> int:
        """Frames covered: t*tubelet."""
        return self.t * self.tubelet

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels of the frames that the grid covers."""
        return self.h * self.patch, self.w * self.patch

    def index(self, t: int, y: int, x: int) -> int:
        """Token number of cell (t, y, x)."""
        return (t * self.h + y) * self.w + x

    def cell(self, n: int) -> tuple[int, int, int]:
        """Cell (t, y, x) of token n."""
        return n // self.per_frame, n // self.w % self.h, n % self.w

    def box(self, n: int) -> tuple[int, int, int, int]:
        """Pixels (x0, y0, x1, y1), end exclusive, that token n covers in the encoder's frame."""
        _, y, x = self.cell(n)
        return x * self.patch, y * self.patch, (x + 1) * self.patch, (y + 1) * self.patch

    def volume(self, values: Tensor) -> Tensor:
        """View per-token values (N, ...) as (t, h, w, ...)."""
        return values.reshape(self.t, self.h, self.w, *values.shape[1:])


@dataclass(frozen=True, eq=False)
class Tokens:
    """A clip cut into patches, before any embedding, so that what a selector drops is never embedded.

    patches      uint8 (N, C, tubelet, p, p)
    grid         Grid
    frame_index  int64 (t*tubelet,): the clip frame each token frame was taken from (repeats where the clip was short)
    embedder     (patches (K, ...), index (K,)) -> (K, D), normalised, position added
    """

    patches: Tensor
    grid: Grid
    frame_index: Tensor
    embedder: Callable[[Tensor, Tensor], Tensor] = field(repr=False)
    _embedded: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        grid = self.grid
        require(
            self.patches.shape[0] == grid.n and self.patches.shape[2:] == (grid.tubelet, grid.patch, grid.patch),
            f"Tokens.patches has shape {tuple(self.patches.shape)}; the grid asks for "
            f"({grid.n}, C, {grid.tubelet}, {grid.patch}, {grid.patch}).",
        )

    @property
    def frames(self) -> Tensor:
        """The frames as cut, uint8 (t*tubelet, H, W, C)."""
        g = self.grid
        x = self.patches.reshape(g.t, g.h, g.w, -1, g.tubelet, g.patch, g.patch)
        return x.permute(0, 4, 1, 5, 2, 6, 3).reshape(g.frames, *g.size_hw, -1)

    def embed(self, keep: Keep | None = None) -> Tensor:
        """Embeddings (K, D) of the kept tokens (all N without `keep`), position added; all N are cached."""
        if keep is not None:
            index = keep.index
            return self.embedder(self.patches[index], index)
        if "all" not in self._embedded:
            self._embedded["all"] = self.embedder(self.patches, torch.arange(self.grid.n))
        return self._embedded["all"]


@dataclass(frozen=True, eq=False)
class Scores:
    """What a selector thinks each token is worth: higher is kept first.

    values  float32 (N,) on the CPU, no NaN; +inf ranks first
    unit    what a value means, in words
    fine    float32 (N,) or None: breaks ties between equal values (the oracle's map before its ReLU)
    change  float32 (t,) or None: how much each frame differs from the one before, +inf where a shot begins; schedules
            I-frames
    gmacs   what computing them cost, in 1e9 multiply-accumulates (0 where pixels were only copied)
    facts   plain data worth showing (block, label, where motion came from, ...)
    """

    values: Tensor
    unit: str
    fine: Tensor | None = None
    gmacs: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    change: Tensor | None = None

    def __post_init__(self) -> None:
        for name, x in (("values", self.values), ("fine", self.fine)):
            if x is None:
                continue
            require(x.shape == self.values.shape, f"Scores.fine has shape {tuple(x.shape)}, unlike values.")
            require(
                x.ndim == 1 and x.dtype == torch.float32,
                f"Scores.{name} must be float32 (N,), not {x.dtype}.",
            )
            require(not bool(x.isnan().any()), f"Scores.{name} holds NaN; a score must be a number.")
        if self.change is not None:
            known = self.change.ndim == 1 and self.change.dtype == torch.float32 and not self.change.isnan().any()
            require(bool(known and (self.change >= 0).all()), "Scores.change must be float32 (t,), 0 or more.")

    @property
    def embeds_all(self) -> bool:
        """Whether every patch was embedded for them (LITE)."""
        return bool(self.facts.get("embeds_all", False))

    @property
    def confidence(self) -> float:
        """How sure a glance at the clip was, 0..1, for rules whose budget follows it (LITE++); 0 where nobody looked."""
        return float(self.facts.get("confidence", 0.0))


@dataclass(frozen=True, eq=False)
class Keep:
    """A selector's decision: which tokens stay.

    mask        bool (N,), True = stays; at least one stays
    run_length  int64 (N,) or None: tubelets a kept token stands for; 0 exactly where dropped, summing to t per place
    anchor      int64 (t,) or None: the I-frame each frame leans on, the last one up to it (an I-frame leans on itself)
    residual    with anchors: what a P-frame is given of its I-frame: "on" (a residual token), "zero" (a token of zeros),
                "off", or "auto" (on where the encoder has a residual tokenizer)
    weighted    a mean over the tokens of the clip counts each by its run length
    coarse      with anchors: rows and columns of a P-frame's patches, where it is seen at lower resolution, each marked in
                the mask at the first of the patches it stands for; None: those of the grid
    embeds_all  whether every patch was embedded to decide (LITE), so that a run takes the kept ones from there
    """

    mask: Tensor
    grid: Grid
    run_length: Tensor | None = None
    anchor: Tensor | None = None
    residual: str = "off"
    weighted: bool = False
    embeds_all: bool = False
    coarse: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        require(
            self.mask.dtype == torch.bool and self.mask.shape == (self.grid.n,),
            f"Keep.mask is {self.mask.dtype} {tuple(self.mask.shape)}; it must be bool ({self.grid.n},).",
        )
        require(bool(self.mask.any()), "A Keep must keep at least one token.")
        if self.anchor is not None:
            self._check_anchor()
        if self.run_length is not None:
            shape = tuple(self.run_length.shape)
            require(shape == (self.grid.n,), f"Keep.run_length has shape {shape}; it must be ({self.grid.n},).")
            whole = self.grid.volume(self.run_length).sum(0)
            require(
                bool(((self.run_length != 0) == self.mask).all()),
                "run_length must be 0 exactly where dropped.",
            )
            require(bool((self.run_length >= 0).all()), "A run length is negative; it counts tubelets.")
            require(bool((whole == self.grid.t).all()), "run lengths must sum to t at every place.")

    def _check_anchor(self) -> None:
        known = self.anchor.dtype == torch.int64 and self.anchor.shape == (self.grid.t,)
        require(known, f"Keep.anchor must be int64 ({self.grid.t},), one I-frame per frame.")
        latest = torch.where(self.intra, torch.arange(self.grid.t), -1).cummax(0).values
        require(bool((self.anchor == latest).all()), "Every frame leans on the last I-frame up to it.")
        require(min(self.per_frame) > 0, "Every frame of an interleaved plan keeps a patch.")

    @property
    def intra(self) -> Tensor:
        """Which frames are I-frames, bool (t,): all of them without anchors."""
        frames = torch.arange(self.grid.t)
        return frames >= 0 if self.anchor is None else self.anchor == frames

    @property
    def count(self) -> int:
        """K, the number of tokens that stay."""
        return int(self.mask.sum())

    @property
    def ratio(self) -> float:
        """Keep ratio K/N."""
        return self.count / self.grid.n

    @property
    def index(self) -> Tensor:
        """Token numbers that stay, int64 (K,), rising."""
        return self.mask.nonzero().squeeze(1)

    @property
    def per_frame(self) -> list[int]:
        """Tokens kept in each tubelet."""
        return self.mask.reshape(self.grid.t, -1).sum(1).tolist()


__all__ = [
    "Clip", "Cost", "Encoding", "Grid", "Keep", "MotionMap", "Report", "Scores", "Source", "Tokens", "Trace",
]  # fmt: skip
