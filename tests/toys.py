"""Toy encoders and clips, and an ordinary batched ViT with the same weights as the packed one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from patchlens.encoders.encoder import Encoder
from patchlens.encoders.loaded import Inputs, Loaded
from patchlens.encoders.residual import ResidualTokenizer
from patchlens.encoders.vit import ViT, ViTConfig
from patchlens.pipeline import RunContext
from patchlens.types import Clip, Grid, Keep, Scores
from torch import Tensor, nn

CLASSES = ("Rising", "falling", "left to right", "a, b + c", "still", "7 things")
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)  # not ImageNet's: RLT must not care


def redraw(model: nn.Module, seed: int) -> nn.Module:
    """Draw every parameter anew, so that no default (zero bias, unit norm) hides a mistake."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            for name, p in module.named_parameters(recurse=False):
                spread = p.shape[-1] ** -0.5 if isinstance(module, nn.Linear) and name == "weight" else 0.4
                p.normal_(0, spread, generator=draw)
                if isinstance(module, nn.LayerNorm) and name == "weight":
                    p.add_(1)
    return model


def make(
    name: str,
    config: ViTConfig,
    frames: int | None,
    seed: int,
    classes: tuple[str, ...] | None,
    dtype: str,
    fit: str = "squash",
    normalise: bool = False,
    residual: int = 0,
) -> Encoder:
    """An Encoder around a redrawn ViT, with a residual tokenizer of so many layers."""
    t, h, w = config.grid
    inputs = Inputs(
        (h * config.patch, w * config.patch), frames, config.tubelet, config.patch, MEAN, STD, fit
    )
    facts = {"seed": seed, "shape": str(config), "fit": fit}
    loaded = Loaded(redraw(ViT(config), seed), inputs, classes, "toy", facts, normalise=normalise)
    if residual:
        features = config.outputs if classes is None else config.width
        loaded.residual_tokenizer = redraw(ResidualTokenizer(features, config.width, residual), seed + 1)
        loaded.facts["residual_tokenizer"] = f"{residual} layers"
    return Encoder(name, loaded, "cpu", dtype)


def space_time(
    seed: int = 0, prefix: int = 2, dtype: str = "float32", fit: str = "squash", **config
) -> Encoder:
    """Space-time attention over 8 frames of 12 x 20 px: grid (4, 3, 5), mean pooling."""
    shape = dict(width=32, depth=3, heads=4, mlp=80, grid=(4, 3, 5), patch=4, tubelet=2, outputs=len(CLASSES))
    config = ViTConfig(**{**shape, "prefix": prefix, "eps": 1e-5, "eps_post": 1e-3, **config})
    return make("toy-space-time", config, config.grid[0] * config.tubelet, seed, CLASSES, dtype, fit)


def frame_cls(
    seed: int = 1,
    classes: tuple[str, ...] | None = CLASSES,
    dtype: str = "float32",
    residual: int = 0,
    **config,
) -> Encoder:
    """One frame of 12 x 20 px at a time: grid (1, 3, 5), class token, one register, a norm in front."""
    shape = dict(width=24, depth=4, heads=3, mlp=72, grid=(1, 3, 5), patch=4, outputs=len(CLASSES))
    more = dict(prefix=2, pool="cls", norm_pre=True, activation="quick_gelu")
    config = ViTConfig(**{**shape, **more, **config})
    return make("toy-frame-cls", config, None, seed, classes, dtype, "squash", classes is None, residual)


class Words:
    """A text tower: a sentence's feature follows from its letters."""

    def encode_text(self, texts: list[str]) -> torch.Tensor:
        made = [torch.randn(6, generator=torch.Generator().manual_seed(sum(map(ord, t)))) for t in texts]
        return F.normalize(torch.stack(made), dim=-1)


def clip_like() -> Encoder:
    """An encoder of frames with a text side."""
    encoder = frame_cls(classes=None)
    encoder.loaded.text = Words()
    return encoder


def clip(frames: int = 8, seed: int = 0, size: tuple[int, int] = (12, 20), grey: int = 60) -> Clip:
    """Random pixels around a random picture, so that some patches change more than others."""
    draw = torch.Generator().manual_seed(seed)
    still = torch.randint(0, 256 - grey, (1, *size, 3), generator=draw)
    change = torch.randint(0, grey, (frames, *size, 3), generator=draw) * torch.rand(
        frames, 1, size[1], 1, generator=draw
    )
    return Clip.from_frames((still + change).to(torch.uint8))


def context(encoder: Encoder, clip: Clip, label: str | int | None = None, seed: int = 0) -> RunContext:
    """What a selector may ask for."""
    return RunContext(encoder, clip, label, seed)


def some(grid: Grid, count: int, seed: int = 0, first: int = 0) -> Keep:
    """A random Keep of `count` tokens, `first` of them in the first frame."""
    draw = torch.Generator().manual_seed(seed)
    mask = torch.zeros(grid.n, dtype=torch.bool)
    mask[torch.randperm(grid.per_frame, generator=draw)[:first]] = True
    free = (~mask).nonzero().squeeze(1)
    mask[free[torch.randperm(len(free), generator=draw)[: count - first]]] = True
    return Keep(mask, grid)


def scores(values: list[float], fine: list[float] | None = None) -> Scores:
    """Scores of plain numbers."""
    return Scores(
        torch.tensor(values, dtype=torch.float32), "test", None if fine is None else torch.tensor(fine)
    )


class Plain(nn.Module):
    """The weights of a toy encoder in an ordinary ViT over (B, K, D), written from the papers.

    Each block hands the patches' MLP output to a tap as (B, D, K), the layout captum's LayerGradCam expects.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.config, self.inputs = encoder.config, encoder.inputs
        self.w = {name: p.detach().clone() for name, p in encoder.vit.state_dict().items()}
        self.taps = nn.ModuleList(nn.Identity() for _ in range(self.config.depth))

    def double(self) -> Plain:
        """In float64."""
        self.w = {name: p.double() for name, p in self.w.items()}
        return self

    def embed(self, frames: Tensor) -> Tensor:
        """uint8 frames (T, H, W, 3) to (B, K, D) by a strided convolution: B = 1 clip, or T frames."""
        c, kind = self.config, self.w["embedding.weight"].dtype
        x = (frames.to(kind) / 255 - torch.tensor(self.inputs.mean)) / torch.tensor(self.inputs.std)
        kernel = self.w["embedding.weight"].reshape(c.width, 3, c.tubelet, c.patch, c.patch)
        cells = F.conv3d(
            x.permute(3, 0, 1, 2)[None].to(kind), kernel, self.w["embedding.bias"], stride=kernel.shape[2:]
        )
        if c.grid[0] == 1:  # each frame by itself
            cells = cells[0].transpose(0, 1)
        return cells.flatten(2).transpose(1, 2) + self.w["position"]

    def norm(self, x: Tensor, name: str, eps: float) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self.w[f"{name}.weight"], self.w[f"{name}.bias"], eps)

    def linear(self, x: Tensor, name: str) -> Tensor:
        return x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]

    def attention(self, x: Tensor, name: str) -> tuple[Tensor, Tensor]:
        """(B, S, D) out, and the softmax weights (B, heads, S, S)."""
        split = self.linear(x, f"{name}.qkv").unflatten(-1, (3, self.config.heads, -1))
        q, k, v = split.permute(2, 0, 3, 1, 4)  # each (B, heads, S, dh)
        weights = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, -1)
        return self.linear((weights @ v).transpose(1, 2).flatten(2), f"{name}.proj"), weights

    def start(self, x: Tensor) -> Tensor:
        """Prefix tokens in front, and the norm before the blocks where there is one."""
        x = torch.cat([self.w["prefix"].expand(len(x), -1, -1), x], 1)
        return self.norm(x, "norm_pre", self.config.eps) if self.config.norm_pre else x

    def block(self, x: Tensor, i: int) -> Tensor:
        c, name = self.config, f"blocks.{i}"
        x = x + self.attention(self.norm(x, f"{name}.norm1", c.eps), f"{name}.attention")[0]
        hidden = self.linear(self.norm(x, f"{name}.norm2", c.eps), f"{name}.mlp.fc1")
        hidden = hidden * torch.sigmoid(1.702 * hidden) if c.activation == "quick_gelu" else F.gelu(hidden)
        made = self.linear(hidden, f"{name}.mlp.fc2")
        patches = self.taps[i](made[:, c.prefix :].transpose(1, 2)).transpose(1, 2)
        return x + torch.cat([made[:, : c.prefix], patches], 1)

    def trunk(self, x: Tensor) -> Tensor:
        x = self.start(x)
        for i in range(self.config.depth):
            x = self.block(x, i)
        return x

    def finish(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(pooled (B, D), logits (B, C))."""
        c = self.config
        pooled = x[:, 0] if c.pool == "cls" else x[:, c.prefix :].mean(1)
        pooled = self.norm(pooled, "norm_post", c.eps if c.eps_post is None else c.eps_post)
        return pooled, self.linear(pooled, "head") if c.outputs else pooled

    def forward(self, x: Tensor) -> Tensor:
        return self.finish(self.trunk(x))[1]
