"""LITE: a small network, trained to predict the oracle, ranks tokens before the first block (arXiv 2411.13626, sec. 4).

Unlike the oracle it is affordable: it sees the patch embeddings only, and the backbone stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from patchlens.keep import Rule, best
from patchlens.knobs import choice, knob, text
from patchlens.registry import Context, register
from patchlens.types import Scores, Tokens

FREE = frozenset({"embeddings"})
TRAINED = "a trained selector"


@register("lite")
@dataclass(frozen=True)
class Lite:
    """The value of each token as a small trained network reads it off the patch embedding (LITE eq. 6).

    weights  "auto": the selector that ships for this encoder; or a file that `patchlens train lite` wrote
    """

    keep: float = knob(0.5, 0.01, 1.0, step=0.01, unit="share of tokens", help="keep ratio K/N")
    weights: str = text("auto", help="auto (the bundled selector), or a file that `patchlens train lite` wrote")
    per: str = choice("clip", ("clip", "frame"), help="choose over the whole clip, or the same share of every frame")
    requires = FREE | {TRAINED}
    monotone = True

    def __post_init__(self) -> None:
        if self.weights != "auto":  # a file of one's own serves any encoder
            object.__setattr__(self, "requires", FREE)

    def score(self, tokens: Tokens, context: Context) -> Scores:
        """Sigmoid of the network, with the value before it for ties; every patch is embedded for it."""
        return learned_scores(tokens, context, self.weights)

    def rule(self) -> Rule:
        """Top K."""
        return best(self.keep, self.per)

    def depends(self, encoder: Any) -> str:
        """What else the scores depend on: the file's content."""
        from patchlens.ranker import ranker_digest

        return ranker_digest(encoder, self.weights)


def learned_scores(tokens: Tokens, context: Context, weights: str) -> Scores:
    """Scores of the trained network, with its own cost; embedding the patches is part of the reduced run."""
    from patchlens.ranker import rank, ranker_for, ranker_gmacs, segment_grid

    encoder = context.encoder
    ranker, card = ranker_for(encoder, weights)
    before = rank(ranker, encoder, tokens.embed(), tokens.grid)
    segments, _ = segment_grid(encoder, tokens.grid)
    gmacs = ranker_gmacs(ranker.config, segments, tokens.grid.n // segments)
    facts = {"embeds_all": True, "trained_on": card.get("data", ""), "branch": ranker.config.branch}
    if card.get("encoder") != encoder.name:
        facts["note"] = f"This selector was trained for {card.get('encoder')}, and ranks tokens of {encoder.name} here."
    return Scores(before.sigmoid(), "token value read off the embedding (LITE), 0..1", before, gmacs, facts)
