"""Which oracle to trust on a model: accuracy with its tokens, by block and gradient, with predicted and true labels.

All blocks come from one backward pass per clip. The result is plain data for a model's card; a selector reads it as its
"auto". Knows no file and no training.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from patchlens.encoders.encoder import Encoder
from patchlens.gradcam import GRADIENTS, both_gradients
from patchlens.keep import TopK, keep_of
from patchlens.types import Scores, Tokens

KEEPS = (0.1, 0.3)
JUDGED, TIE = "predicted 0.3", "label probability"  # the rule's columns
Batches = Iterable[tuple[list[Tokens], Tensor]]


def oracle_card(encoder: Encoder, batches: Batches, keeps: Sequence[float] = KEEPS) -> dict[str, Any]:
    """`oracle`: the gradient and, for each gradient, the blocks that "auto" stands for; `oracle_table`; `oracle_clips`.

    batches   (tokens of some clips, their class numbers)
    The rule: most accurate with 30 % of the tokens and the predicted label, because the true label leaks the answer;
    between equals, the mean probability of the label. Block "mean" is the mean of all blocks' maps. Random stands in the
    table too.
    """
    right: dict[tuple[str, str, str], float] = defaultdict(float)
    count, generator = 0, torch.Generator().manual_seed(0)
    for tokens, labels in batches:
        count += len(tokens)
        for (block, gradient), (predicted, true) in maps_of(encoder, tokens, labels, generator).items():
            for keep in keeps:
                p = {"predicted": _probabilities(encoder, tokens, predicted, keep)}
                p["true"] = p["predicted"].clone()  # where the answer is right both maps are one
                if wrong := [i for i, (a, b) in enumerate(zip(predicted, true, strict=True)) if a is not b]:
                    p["true"][wrong] = _probabilities(encoder, [tokens[i] for i in wrong], [true[i] for i in wrong], keep)
                for kind, found in p.items():
                    right[block, gradient, f"{kind} {keep:g}"] += int((found.argmax(1) == labels).sum())
                    if f"{kind} {keep:g}" == JUDGED:
                        right[block, gradient, TIE] += float(found[torch.arange(len(found)), labels].sum())
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for (block, gradient, column), found in right.items():
        rows.setdefault((block, gradient), {"block": block, "gradient": gradient})[column] = round(found / count, 4)
    return {"oracle": choose(list(rows.values())), "oracle_table": list(rows.values()), "oracle_clips": count}


def choose(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The best row's gradient, and for each gradient its best row's block."""
    order = sorted(rows, key=lambda r: (r[JUDGED], r[TIE]), reverse=True)
    best = {g: next(r for r in order if r["gradient"] == g) for g in GRADIENTS}
    first = next(r for r in order if r in best.values())
    return {"gradient": first["gradient"], "blocks": {g: r["block"] for g, r in best.items()}}


def maps_of(
    encoder: Encoder, tokens: list[Tokens], labels: Tensor, generator: torch.Generator
) -> dict[tuple[str, str], tuple[list[Tensor], list[Tensor]]]:
    """Maps float32 (N,) per clip for the predicted and the true label, by (block, gradient); random ones beside them.

    Under class-token pooling the last block has none: no patch has a gradient there.
    """
    blocks, out = range(encoder.config.depth - (encoder.config.pool == "cls")), {}
    told = both_gradients(encoder, tokens, [None] * len(tokens), blocks)
    wrong = [i for i, (v, y) in enumerate(zip(told["own"], labels.tolist(), strict=True)) if v.label != y]
    known = {i: both_gradients(encoder, [tokens[i]], [int(labels[i])], blocks) for i in wrong}
    for way in GRADIENTS:
        for name, pick in [("mean", lambda v: v.signed), *((str(b), lambda v, b=b: v.maps[b]) for b in blocks)]:
            predicted = [pick(v) for v in told[way]]
            true = [pick(known[i][way][0]) if i in known else x for i, x in enumerate(predicted)]
            out[name, way] = predicted, true
    drawn = [torch.rand(x.grid.n, generator=generator) for x in tokens]
    return out | {("random", ""): (drawn, drawn)}


def _probabilities(encoder: Encoder, tokens: list[Tokens], maps: list[Tensor], keep: float) -> Tensor:
    """Class probabilities (clips, C) from the best tokens of each map."""
    keeps = [
        keep_of([(Scores(m, "map"), TopK(keep))], x.grid, 0, encoder.segments == "frame")
        for m, x in zip(maps, tokens, strict=True)
    ]
    return torch.stack([e.logits for e in encoder.encode_many(tokens, keeps)]).softmax(1)


def oracle_markdown(card: dict[str, Any], clips: str = "validation clips") -> list[str]:
    """The table for a person's card, and what "auto" stands for; [] for a model without one."""
    if "oracle_table" not in card:
        return []
    columns = [k for k in card["oracle_table"][0] if k not in ("block", "gradient")]
    chosen = card["oracle"]
    block = chosen["blocks"][chosen["gradient"]]
    return [
        "",
        f"Accuracy with the Grad-CAM oracle's best tokens ({card['oracle_clips']} {clips}), by block, gradient (mean over",
        "tokens, as in LITE, or each token's own), label and keep ratio:",
        "",
        "| block | gradient | " + " | ".join(columns) + " |",
        "|---" * (len(columns) + 2) + "|",
        *(
            f"| {r['block']} | {r['gradient']} | " + " | ".join(f"{100 * r[c]:.1f}" for c in columns) + " |"
            for r in card["oracle_table"]
        ),
        "",
        f"The oracle's default is gradient {chosen['gradient']}, block {block}"
        + f"{' (of all blocks)' if block == 'mean' else ''}: the best at {JUDGED} on these clips.",
    ]
