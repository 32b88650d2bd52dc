"""vid-TLDR against its definition: saliency from attention, and background that adds next to nothing."""

from __future__ import annotations

import torch
from patchlens.merge import Look
from patchlens.mergers.vidtldr import VidTLDR, saliency


def test_saliency_is_sharp_attention_above_the_mean() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 9, 3, 4)
    rows = torch.stack([torch.softmax(q[0, :, h] @ k[0, :, h].T / 2, -1) for h in range(3)]).mean(0)
    score = (rows * rows.log()).sum(-1)
    score = (score - score.min()) / (score.max() - score.min())
    expected = torch.where(score < score.mean(), torch.zeros(9), (score - score.mean()) / (score - score.mean()).max())
    torch.testing.assert_close(saliency(q, k)[0], expected, rtol=1e-4, atol=1e-5)
    assert saliency(q, k, front=2)[0, :2].tolist() == [0, 0] and saliency(q, k, front=2).max() == 1
    assert not saliency(q * 0, k).isnan().any(), "all rows alike"


def test_what_attends_to_all_alike_adds_nothing_and_what_attends_sharply_counts_whole() -> None:
    x = torch.eye(8)[[0, 0, 1, 1, 2, 2, 3, 4]] + 0.01 * torch.arange(8)[:, None]
    keys = torch.eye(8)[:, None]
    queries = torch.zeros(8, 1, 8)
    queries[2] = 50 * torch.eye(8)[5]  # only token 2 looks at one thing
    look = Look(x[None], queries[None], keys[None], torch.ones(1, 8), 6, 0, 0, 4)
    merge = VidTLDR(2).decide(look)
    shorter, size = merge.apply(x[None])
    joined = {int(i) for i in (torch.ones(8).scatter(0, merge.stay[0], 0)).nonzero()}
    assert len(joined) == 2 and joined <= {0, 2, 4}
    for token in joined:
        mate = token + 1
        place = int(merge.into[0, token])
        assert place == int(merge.into[0, mate])
        if token == 2:
            assert size[0, place] == 2
            torch.testing.assert_close(shorter[0, place], (x[2] + x[3]) / 2)
        else:
            assert size[0, place] == 1
            torch.testing.assert_close(shorter[0, place], x[mate])


def test_it_merges_in_the_first_three_blocks_only() -> None:
    assert [a - m for a, m in VidTLDR(600).lengths(1568, 12, 0)] == [600, 200, 100, *[0] * 9]
