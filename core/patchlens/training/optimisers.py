"""What trainings share in fitting: the hyperparameters that all have, optimisers, and learning-rate curves."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Fit:
    """What every recipe says; `batch` is the samples of one step, over all processes."""

    batch: int = 64
    seed: int = 0
    lr: float = 2e-3
    weight_decay: float = 0.05


def muon_and_adamw(
    matrices: Iterable[nn.Parameter], others: list[dict[str, Any]], fit: Fit
) -> list[torch.optim.Optimizer]:
    """Muon for `matrices`, AdamW at half the rate for the parameter groups `others`."""
    muon = torch.optim.Muon(matrices, lr=fit.lr, weight_decay=fit.weight_decay, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW(others, lr=fit.lr / 2, betas=(0.9, 0.98), weight_decay=fit.weight_decay)]


def trapezoid(at: float, warmup: float, decay_from: float) -> float:
    """Learning-rate factor at a share of the run: linear warm-up, flat, linear to zero from `decay_from` on."""
    return min(1.0, at / warmup, (1 - at) / (1 - decay_from))


def half_cosine(at: float, warmup: float) -> float:
    """Learning-rate factor at a share of the run: linear warm-up, then half a cosine to zero."""
    return at / warmup if at < warmup else 0.5 * (1 + math.cos(math.pi * (at - warmup) / (1 - warmup)))
