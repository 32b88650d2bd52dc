"""LITE++: LITE with a budget that follows the clip (arXiv 2411.13626, sec. 4.3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from patchlens.keep import Adaptive, Rule
from patchlens.knobs import choice, knob, text
from patchlens.registry import Context, register
from patchlens.selectors.lite import FREE, TRAINED, learned_scores
from patchlens.types import Scores, Tokens

GLANCE = "a trained glance"
RATIO = dict(step=0.01, unit="share of tokens")
SURE = dict(step=0.01, unit="probability of the likeliest class")


@register("litepp")
@dataclass(frozen=True)
class LitePlusPlus:
    """LITE's tokens, fewer of them where a glance at the clip is sure of its class.

    The glance is a small network in MoviNet's role; its cost counts. Above `high` the budget is `easy` (where `keep` is no
    more than `easy`, two thirds of `keep`: the paper's 0.2 for 0.3), else `keep`. What the paper does below its lower
    threshold is not clear: `doubt` says whether such a clip gets `keep` or as few as an easy one. way="smooth" is our
    extension: the budget falls linearly between `low` and `high`.
    """

    keep: float = knob(0.5, 0.01, 1.0, help="keep ratio K/N of a clip that is neither easy nor hopeless", **RATIO)
    easy: float = knob(0.3, 0.01, 1.0, help="keep ratio of an easy clip", **RATIO)
    low: float = knob(0.2, 0.0, 1.0, help="below it a clip is in doubt; where a smooth budget begins to fall", **SURE)
    high: float = knob(0.6, 0.0, 1.0, help="above it a clip is easy", **SURE)
    way: str = choice("stepped", ("stepped", "smooth"), help="the paper's steps, or a line between the thresholds")
    doubt: str = choice("keep", ("keep", "easy"), help="budget of a clip below `low` (stepped)")
    weights: str = text("auto", help="of the selector, as in lite")
    glance: str = text("auto", help="auto (bundled), or a file that `patchlens train glance` wrote")
    requires = FREE | {TRAINED, GLANCE, "logits"}
    monotone = True

    def __post_init__(self) -> None:
        own = {TRAINED: self.weights, GLANCE: self.glance}  # a file of one's own serves any encoder
        needs = FREE | {"logits"} | {need for need, file in own.items() if file == "auto"}
        object.__setattr__(self, "requires", needs)

    def score(self, tokens: Tokens, context: Context) -> Scores:
        """LITE's scores, and the confidence of the glance beside them."""
        from patchlens.glance import confidence, glance_for, glance_gmacs

        scores = learned_scores(tokens, context, self.weights)
        network, _ = glance_for(context.encoder, self.glance)
        sure, named = confidence(network, tokens.frames)
        facts = {**scores.facts, "confidence": sure, "glance": context.encoder.classes[named]}
        return replace(scores, gmacs=scores.gmacs + glance_gmacs(network.config), facts=facts)

    def rule(self) -> Rule:
        """Top K of a budget that the confidence sets."""
        return Adaptive(self.keep, self.easy, self.low, self.high, self.way == "smooth", self.doubt == "easy")

    def depends(self, encoder: Any) -> str:
        """What else the scores depend on: both files' content."""
        from patchlens.glance import glance_digest
        from patchlens.ranker import ranker_digest

        return ranker_digest(encoder, self.weights) + glance_digest(encoder, self.glance)
