"""True foreground: the tokens that show the actor, known only where a procedural set says so.

An evaluation-only selector. Its `requires` names something that no encoder offers, so app and command line refuse it with
the usual sentence; sweeps over sets that know their actors (`motions`) provide it.
"""

from __future__ import annotations

from dataclasses import dataclass

from patchlens.keep import Rule, best
from patchlens.knobs import choice, knob
from patchlens.registry import Context, register
from patchlens.types import Scores, Tokens


@register("foreground")
@dataclass(frozen=True)
class Foreground:
    """What acts, from the ground truth: for `patchlens sweep motions` and `patchlens principles` only."""

    keep: float = knob(0.5, 0.01, 1.0, step=0.01, unit="share of tokens", help="keep ratio K/N")
    per: str = choice("clip", ("clip", "frame"), help="choose over the whole clip, or the same share of every frame")
    requires = frozenset({"true actor masks"})
    monotone = True

    def score(self, tokens: Tokens, context: Context) -> Scores:
        """Share of each token that is actor; the many zeros fall to the seeded hash."""
        actor = getattr(context, "actor", None)
        if actor is None:
            raise ValueError("foreground needs true actor masks, which only the procedural motions have.")
        return Scores(actor.float(), "share of the token that is actor (ground truth)")

    def rule(self) -> Rule:
        """Top K."""
        return best(self.keep, self.per)
