"""ToMe against the paper's definition in plain loops, one block at a time."""

from __future__ import annotations

import pytest
import torch
import toys
from patchlens.merge import Look
from patchlens.mergers.tome import ToMe


def look(x: torch.Tensor, keys: torch.Tensor, size: torch.Tensor, r: int, front: int = 0) -> Look:
    """One sequence; queries play no part."""
    return Look(x[None], keys[None], keys[None], size[None], len(x) - r, front, 0, 3)


def by_hand(x: torch.Tensor, metric: torch.Tensor, size: torch.Tensor, r: int, front: int):
    """Rows and sizes by original place: even tokens find their best odd one, the r best edges merge."""
    n, edges = len(x), []
    for a in range(0, n, 2):
        if a >= front:
            found = [(float(torch.cosine_similarity(metric[a], metric[b], dim=0)), b) for b in range(1, n, 2) if b >= front]
            edges.append((*max(found), a))
    members = {i: [i] for i in range(n)}
    for _, b, a in sorted(edges, reverse=True)[:r]:
        members[b].append(a)
        del members[a]
    rows = {i: sum(x[j] * size[j] for j in m) / sum(size[j] for j in m) for i, m in members.items()}
    return rows, {i: float(sum(size[j] for j in m)) for i, m in members.items()}


@pytest.mark.parametrize("front", [0, 1, 3])
@pytest.mark.parametrize("r", [1, 4, 9])
def test_it_is_the_papers_bipartite_matching(r: int, front: int) -> None:
    torch.manual_seed(r)
    x, keys, size = torch.randn(21, 6), torch.randn(21, 2, 5), torch.randint(1, 5, (21,)).float()
    merge = ToMe(r).decide(look(x, keys, size, r, front))
    made, sizes = merge.apply(x[None])
    rows, weights = by_hand(x, keys.mean(1), size, r, front)
    order = [*range(front), *[i for p in (0, 1) for i in range(p, 21, 2) if i >= front and i in rows]]
    assert merge.stay[0].tolist() == order, "protected, then the unmerged even ones, then the odd ones"
    torch.testing.assert_close(made[0], torch.stack([rows[i] for i in order]))
    assert sizes[0].tolist() == pytest.approx([weights[i] for i in order])


def test_equal_tokens_merge_first_and_sizes_add_up() -> None:
    x = torch.tensor([[1.0, 0], [0, 1], [1, 0.1], [0, 2], [-1, 0], [1, 0.1]])
    merge = ToMe(1).decide(look(x, x[:, None], torch.ones(6), 1))
    assert merge.into[0].tolist() == [0, 2, 4, 3, 1, 4], "2 joins 5, its equal"
    shorter, size = merge.apply(x[None])
    assert size.tolist() == [[1, 1, 1, 1, 2]] and shorter[0, 4].tolist() == pytest.approx([1, 0.1])


@pytest.mark.parametrize("proportional", ["off", "on"])
def test_merging_copies_changes_nothing_with_size_in_attention_and_pool(proportional: str) -> None:
    """Two equal tokens as one of size two are the same set to proportional attention, and another one without it."""
    vit = toys.space_time(prefix=0, depth=2).vit
    torch.manual_seed(0)
    x = torch.randn(6, 32).repeat_interleave(2, 0)  # every even token has its copy at the odd place behind it
    plain = vit(x, (12,)).out
    all_pairs, some = (vit(x, (12,), merger=ToMe(r, "decreasing", proportional)).out for r in (3, 2))
    torch.testing.assert_close(all_pairs, plain, rtol=1e-5, atol=1e-5)  # all sizes are equal: attention cannot tell
    assert torch.allclose(some, plain, rtol=1e-5, atol=1e-5) is (proportional == "on")


def test_the_pool_counts_sizes() -> None:
    encoder = toys.space_time(prefix=0, depth=1)
    torch.manual_seed(0)
    x = torch.randn(12, 32)
    output = encoder.vit(x, (12,), merger=ToMe(4))
    plain = encoder.vit(x, (12,), merger=ToMe(4, pool="plain"))
    sizes = torch.bincount(output.groups, minlength=12)[output.groups.unique()].float()
    assert sizes.sum() == 12 and sizes.max() > 1
    mean = (output.patches * sizes[:, None]).sum(0) / 12
    torch.testing.assert_close(output.pooled[0], encoder.vit.norm_post(mean))
    torch.testing.assert_close(plain.pooled[0], encoder.vit.norm_post(plain.patches.mean(0)))


def test_a_decreasing_schedule_merges_twice_r_first_and_nothing_last() -> None:
    lengths = ToMe(4, "decreasing").lengths(60, 3, 0)
    assert [a - m for a, m in lengths] == [8, 4, 0]
