"""What a merged run costs at every number of kept patches, so that a browser follows a slider before the server answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from patchlens.flops import GIGA, merged_cost
from patchlens.merge import Merger, mean_share
from patchlens.types import Keep

if TYPE_CHECKING:
    from patchlens.encoders.encoder import Encoder

DIGITS = 9  # of a GMAC


def merged_facts(model: Encoder, keep: Keep, merger: Merger) -> dict[str, Any]:
    """Tables over K = 0..n patches that enter a segment, as `cost_facts` has coefficients: `whole` of a run's segments, and
    for encoders of frames `predicted` of the P-frames of an interleaved plan, in which alone its merger acts.

    A table has gmacs (of the encoder; what was embedded `once` comes on top), own (the merger's), mean (patches in a
    block's layers on average) and left (patches that leave the last block).
    """
    config, grid = model.config, keep.grid
    embedding = config.patch_dim * config.width / GIGA
    frames = model.segments == "frame"
    counts = range((grid.per_frame if frames else grid.n) + 1)
    facts: dict[str, Any] = {"whole": _table(config, merger, counts, (-keep.embeds_all * k * embedding for k in counts))}
    if frames:
        mapping = model.tokenizer.macs / GIGA if model.tokenizer else 0.0
        longer = replace(config, prefix=config.prefix + 1)
        rest = [(grid.per_frame - k) * embedding for k in counts]  # every patch of a P-frame is embedded
        ways = {"on": (longer, mapping), "zero": (longer, 0.0), "off": (config, 0.0)}
        facts["predicted"] = {
            way: _table(shape, merger, counts, (more + mapped for more in rest)) for way, (shape, mapped) in ways.items()
        }
        facts["predicted"]["auto"] = facts["predicted"]["on" if model.tokenizer else "off"]
    return facts


def _table(config: Any, merger: Merger, counts: range, more: Iterable[float]) -> dict[str, list[float]]:
    out: dict[str, list[float]] = {"gmacs": [], "own": [], "mean": [], "left": []}
    for kept, extra in zip(counts, more, strict=True):
        cost, own = merged_cost(config, merger, [kept])
        lengths = merger.lengths(kept + config.prefix, config.depth, config.prefix)
        out["gmacs"].append(round(cost.total + extra if kept else 0.0, DIGITS))
        out["own"].append(round(own, DIGITS))
        out["mean"].append(round(kept * mean_share(lengths, config.prefix), 3) if kept else 0)
        out["left"].append(lengths[-1][1] - config.prefix)
    return out
