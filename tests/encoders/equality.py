"""What the three equality tests share: random parameters that hide nothing, patches cut from float frames, an error.

Default initialisation hides mistakes (zero biases, unit norms, tiny positions), so every parameter is drawn anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from patchlens.encoders.loading import adopt
from patchlens.encoders.vit import Output, ViT, ViTConfig
from torch import Tensor, nn

TOLERANCE = 2e-5  # of the output's standard deviation, float32; the bar asked for is 2e-4
SMALL = 1e-3  # residual streams of this size have variances near the epsilons


def redraw(model: nn.Module, seed: int = 0) -> nn.Module:
    """Draw every parameter: matrices so that signals keep their size, vectors wide, norm weights around 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            for name, p in module.named_parameters(recurse=False):
                if p.ndim > 1 and not ("pos" in name or "token" in name):
                    p.normal_(0, p[0].numel() ** -0.5, generator=generator)
                else:
                    p.normal_(0, 0.5, generator=generator)
                if isinstance(module, nn.LayerNorm) and name == "weight":
                    p.mul_(0.6).add_(1)
    return model.eval()


def shrink(model: nn.Module, parts: tuple[str, ...]) -> nn.Module:
    """Scale down every parameter whose name holds one of `parts`: all that writes to the residual stream."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if any(part in name for part in parts):
                p.mul_(SMALL)
    return model


def frames(count: int, side: int, seed: int = 0) -> Tensor:
    """Normalised float frames (count, 3, side, side) with structure at every scale."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, side // 8, side // 8, generator=generator)
    fine = torch.randn(count, 3, side, side, generator=generator)
    return nn.functional.interpolate(coarse, size=(side, side), mode="bilinear") + 0.5 * fine


def patches(x: Tensor, tubelet: int, patch: int) -> Tensor:
    """Frames (T, 3, H, W) to patches (N, 3*tubelet*patch*patch), tokens in (t, y, x) order."""
    t, c, h, w = x.shape
    x = x.reshape(t // tubelet, tubelet, c, h // patch, patch, w // patch, patch)
    return x.permute(0, 3, 5, 2, 1, 4, 6).reshape(-1, c * tubelet * patch * patch)


def subset(tokens: int, kept: int, seed: int = 0) -> Tensor:
    """Random token numbers, rising."""
    return torch.randperm(tokens, generator=torch.Generator().manual_seed(seed))[:kept].sort().values


@torch.no_grad()
def run(vit: ViT, pieces: list[Tensor], keeps: list[Tensor] | None = None) -> Output:
    """Run several segments packed; `pieces` are whole segments of patches, `keeps` token numbers to keep of each."""
    keeps = keeps or [torch.arange(len(p)) for p in pieces]
    x = torch.cat([p[k] for p, k in zip(pieces, keeps, strict=True)])
    return vit(vit.embed(x, torch.cat(keeps)), tuple(len(k) for k in keeps))


def error(ours: Tensor, theirs: Tensor) -> float:
    """Largest absolute difference over the reference's standard deviation."""
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.std())


def tanh_mlp(self: nn.Module, x: Tensor) -> Tensor:
    """An MLP with the tanh approximation of GELU."""
    return self.fc2(nn.functional.gelu(self.fc1(x), approximate="tanh"))


def swap_norms(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """norm1 and norm2 of every block exchanged."""
    other = {"norm1": "norm2", "norm2": "norm1"}
    return {".".join(other.get(part, part) for part in name.split(".")): x for name, x in state.items()}


def without_bias(part: int) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    """Zero the query (0), key (1) or value (2) bias of every block."""

    def edit(state: dict[str, Tensor]) -> dict[str, Tensor]:
        out = {}
        for name, x in state.items():
            out[name] = x.clone()
            if name.endswith("qkv.bias"):
                out[name].chunk(3)[part].zero_()
        return out

    return edit


def mutant(vit: ViT, edit: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict, **config: object) -> ViT:
    """A copy of a ViT with edited weights or another config."""
    changed: ViTConfig = replace(vit.config, **config)
    return adopt(changed, edit(dict(vit.state_dict())), "mutant")
