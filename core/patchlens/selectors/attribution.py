"""What other explanations call the best tokens, beside the oracle's: captum's on the same tokens and the same answer."""

from __future__ import annotations

from dataclasses import dataclass

from patchlens.keep import Rule, best
from patchlens.knobs import choice, knob, text
from patchlens.registry import Context, register
from patchlens.types import Scores, Tokens

METHODS = ("gradient x activation", "integrated gradients", "occlusion")


@register("attribution")
@dataclass(frozen=True)
class AttributionMap:
    """captum's gradient x activation, integrated gradients or occlusion of the answer, min-max to 0..1 per clip.

    Like the oracle it needs full runs: integrated gradients `steps` of them with their way back, occlusion one for every
    token.
    """

    keep: float = knob(0.5, 0.01, 1.0, step=0.01, unit="share of tokens", help="keep ratio K/N")
    method: str = choice("gradient x activation", METHODS, stage="score", help="whose explanation")
    label: str = text("auto", help="as in oracle")
    block: str = text("-1", help="block of gradient x activation, negative from the end")
    steps: int = knob(16, 2, 256, step=1, unit="points", stage="score", help="of integrated gradients")
    per: str = choice("clip", ("clip", "frame"), help="choose over the whole clip, or the same share of every frame")
    requires = frozenset({"logits", "gradients"})
    monotone = True

    def score(self, tokens: Tokens, context: Context) -> Scores:
        """The map, ties of the ReLU broken by the value before it."""
        from patchlens.attributions import attribute
        from patchlens.gradcam import block_number, unit_range
        from patchlens.selectors.oracle import wanted_of

        encoder = context.encoder
        wanted, name, given = wanted_of(encoder, self.label, context.label)
        block = block_number(encoder, self.block)
        made = attribute(encoder, tokens, wanted, self.method, block, self.steps, context.check)
        label = name or encoder.classes[made.label]
        facts = {"method": self.method, "label": label, "label_from": "given" if given else "predicted"}
        where = f" at block {block}" if self.method == METHODS[0] else ""
        unit = f"{self.method} of '{label}'{where} (captum), 0..1"
        return Scores(unit_range(made.signed), unit, made.signed, made.gmacs, facts)

    def rule(self) -> Rule:
        """Top K."""
        return best(self.keep, self.per)
