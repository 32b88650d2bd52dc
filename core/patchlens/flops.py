"""Closed-form multiply-accumulates of a ViT from the number of patches that each segment keeps.

It knows shapes and counts, and runs nothing. Costs are `Cost`s in 1e9 multiply-accumulates (MACs; papers
write "FLOPs"; torch counts two per MAC), with the QK^T and AV products apart, because papers differ in
counting them. LayerNorms, which fvcore counts at 5 per element, are apart too: `norm_gmacs`. Softmax, GELU,
biases and additions count nowhere.

Letters: K patches kept in a segment, P prefix tokens, S = K + P (+ 1 residual token), d width, m MLP width.
Source: fvcore's conventions; RLT (arXiv 2411.05222), ResidualViT (arXiv 2509.13255), LITE (arXiv 2411.13626).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from patchlens.merge import cuts
from patchlens.types import Cost

if TYPE_CHECKING:
    from patchlens.merge import Merger

GIGA = 1e9
Schedule = Sequence[tuple[int, int]]  # per block: the sequence lengths that attention and MLP see


class Shape(Protocol):
    """What a cost needs of a transformer; `encoders.vit.ViTConfig` has it all."""

    @property
    def width(self) -> int: ...
    @property
    def depth(self) -> int: ...
    @property
    def mlp(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def prefix(self) -> int: ...
    @property
    def outputs(self) -> int: ...
    @property
    def norm_pre(self) -> bool: ...
    @property
    def patch_dim(self) -> int: ...


class Coefficients(NamedTuple):
    """MACs of one segment as polynomials c[0] + c[1] K + c[2] K^2, so that a cost can follow a slider."""

    linear: tuple[int, int, int]
    attention: tuple[int, int, int]

    def at(self, kept: int) -> Cost:
        """Cost of a segment that keeps `kept` patches."""
        linear, attention = (c[0] + c[1] * kept + c[2] * kept**2 for c in self)
        return Cost(linear / GIGA, attention / GIGA)


def coefficients(
    config: Shape,
    *,
    embed_kept: bool = True,
    residual: bool = False,
    mapping: int | None = None,
    blocks: int | None = None,
    head: bool = True,
) -> Coefficients:
    """MACs of one segment as polynomials of its K.

    In a block a token costs 4d^2 + 2dm in linear layers, and a segment 2 S^2 d in attention.

    embed_kept  the patch embedding runs on kept patches (False: it is counted apart)
    residual    one more token per segment, made by `mapping` MACs; None: by a Linear(outputs -> d)
    blocks      only so many of them
    head        the classifier or CLIP projection, once per segment
    """
    depth = config.depth if blocks is None else blocks
    width, front = config.width, config.prefix + residual
    token = depth * (4 * width**2 + 2 * width * config.mlp)
    made = width * config.outputs if mapping is None else mapping
    once = front * token + residual * made + head * width * config.outputs
    pair = depth * 2 * width
    return Coefficients(
        (once, token + embed_kept * config.patch_dim * width, 0),
        (pair * front**2, pair * 2 * front, pair),
    )


def vit_cost(
    config: Shape,
    counts: Sequence[int],
    embedded: int | None = None,
    residual: bool = False,
    mapping: int | None = None,
    blocks: int | None = None,
    head: bool = True,
) -> Cost:
    """Cost of running segments that keep `counts` patches each.

    embedded is how many patches are embedded in all; None: only those kept (as RLT does; LITE and ResidualViT
    embed every patch). A segment with no patch costs nothing: it repeats its neighbour's feature. The rest is
    as in `coefficients`.
    """
    each = coefficients(config, embed_kept=embedded is None, residual=residual, mapping=mapping, blocks=blocks, head=head)
    total = sum((each.at(kept) for kept in counts if kept), Cost())
    return total + Cost((embedded or 0) * config.patch_dim * config.width / GIGA)


def norm_gmacs(config: Shape, counts: Sequence[int], residual: bool = False, post: bool = True) -> float:
    """What fvcore adds for LayerNorms, in 1e9: 5 per element of each norm run."""
    layers = 2 * config.depth + config.norm_pre
    tokens = sum(kept + config.prefix + residual for kept in counts if kept)
    segments = sum(kept > 0 for kept in counts)
    return 5 * config.width * (layers * tokens + post * segments) / GIGA


def mlp_cost(tokens: int, sizes: Sequence[int]) -> Cost:
    """Cost of a token-wise MLP such as LITE's selector: sizes (768, 256, 64, 1) on `tokens` tokens."""
    return Cost(tokens * sum(a * b for a, b in zip(sizes, sizes[1:], strict=False)) / GIGA)


def mlp_parameters(sizes: Sequence[int]) -> int:
    """Weights and biases of that MLP."""
    return sum((a + 1) * b for a, b in zip(sizes, sizes[1:], strict=False))


# --- Merging and dropping inside the network: per block, the lengths that attention and MLP see ---


def constant_schedule(length: int, depth: int) -> Schedule:
    """(attention, MLP) lengths per block when nothing is merged."""
    return [(length, length)] * depth


def tome_schedule(
    length: int, depth: int, r: int | Sequence[int], inflect: float = 0.0, protected: int = 0
) -> Schedule:
    """(attention, MLP) lengths per block when ToMe merges r tokens in each, between the two.

    inflect bends the schedule linearly from r(1 - inflect) to r(1 + inflect): -1 falls from 2r to 0. At most
    half of the unprotected tokens can merge in one block. Source: Bolya et al. 2023, sec. 3.
    """
    first = r * (1 - inflect) if isinstance(r, int) else 0.0
    step = (2 * r - 2 * first) / max(depth - 1, 1) if isinstance(r, int) else 0.0
    wanted = [int(first + step * i) for i in range(depth)] if isinstance(r, int) else list(r)
    out = []
    for merge in wanted:
        left = length - max(0, min(merge, (length - protected) // 2))
        out.append((length, left))
        length = left
    return out


def sta_schedule(
    length: int, depth: int, r: int, groups: Sequence[int] = (8, 4, 2), protected: int = 0
) -> Schedule:
    """(attention, MLP) lengths per block when STA drops r tokens in each temporal group, behind three blocks.

    The cuts stand behind the whole of blocks 0, depth/3 and 2 depth/3, where tokens form 8, 4 and 2 groups; at most half
    of a group goes at once (the first one keeps all its odd tokens). Source: Ding et al. 2023.
    """
    at = {i * depth // len(groups): count for i, count in enumerate(groups)}
    out = []
    for block in range(depth):
        out.append((length, length))
        if block in at:
            length -= at[block] * min(r, (length - protected) // at[block] // 2)
    return out


def pruned_blocks(depth: int) -> list[int]:
    """The blocks before which DynamicViT drops tokens: at a quarter, half and three quarters of the depth.

    3, 6 and 9 of 12, as in the paper; fewer in a model of less than four blocks, for block 0 has seen nothing yet.
    """
    return sorted({i * depth // 4 for i in (1, 2, 3)} - {0})


def pruned_schedule(length: int, depth: int, rho: float, protected: int = 0) -> Schedule:
    """(attention, MLP) lengths per block when a share `rho` of the unprotected tokens goes on before three blocks.

    At least one goes on. Departure: each stage rounds down what the one before left, where the paper rounds n rho^i, so
    that a length follows from the one before it. Source: Rao et al. 2021, sec. 3.4.
    """
    out = []
    for block in range(depth):
        if block in pruned_blocks(depth):
            length = protected + max(1, int((length - protected) * rho + 1e-9))
        out.append((length, length))
    return out


def schedule_cost(config: Shape, schedule: Schedule, embedded: int, head: bool = True) -> Cost:
    """Cost of one segment whose sequence (prefix included) shrinks by `schedule`, inside or behind blocks."""
    width = config.width
    linear = sum(4 * a * width**2 + 2 * m * width * config.mlp for a, m in schedule)
    attention = sum(2 * a * a * width for a, _ in schedule)
    ends = embedded * config.patch_dim * width + head * width * config.outputs
    return Cost((linear + ends) / GIGA, attention / GIGA)


def merged_cost(config: Shape, merger: Merger, counts: Sequence[int]) -> tuple[Cost, float]:
    """Cost of segments that keep `counts` patches before the blocks and shrink in them, and the merger's own GMACs."""
    total, own = Cost(), 0
    for kept in filter(None, counts):
        schedule = merger.lengths(kept + config.prefix, config.depth, config.prefix)
        total += schedule_cost(config, schedule, kept)
        own += sum(merger.macs(cut, config.width, config.heads) for cut in cuts(schedule, config.prefix))
    return total, own / GIGA


def schedule_norm_gmacs(config: Shape, schedule: Schedule) -> float:
    """What fvcore adds for LayerNorms, in 1e9; the second norm of a block sees the shortened sequence."""
    return 5 * config.width * (sum(a + m for a, m in schedule) + 1) / GIGA


# --- Averages over frames and clips ---


def blend(first: Cost, second: Cost, share: float) -> Cost:
    """Mean cost when a share of the runs costs `first` and the others `second` (LITE's adaptive budget)."""
    return Cost(
        share * first.linear + (1 - share) * second.linear,
        share * first.attention + (1 - share) * second.attention,
    )


def interleave_cost(intra: Cost, predicted: Cost, n: int) -> Cost:
    """Mean cost per frame when n P-frames follow each I-frame (ResidualViT eq. 1, exact form)."""
    return blend(intra, predicted, 1 / (1 + n))


def interleave_ratio(n: int, p: float) -> float:
    """ResidualViT eq. 1 in its short form: (1 + (1-p) n) / (1+n), the share of the full cost that remains."""
    return (1 + (1 - p) * n) / (1 + n)


def divided_cost(config: Shape, frames: int, places: int) -> Cost:
    """Cost of TimeSformer's divided attention, for comparison: it cannot lose single tokens.

    Each block attends over time at each place (no class token; one more d x d layer), then over space in each
    frame with a copy of the class token, then applies its MLP. Source: Bertasius et al. 2021, sec. 3.
    """
    width, patches, spatial = config.width, frames * places, frames * (places + 1)
    linear = width**2 * (5 * patches + 4 * spatial) + 2 * width * config.mlp * (patches + 1)
    attention = 2 * width * (places * frames**2 + frames * (places + 1) ** 2)
    ends = patches * config.patch_dim * width + width * config.outputs
    return Cost((config.depth * linear + ends) / GIGA, config.depth * attention / GIGA)
