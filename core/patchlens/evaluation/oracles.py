"""Which oracle to trust on a model: accuracy with its tokens, by block, gradient and sign, with predicted and true labels.

All blocks come from one backward pass per clip. The result is plain data for a model's card; a selector reads it as its
"auto". Knows no file and no training.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from patchlens.data.samples import SampleSet
from patchlens.encoders.encoder import Encoder
from patchlens.evaluation.feed import Feed
from patchlens.evaluation.measure import Bench
from patchlens.evaluation.multiview import FRAMES, Views
from patchlens.gradcam import GRADIENTS, SIGNS, both_gradients, counted
from patchlens.keep import TopK, keep_of
from patchlens.types import Scores, Tokens

KEEPS = (0.1, 0.3)
JUDGED, TIE = "predicted 0.3", "label probability"  # the rule's columns
Batches = Iterable[tuple[list[Tokens], Tensor]]
Way = tuple[str, str, str]  # block, gradient, sign


def oracle_card(encoder: Encoder, batches: Batches, keeps: Sequence[float] = KEEPS) -> dict[str, Any]:
    """`oracle`: what "auto" stands for (see `choose`); `oracle_table`; `oracle_clips`.

    batches   (tokens of some clips, their class numbers)
    The rule: most accurate with 30 % of the tokens and the predicted label, because the true label leaks the answer;
    between equals, the mean probability of the label. Block "mean" is the mean of all blocks' maps. Random stands in the
    table too.
    """
    right: dict[tuple[Way, str], float] = defaultdict(float)
    count, generator = 0, torch.Generator().manual_seed(0)
    for tokens, labels in batches:
        count += len(tokens)
        for way, (predicted, true) in maps_of(encoder, tokens, labels, generator).items():
            for keep in keeps:
                p = {"predicted": _probabilities(encoder, tokens, predicted, keep)}
                p["true"] = p["predicted"].clone()  # where the answer is right both maps are one
                if wrong := [i for i, (a, b) in enumerate(zip(predicted, true, strict=True)) if a is not b]:
                    p["true"][wrong] = _probabilities(encoder, [tokens[i] for i in wrong], [true[i] for i in wrong], keep)
                for kind, found in p.items():
                    right[way, f"{kind} {keep:g}"] += int((found.argmax(1) == labels).sum())
                    if f"{kind} {keep:g}" == JUDGED:
                        right[way, TIE] += float(found[torch.arange(len(found)), labels].sum())
    rows: dict[Way, dict[str, Any]] = {}
    for (way, column), found in right.items():
        named = dict(zip(("block", "gradient", "sign"), way, strict=True))
        rows.setdefault(way, named)[column] = round(found / count, 4)
    return {"oracle": choose(list(rows.values())), "oracle_table": list(rows.values()), "oracle_clips": count}


def batches_of(encoder: Encoder, samples: SampleSet, size: int = 8) -> Iterator[tuple[list[Tokens], Tensor]]:
    """Tokens and class numbers of a few labelled videos at a time; what cannot be read or is of no known class is left out.

    Raises ValueError where no video is of a class that the encoder knows.
    """
    bench, none = Bench(encoder, Views(), False, encoder.inputs.frames or FRAMES), True
    feed = Feed(bench, samples, size)
    for chunk in feed(range(len(feed.chunks))):
        if items := [i for i in chunk.items if i.number is not None]:
            none = False
            yield [i.views[0].tokens for i in items], torch.tensor([i.number for i in items])
    if none:
        raise ValueError(f"{encoder.name} knows no class of {samples.name}; give a set whose labels are its classes.")


def choose(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The best row's `gradient`; by gradient the best `signs`; by "gradient sign" the best `blocks`."""
    best: dict[str, dict[str, Any]] = {}  # of everything, of each gradient, of each gradient and sign
    for row in sorted(rows, key=lambda r: (r[JUDGED], r[TIE]), reverse=True):
        if gradient := row["gradient"]:
            for whose in ("", gradient, f"{gradient} {row['sign']}"):
                best.setdefault(whose, row)
    return {
        "gradient": best[""]["gradient"],
        "signs": {g: best[g]["sign"] for g in GRADIENTS},
        "blocks": {way: best[way]["block"] for way in (f"{g} {s}" for g in GRADIENTS for s in SIGNS)},
    }


def maps_of(
    encoder: Encoder, tokens: list[Tokens], labels: Tensor, generator: torch.Generator
) -> dict[Way, tuple[list[Tensor], list[Tensor]]]:
    """Maps float32 (N,) per clip for the predicted and the true label, by (block, gradient, sign); random ones beside them.

    Under class-token pooling the last block has none: no patch has a gradient there.
    """
    blocks, out = range(encoder.config.depth - (encoder.config.pool == "cls")), {}
    told = both_gradients(encoder, tokens, [None] * len(tokens), blocks)
    wrong = [i for i, (v, y) in enumerate(zip(told["own"], labels.tolist(), strict=True)) if v.label != y]
    known = {i: both_gradients(encoder, [tokens[i]], [int(labels[i])], blocks) for i in wrong}
    for gradient in GRADIENTS:
        for name, pick in [("mean", lambda v: v.signed), *((str(b), lambda v, b=b: v.maps[b]) for b in blocks)]:
            for sign in SIGNS:
                predicted = [counted(pick(v), sign) for v in told[gradient]]
                true = [counted(pick(known[i][gradient][0]), sign) if i in known else x for i, x in enumerate(predicted)]
                out[name, gradient, sign] = predicted, true
    drawn = [torch.rand(x.grid.n, generator=generator) for x in tokens]
    return out | {("random", "", ""): (drawn, drawn)}


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
    rows, chosen = card["oracle_table"], card["oracle"]
    columns = sorted(k for k in rows[0] if k not in ("block", "gradient", "sign"))
    gradient, sign = chosen["gradient"], chosen["signs"][chosen["gradient"]]
    block = chosen["blocks"][f"{gradient} {sign}"]
    return [
        "",
        f"Accuracy with the Grad-CAM oracle's best tokens ({card['oracle_clips']} {clips}), by block, gradient (mean over",
        "tokens, as in LITE, or each token's own), sign (positive: what speaks for the answer, as in LITE; either: what",
        "speaks for or against it), label and keep ratio:",
        "",
        "| block | gradient | sign | " + " | ".join(columns) + " |",
        "|---" * (len(columns) + 3) + "|",
        *(
            f"| {r['block']} | {r['gradient']} | {r['sign']} | " + " | ".join(f"{100 * r[c]:.1f}" for c in columns) + " |"
            for r in rows
        ),
        "",
        f"The oracle's default is gradient {gradient}, block {block}{' (of all blocks)' if block == 'mean' else ''}, "
        f"sign {sign}: the best at {JUDGED} on these clips.",
    ]
