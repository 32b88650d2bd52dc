"""What trainings share in fitting: the hyperparameters that all have, optimisers, and learning-rate curves."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from patchlens.training.precision import fast_bfloat16

ORTHOGONALISING = (3.4445, -4.7750, 2.0315)  # coefficients of the iteration, and how often it runs
ITERATIONS = 5


@dataclass(frozen=True)
class Fit:
    """What every recipe says; `batch` is the samples of one step, over all processes."""

    batch: int = 64
    seed: int = 0
    lr: float = 2e-3
    weight_decay: float = 0.05


class Muon(torch.optim.Muon):
    """torch's Muon with Nesterov momentum, rates matched to AdamW, and float32 where bfloat16 is only imitated.

    Its checkpoints are torch's. Source: Jordan et al. 2024 (Muon); Liu et al. 2025 (arXiv:2502.16982) for the rates.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(p)
                momentum = state["momentum_buffer"]
                momentum.lerp_(p.grad, 1 - group["momentum"])
                update = orthogonal(p.grad.lerp(momentum, group["momentum"]))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * 0.2 * math.sqrt(max(p.shape)))


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrix, roughly (singular values 0.7 to 1.2), by a Newton-Schulz iteration."""
    a, b, c = ORTHOGONALISING
    x = matrix.to(torch.bfloat16 if fast_bfloat16(matrix.device) else torch.float32)
    x = x.T if len(x) > x.shape[1] else x
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if len(matrix) > matrix.shape[1] else x).to(matrix.dtype)


def remaining(modules: Iterable[nn.Module], taken: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """The parameters of `modules` that are not among those taken."""
    known = {id(p) for p in taken}
    return [p for module in modules for p in module.parameters() if id(p) not in known]


def muon_and_adamw(
    matrices: Iterable[nn.Parameter], others: list[dict[str, Any]], fit: Fit
) -> list[torch.optim.Optimizer]:
    """Muon for `matrices`, AdamW at half the rate for the parameter groups `others`."""
    muon = Muon(matrices, lr=fit.lr, weight_decay=fit.weight_decay)
    return [muon, torch.optim.AdamW(others, lr=fit.lr / 2, betas=(0.9, 0.98), weight_decay=fit.weight_decay)]


def trapezoid(at: float, warmup: float, decay_from: float) -> float:
    """Learning-rate factor at a share of the run: linear warm-up, flat, linear to zero from `decay_from` on."""
    return min(1.0, at / warmup, (1 - at) / (1 - decay_from))


def fading(at: float, until: float) -> float:
    """What helps at the start: 1 at the first step, falling to 0 at the share `until` of the run; 0 without a start."""
    return max(0.0, 1 - at / until) if until else 0.0


def half_cosine(at: float, warmup: float) -> float:
    """Learning-rate factor at a share of the run: linear warm-up, then half a cosine to zero."""
    return at / warmup if at < warmup else 0.5 * (1 + math.cos(math.pi * (at - warmup) / (1 - warmup)))
