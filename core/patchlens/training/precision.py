"""Mixed precision where it pays: bfloat16 on accelerators and on processors that multiply it, float32 on the others.

On an AVX2 processor torch only imitates bfloat16: a linear layer of width 192 took 11 times as long as in float32.
"""

from __future__ import annotations

import torch


def mixed(device: torch.device) -> torch.autocast:
    """The context that a training's forward pass runs in."""
    return torch.autocast(device.type, torch.bfloat16, enabled=fast_bfloat16(device))


def fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 there; oneDNN says so of a processor."""
    return device.type != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def precision(device: torch.device) -> str:
    """What `mixed` comes to there, in words."""
    return "bfloat16 autocast" if fast_bfloat16(device) else "float32"
