"""vid-TLDR: merging early, and so that the background adds next to nothing to what it is merged into.

Source: Choi et al., vid-TLDR (CVPR 2024). A token whose attention row is sharp is salient: the negative entropy of the
row, averaged over heads, is min-max scaled to 0..1, what lies below its mean becomes 0, the rest is stretched to 0..1.
Pairs are found as in ToMe on the features themselves; a token that joins another counts by its saliency, in value and
size. Departure: r falls as UMT-B's 600, 200, 100 do, whatever r is, and class and register tokens take no part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from patchlens.flops import Schedule, tome_schedule
from patchlens.knobs import knob
from patchlens.lazy import torch
from patchlens.merge import Cut, Look, Merge
from patchlens.mergers.tome import match, pair_macs
from patchlens.registry import register

if TYPE_CHECKING:
    from torch import Tensor


@register("vidtldr", "merger")
@dataclass(frozen=True)
class VidTLDR:
    """vid-TLDR: in the first three blocks alike tokens merge, weighted by how sharply they attend."""

    r: int = knob(48, 0, 4096, step=1, unit="tokens merged in block 0", help="then a third and a sixth of it, then none")
    attend_by_size = True
    pool_by_size = False

    def lengths(self, length: int, depth: int, front: int) -> Schedule:
        """Shorter by r, r/3 and r/6 between attention and MLP of the first three blocks."""
        falling = [self.r, self.r // 3, self.r // 6, *[0] * depth][:depth]
        return tome_schedule(length, depth, falling, protected=front)

    def decide(self, look: Look) -> Merge:
        """The closest pairs by features; those that join weigh as much as they are salient."""
        found = match(look.x, look)
        salient = saliency(look.queries, look.keys, look.front)
        joining = found.even[found.join]
        weight = look.size.scatter(1, joining, look.size.gather(1, joining) * salient.gather(1, joining))
        return found.merge(weight)

    def macs(self, cut: Cut, width: int, heads: int) -> int:
        """Attention once more, since fused attention never shows it, and the similarities."""
        return cut.length**2 * width + pair_macs(cut.length, width)


def saliency(queries: Tensor, keys: Tensor, front: int = 0) -> Tensor:
    """Saliency (B, L) in 0..1 from queries and keys (B, L, heads, dh); 0 for the `front` tokens and all below the mean."""
    heads, scale = queries.shape[2], queries.shape[-1] ** -0.5
    rows = torch.zeros(queries.shape[0], queries.shape[1], queries.shape[1], device=queries.device)
    for h in range(heads):  # one head at a time: L x L floats, not heads x L x L
        rows += (queries[:, :, h].float() @ keys[:, :, h].float().transpose(1, 2) * scale).softmax(-1) / heads
    sharp = torch.special.entr(rows).sum(-1).neg()[:, front:]
    low, high = sharp.amin(1, keepdim=True), sharp.amax(1, keepdim=True)
    sharp = (sharp - low) / (high - low).clamp(min=1e-12)
    sharp = (sharp - sharp.mean(1, keepdim=True)).clamp(min=0)
    sharp = sharp / sharp.amax(1, keepdim=True).clamp(min=1e-12)
    return torch.nn.functional.pad(sharp, (front, 0))
