"""Optimisers and learning-rate curves of the trainings."""

from __future__ import annotations

import pytest
import torch
from patchlens.training.optimisers import Muon, half_cosine, orthogonal, trapezoid


def test_orthogonal_evens_out_singular_values_and_keeps_directions():
    matrix = torch.randn(24, 40, generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    for wanted, x in ((u @ v, matrix), ((u @ v).T, matrix.T)):
        found = orthogonal(x)
        values = torch.linalg.svdvals(found.float())
        assert found.dtype == x.dtype and values.min() > 0.6 and values.max() < 1.3
        assert torch.nn.functional.cosine_similarity(found.flatten(), wanted.flatten(), dim=0) > 0.97


def test_muon_is_torchs_up_to_its_precision_and_takes_its_checkpoints():
    start = torch.randn(16, 32, generator=torch.Generator().manual_seed(1))
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    settings = dict(lr=0.02, weight_decay=0.05)
    mine, reference = Muon([ours], **settings), torch.optim.Muon([theirs], **settings, adjust_lr_fn="match_rms_adamw")
    for step in range(3):
        for p in (ours, theirs):
            p.grad = torch.randn(16, 32, generator=torch.Generator().manual_seed(step))
        mine.step()
        reference.step()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-3)
    assert (ours - start).abs().max() > 0.03
    mine.load_state_dict(reference.state_dict())
    assert torch.equal(mine.state[ours]["momentum_buffer"], reference.state[theirs]["momentum_buffer"])


def test_curves_warm_up_and_end_at_zero():
    assert [trapezoid(at, 0.1, 0.5) for at in (0.05, 0.1, 0.5, 0.75, 1)] == [0.5, 1, 1, 0.5, 0]
    assert [half_cosine(at, 0.1) for at in (0.05, 0.1, 0.55, 1)] == pytest.approx([0.5, 1, 0.5, 0])
