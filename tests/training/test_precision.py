"""Mixed precision: bfloat16 only where it is not imitated."""

from __future__ import annotations

import pytest
import torch
from patchlens.training.precision import fast_bfloat16, mixed


@pytest.mark.parametrize("supported", [True, False])
def test_a_processor_without_bfloat16_computes_in_float32(monkeypatch, supported):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported)
    layer, x = torch.nn.Linear(4, 4), torch.ones(2, 4)
    with mixed(torch.device("cpu")):
        assert layer(x).dtype == (torch.bfloat16 if supported else torch.float32)
    assert layer(x).dtype == torch.float32 and fast_bfloat16(torch.device("cuda"))
