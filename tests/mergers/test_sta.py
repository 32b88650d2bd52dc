"""STA against its definition in plain loops, and on footage where the answer is plain."""

from __future__ import annotations

import pytest
import torch
from patchlens.merge import Look, cuts
from patchlens.mergers.sta import STA, parts


def by_hand(x: torch.Tensor, keys: torch.Tensor, spans: list[range], r: int, reverse: bool) -> list[int]:
    """The places that stay, from the text: accumulate redundancy along the groups, weigh by importance, drop the top r."""
    unit = keys / keys.norm(dim=-1, keepdim=True)
    kept, handed, stays = [], {}, []
    for number, span in enumerate(reversed(spans) if reverse else spans):
        places = list(span)
        if number == 0:
            like = {a: max(float(unit[a] @ unit[b]) for b in places[1::2]) for a in places[::2]}
            gone = sorted(like, key=like.get, reverse=True)[:r]
            handed = {p: 1.0 for p in places if p not in gone}
        else:
            norms = {p: float(x[p].abs().sum()) for p in places}
            low, high = min(norms.values()), max(norms.values())
            total = {p: 0.0 for p in places}
            for before in kept:
                alike = torch.stack([unit[p] @ unit[before] for p in places]).softmax(0)
                for p, share in zip(places, alike.tolist(), strict=True):
                    total[p] += share * handed[before]
            score = {p: total[p] * (1 - (norms[p] - low) / (high - low)) for p in places}
            gone = sorted(score, key=score.get, reverse=True)[:r]
            handed = {p: total[p] for p in places if p not in gone}
        whole = sum(handed.values())
        handed = {p: v / whole for p, v in handed.items()}
        kept = [p for p in places if p not in gone]
        stays += kept
    return sorted(stays)


@pytest.mark.parametrize("front", [0, 2])
@pytest.mark.parametrize("block", [0, 1, 2])
def test_it_is_the_papers_accumulation(block: int, front: int) -> None:
    torch.manual_seed(block)
    merger = STA(2)
    cut = cuts(merger.lengths(99 + front, 6, front), front)[block]
    assert cut.block == (0, 2, 4)[block]
    x, keys = torch.randn(cut.length, 6), torch.randn(cut.length, 2, 5)
    look = Look(x[None], keys[None], keys[None], torch.ones(1, cut.length), cut.left, front, cut.block, 6)
    spans, r = parts(cut)
    expected = by_hand(x, keys.mean(1), [range(*s) for s in spans], r, reverse=block == 1)
    assert r == 2 and len(spans) == (8, 4, 2)[block]
    merge = merger.decide(look)
    assert merge.stay[0].tolist() == [*range(front), *expected]
    dropped = sorted(set(range(cut.length)) - set(merge.stay[0].tolist()))
    assert bool((merge.into[0, dropped] == -1).all())


def test_groups_are_the_tubelets_of_a_whole_clip() -> None:
    cut = cuts(STA(48).lengths(1568, 12, 0), 0)[0]
    spans, r = parts(cut)
    assert spans == [(196 * t, 196 * (t + 1)) for t in range(8)] and r == 48
    assert STA(48).lengths(1568, 12, 0)[-1] == (896, 896)


def test_at_most_half_of_a_group_goes() -> None:
    assert STA(1000).lengths(1568, 12, 0)[1] == (1568 - 8 * 98, 1568 - 8 * 98)
    assert STA(5).lengths(9, 6, 0)[-1] == (9 - 0 - 4 - 2, 3), "too few tokens to drop one of each of 8 groups"


def test_what_repeats_and_is_faint_goes_first() -> None:
    keys = torch.zeros(32, 1, 4)
    keys[:, 0, 0] = 1
    keys[5::4, 0] = torch.tensor([0.0, 0, 1, 0])  # of each later group of four, one token is like nothing before it
    x = torch.ones(32, 4) + 0.01 * torch.arange(32)[:, None]
    look = Look(x[None], keys[None], keys[None], torch.ones(1, 32), 24, 0, 0, 6)
    stay = STA(1).decide(look).stay[0].tolist()
    assert set(range(5, 32, 4)) <= set(stay) and 3 in stay
    assert all(t * 4 not in stay for t in range(1, 8)), "the faintest of those that repeat"
