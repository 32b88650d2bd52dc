"""torch's flop counter (two per multiply-accumulate), taught the CPU's fused attention where torch leaves that out."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, flop_registry, sdpa_backward_flop_count, sdpa_flop_count

FUSED = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        lambda out, q, k, v, *_, **__: sdpa_backward_flop_count(out, q, k, v)
    ),
}


def flop_counter() -> Any:
    """Counts what runs inside its `with` block; torch 2.15 counts CPU attention itself."""
    return FlopCounterMode(display=False, custom_mapping={op: f for op, f in FUSED.items() if op not in flop_registry})
