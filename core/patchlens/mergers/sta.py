"""STA: tokens that repeat what earlier tubelets hold, and matter little, are dropped behind three of the blocks.

Source: Ding et al., Prune Spatio-temporal Tokens by Semantic-aware Temporal Accumulation (ICCV 2023). Behind blocks 0,
L/3 and 2L/3 the tokens form 8, 4 and 2 temporal groups, walked forward, in reverse, and forward again. The first group
drops its r even tokens that are most like an odd one. In each later group redundancy is handed on: similarity (cosine of
keys, mean over heads) to the tokens kept before, softmax over the current ones, times what those had accumulated; the r
tokens with the highest redundancy * (1 - importance) go, importance being the L1 norm, min-max within the group.
Departures: groups are equal parts of the sequence in its (t, y, x) order, which are tubelets when all tokens are there, and
parts of equal token count behind a selector; at most half of a group goes at once; the second group looks at the kept
tokens of the first only, as the paper says (the released code also at the dropped ones).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from patchlens.flops import Schedule, sta_schedule
from patchlens.knobs import knob
from patchlens.lazy import torch
from patchlens.merge import Cut, Look, Merge
from patchlens.registry import register

if TYPE_CHECKING:
    from torch import Tensor

GROUPS = (8, 4, 2)


@register("sta", "merger")
@dataclass(frozen=True)
class STA:
    """Semantic-aware temporal accumulation: drops r repeating, unimportant tokens of every temporal group, three times."""

    r: int = knob(8, 0, 1024, step=1, unit="tokens dropped per temporal group", help="of 8, 4 and 2 groups; at most half")
    requires = frozenset({"space-time attention"})
    attend_by_size = False
    pool_by_size = False

    def lengths(self, length: int, depth: int, front: int) -> Schedule:
        """Shorter by 8r, 4r and 2r behind blocks 0, L/3 and 2L/3."""
        return sta_schedule(length, depth, self.r, GROUPS, front)

    def decide(self, look: Look) -> Merge:
        """Walk the temporal groups and keep the tokens that say something new or important."""
        unit = torch.nn.functional.normalize(look.keys.float().mean(2), dim=-1)
        weigh = look.x.float().abs().sum(-1)
        cut = Cut(look.block, look.depth, look.x.shape[1], look.length, look.front)
        spans, r = parts(cut)
        walk = spans[::-1] if len(spans) == GROUPS[1] else spans
        kept, before, passed = {}, None, None
        for start, stop in walk:
            here, norm = unit[:, start:stop], weigh[:, start:stop]
            if before is None:
                stay = first_group(here, r)
                passed = torch.ones(stay.shape, device=norm.device)
            else:
                passed = (here @ before.transpose(1, 2)).softmax(1) @ passed[..., None]
                passed = passed[..., 0]
                stay = lowest(passed * (1 - min_max(norm)), stop - start - r)
                passed = passed.gather(1, stay)
            passed = passed / passed.sum(1, keepdim=True)
            before = here.gather(1, stay[..., None].expand(-1, -1, here.shape[-1]))
            kept[start] = stay + start
        front = torch.arange(look.front, device=unit.device).expand(len(unit), -1)
        return Merge.drop(torch.cat([front, *(kept[start] for start, _ in spans)], 1), look.size)

    def macs(self, cut: Cut, width: int, heads: int) -> int:
        """Similarities within the first group and to the kept tokens of the group before; accumulating."""
        spans, r = parts(cut)
        sizes = [stop - start for start, stop in spans]
        sizes = sizes[::-1] if len(spans) == GROUPS[1] else sizes
        first = (sizes[0] + 1) // 2 * (sizes[0] // 2) * (width // heads)
        return first + sum((b - r) * a * (width // heads + 1) for b, a in zip(sizes, sizes[1:], strict=False))


def parts(cut: Cut) -> tuple[list[tuple[int, int]], int]:
    """The temporal groups as (start, stop) places behind the protected tokens, and how many tokens each one drops."""
    count = {i * cut.depth // len(GROUPS): n for i, n in enumerate(GROUPS)}[cut.block]
    tokens = cut.length - cut.front
    ends = [cut.front + tokens * i // count for i in range(count + 1)]
    return list(zip(ends, ends[1:], strict=False)), (cut.length - cut.left) // count


def first_group(unit: Tensor, r: int) -> Tensor:
    """Numbers (B, L - r), rising, of what is left once the r even tokens most like an odd one have gone."""
    alike = (unit[:, ::2] @ unit[:, 1::2].transpose(1, 2)).amax(-1)
    score = torch.full(unit.shape[:2], -torch.inf, device=unit.device)
    score[:, ::2] = alike
    return lowest(score, unit.shape[1] - r)


def lowest(score: Tensor, count: int) -> Tensor:
    """Numbers (B, count), rising, of the lowest scores (B, L)."""
    return score.argsort(dim=1, stable=True)[:, :count].sort(1).values


def min_max(values: Tensor) -> Tensor:
    """Each row (B, L) scaled to 0..1; a constant row is 0."""
    low, high = values.amin(1, keepdim=True), values.amax(1, keepdim=True)
    return (values - low) / (high - low).clamp(min=1e-12)
