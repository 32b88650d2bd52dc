"""The Grad-CAM oracle: what each token was worth to the answer, known only after the full run.

It shows an upper bound, not a saving: with the true label it even leaks the answer (LITE's own table: 78.5 % with the
true label at half the tokens, 70.0 % with the predicted one, 70.5 % with all tokens).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from patchlens.keep import Rule, best
from patchlens.knobs import choice, knob, text
from patchlens.registry import Context, register
from patchlens.types import Scores, Tokens


@register("oracle")
@dataclass(frozen=True)
class Oracle:
    """Grad-CAM of a class logit at one block's MLP output (LITE eqs. 1-2), min-max to 0..1 per clip.

    label  "auto": the label given with the clip, else the predicted one; or "predicted"; or a class name or number
    block  "auto": the block that the encoder's card names, else the last one (for class-token pooling the one before:
           in the last block no patch has a gradient); or a number, negative from the end
    """

    keep: float = knob(0.5, 0.01, 1.0, step=0.01, unit="share of tokens", help="keep ratio K/N")
    label: str = text("auto", help="auto, predicted, or a class name")
    block: str = text("auto", help="auto, or a block number (negative from the end)")
    per: str = choice("clip", ("clip", "frame"), help="choose over the whole clip, or the same share of every frame")
    requires = frozenset({"logits", "gradients"})
    monotone = True

    def score(self, tokens: Tokens, context: Context) -> Scores:
        """The token-value map; ties of the ReLU are broken by the value before it."""
        from patchlens.gradcam import token_values, token_values_gmacs, unit_range

        encoder = context.encoder
        block = self._block(encoder)
        wanted = self._class(encoder, context.label)
        (value,) = token_values(encoder, [tokens], [wanted], block, check=context.check)
        facts: dict[str, Any] = {
            "block": block,
            "label": encoder.classes[value.label],
            "label_from": "predicted" if wanted is None else "given",
        }
        if not bool((value.signed > 0).any()):
            facts["note"] = self._why_empty(encoder, block)
        frames = [tokens.grid.n] if encoder.segments == "clip" else [tokens.grid.per_frame] * tokens.grid.t
        gmacs = token_values_gmacs(encoder, frames, block)
        unit = f"grad-cam of '{facts['label']}' at block {block}, 0..1"
        return Scores(unit_range(value.signed), unit, value.signed, gmacs, facts)

    def rule(self) -> Rule:
        """Top K."""
        return best(self.keep, self.per)

    def _block(self, encoder: Any) -> int:
        from patchlens.gradcam import block_number, resolve_block

        if self.block != "auto":
            return block_number(encoder, self.block)
        named = encoder.loaded.facts.get("oracle_block")
        return resolve_block(encoder, int(named) if named is not None else -2 if encoder.config.pool == "cls" else -1)

    def _class(self, encoder: Any, given: str | int | None) -> int | None:
        label = given if self.label == "auto" else self.label
        return None if label in (None, "", "predicted") else class_number(encoder.classes, label)

    @staticmethod
    def _why_empty(encoder: Any, block: int) -> str:
        if encoder.config.pool == "cls" and block == encoder.config.depth - 1:
            return (
                "The token-value map is empty: this encoder answers from its class token, so in the last block no patch "
                "reaches the answer; choose an earlier block."
            )
        return "The token-value map is zero everywhere: at this block no patch speaks for the class."


def class_number(classes: tuple[str, ...], label: str | int) -> int:
    """The number of a class given by name (upper or lower case) or number.

    Raises ValueError naming some of the classes.
    """
    if isinstance(label, int) and 0 <= label < len(classes):
        return label
    lowered = [c.lower() for c in classes]
    if str(label).lower() in lowered:
        return lowered.index(str(label).lower())
    if str(label).isdecimal() and int(label) < len(classes):
        return int(label)
    raise ValueError(f"The encoder knows no class {label!r}; it knows {len(classes)}: {', '.join(classes[:16])}"
                     f"{', ...' if len(classes) > 16 else '.'}")  # fmt: skip
