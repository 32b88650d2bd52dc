"""What can be asked about a finished run beyond its report: is its map true here, who does better, how it grew by block,
what the residual token adds, and when in the clip it is that a sentence speaks of."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from patchlens.cache import Cache
    from patchlens.types import Trace

KINDS = ("faithfulness", "rivals", "blocks", "residual", "holding")
Judged = tuple[dict[str, Any], bytes]


def judge(kind: str, trace: Trace, cache: Cache, check: Callable[[], None]) -> Judged:
    """(plain data, raw float32 bytes) of one kind of question about a trace.

    faithfulness  deletion and insertion curves of its first selector's scores (`evaluation.faithfulness`)
    rivals        its tokens against the oracle's, LITE's and random ones at the same count (`evaluation.rivals`)
    blocks        the oracle's maps of all blocks, signed, gradients x (blocks + 1) x N (`evaluation.stack`)
    residual      what P-frames get out of the residual token, and what a frame costs (`evaluation.leaning`)
    holding       its answer by kept share, in its own order, the oracle's and random ones (`evaluation.holding`)
    """
    encoder = encoder_of(trace)
    if kind == "faithfulness":
        from patchlens.evaluation.faithfulness import faithfulness

        return faithfulness(trace, encoder, check=check), b""
    if kind == "rivals":
        from patchlens.evaluation.rivals import rivals

        return rivals(trace, encoder, check=check, store=cache), b""
    if kind == "holding":
        from patchlens.evaluation.holding import holding

        return holding(trace, encoder, check=check, store=cache), b""
    if kind == "residual":
        from patchlens.evaluation.leaning import leaning

        return leaning(trace, encoder, check), b""
    from patchlens.evaluation.stack import stack

    maps, about = stack(trace, encoder, check)
    return about, maps.numpy().astype("<f4").tobytes()


def ground(trace: Trace, sentence: str) -> dict[str, Any]:
    """The moments of a trace's clip that a sentence describes, in full and by the plan (`evaluation.searched`)."""
    from patchlens.evaluation.searched import searched

    return searched(trace, encoder_of(trace), sentence)


def agree(first: Any, second: Any) -> dict[str, Any]:
    """How two masks, bool (N,), agree: the share of equal decisions, and the counts of both, only one, only the other."""
    both, one, other = first & second, first & ~second, second & ~first
    same = float((first == second).float().mean())
    return {
        "same": round(same, 6),
        "both": int(both.sum()),
        "only_first": int(one.sum()),
        "only_second": int(other.sum()),
    }


def encoder_of(trace: Trace) -> Any:
    """The encoder that a trace was made with."""
    from patchlens.pipeline import load_encoder

    spec = trace.request.encoder
    return load_encoder(spec.name, spec.weights, seed=spec.seed)


def packed(judged: Judged) -> bytes:
    """An answer as the shelf keeps it: the JSON's line, then the bytes."""
    found, raw = judged
    return json.dumps(found, sort_keys=True, allow_nan=False).encode() + b"\n" + raw


def unpacked(data: bytes) -> Judged:
    """The inverse of `packed`."""
    text, _, raw = data.partition(b"\n")
    return json.loads(text), raw
