"""What an encoder's runs cost, in closed form: of a Keep, with or without a merger, and as coefficients for a browser."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from patchlens.flops import GIGA, coefficients, merged_cost, vit_cost
from patchlens.merge import Merger
from patchlens.types import Cost, Keep

if TYPE_CHECKING:
    from patchlens.encoders.encoder import Encoder


def cost_of(model: Encoder, keep: Keep, merger: Merger | None = None) -> tuple[Cost, float]:
    """Cost of encoding what is kept, and the merger's own GMACs.

    Where every patch was embedded to decide, all of them are paid for here (LITE). In an interleaved plan the merger acts
    in P-frames only, and every patch of a P-frame (at its resolution) is embedded, as in ResidualViT.
    """
    if keep.anchor is None:
        counts = model.counts(keep)
        cost, own = merged_cost(model.config, merger, counts) if merger else (vit_cost(model.config, counts), 0.0)
        unused = keep.embeds_all * (keep.grid.n - keep.count) * model.config.patch_dim * model.config.width
        return cost + Cost(unused / GIGA), own
    intra, leaning = ([k for k, i in zip(keep.per_frame, keep.intra, strict=True) if i == whole] for whole in (True, False))
    mode, embedded = model.residual(keep), len(leaning) * (math.prod(keep.coarse) if keep.coarse else keep.grid.per_frame)
    mapping = model.tokenizer.macs if mode == "on" else 0
    whole = vit_cost(model.config, intra)
    if merger is None:
        return whole + vit_cost(model.config, leaning, embedded, mode != "off", mapping), 0.0
    longer = replace(model.config, prefix=model.config.prefix + (mode != "off"))
    merged, own = merged_cost(longer, merger, leaning)
    rest = (embedded - sum(leaning)) * model.config.patch_dim * model.config.width + len(leaning) * mapping
    return whole + merged + Cost(rest / GIGA), own


def cost_facts(model: Encoder, keep: Keep) -> dict[str, Any]:
    """GMACs of a run as `once`, plus a + b*K + c*K^2 for a segment of K patches: [a, b, c] of a whole run's segments and,
    for encoders of frames, of the P-frames of an interleaved plan under each way of giving them a residual token; and what
    embedding one patch takes, of which P-frames at a lower resolution have fewer."""
    parts = coefficients(model.config, embed_kept=not keep.embeds_all)
    facts: dict[str, Any] = {"per_segment": [sum(pair) / GIGA for pair in zip(*parts, strict=True)]}
    facts["once"] = keep.embeds_all * keep.grid.n * model.config.patch_dim * model.config.width / GIGA
    if model.segments == "frame":
        made = model.tokenizer.macs if model.tokenizer else None
        ways = {"on": (True, made), "zero": (True, 0), "off": (False, 0)}
        facts["predicted"] = {way: _predicted(model, *given) for way, given in ways.items()}
        facts["embedding"] = model.config.patch_dim * model.config.width / GIGA
        facts["predicted"]["auto"] = facts["predicted"]["on" if model.tokenizer else "off"]
    return facts


def _predicted(model: Encoder, residual: bool, mapping: int | None) -> list[float]:
    """Of a P-frame, all of whose patches are embedded."""
    config = model.config
    parts = coefficients(config, embed_kept=False, residual=residual, mapping=mapping)
    a, b, c = (sum(pair) for pair in zip(*parts, strict=True))
    return [x / GIGA for x in (a + config.tokens * config.patch_dim * config.width, b, c)]
