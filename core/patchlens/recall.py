"""What a run need not do twice: a selector's scores and the full run, cached under what they depend on and nothing more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from patchlens.cache import Cache, cache_key
from patchlens.registry import Context, Selector, knob_values
from patchlens.types import Encoding, Scores, Tokens

if TYPE_CHECKING:
    from torch import Tensor

    from patchlens.encoders.encoder import Encoder


def _encoder_key(model: Encoder) -> dict[str, Any]:
    return {**model.facts, **{k: str(v) for k, v in model.loaded.facts.items()}}


def score(s: Selector, tokens: Tokens, context: Context, store: Cache) -> Scores:
    """A selector's scores, cached under what they depend on and nothing more."""
    key = {"selector": s.name, "knobs": knob_values(s, "score"), "grid": tokens.grid, "pixels": _digest(tokens.patches)}
    if s.requires:
        key |= {"encoder": _encoder_key(context.encoder), "label": context.label}
    if depends := getattr(s, "depends", None):
        key |= {"depends": depends(context.encoder)}
    if getattr(s, "seeded", False):
        key |= {"seed": context.seed, "clip": context.clip.source.sha256}
    if getattr(s, "clip_needs", None):
        motion = context.clip.motion
        key |= {"rect": context.clip.rect, "motion": _digest(motion.values if motion else context.clip.display)}

    def make() -> dict[str, Any]:
        made = s.score(tokens, context)
        values = {name: x for name in ("values", "fine", "change") if (x := getattr(made, name)) is not None}
        return {**values, "unit": made.unit, "gmacs": made.gmacs, "facts": made.facts}

    stored = store.arrays(cache_key(**key), make) if type(s).__module__.startswith("patchlens.") else make()
    fine, change = stored.get("fine"), stored.get("change")
    return Scores(stored["values"], stored["unit"], fine, stored["gmacs"], stored["facts"], change)


def encode_full(model: Encoder, tokens: Tokens, store: Cache, check: Callable[[], None]) -> Encoding:
    """Every token's run, cached under encoder and pixels."""
    key = cache_key(what="full", encoder=_encoder_key(model), grid=tokens.grid, pixels=_digest(tokens.patches))

    def make() -> dict[str, Any]:
        e = model.encode(tokens, None, check)
        made = {"tokens": e.tokens, "pooled": e.pooled, "frames": e.frames, "logits": e.logits}
        return {k: v for k, v in made.items() if v is not None}

    return Encoding(**store.arrays(key, make))


def _digest(values: Tensor) -> str:
    from hashlib import sha256

    return sha256(values.contiguous().numpy()).hexdigest()
