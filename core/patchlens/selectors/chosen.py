"""The tokens that a person chose by hand, painted on the picture or written down as ranges of token numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from patchlens.keep import Rule, Threshold
from patchlens.knobs import text
from patchlens.lazy import torch
from patchlens.registry import Context, register
from patchlens.types import Scores, Tokens

PART = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")


@register("chosen")
@dataclass(frozen=True)
class Chosen:
    """Just the tokens that you name, by number: paint them on the picture, or write ranges such as 0-63.72.80-95.

    tokens  numbers in (t, y, x) order, n = (t * h + y) * w + x, as ranges joined by dots; or "all", or "none" (then one
            token stays, for no encoder runs on nothing)
    """

    tokens: str = text("all", help="token numbers, as in 0-63.72.80-95; or all, or none")
    monotone = False

    def score(self, tokens: Tokens, context: Context) -> Scores:
        """1 for the chosen tokens, 0 for the others."""
        values = torch.zeros(tokens.grid.n)
        for first, last in ranges_of(self.tokens, tokens.grid.n):
            values[first : last + 1] = 1.0
        return Scores(values, "1: chosen, 0: not")

    def rule(self) -> Rule:
        """Above one half."""
        return Threshold(0.5)


def ranges_of(said: str, n: int) -> list[tuple[int, int]]:
    """(first, last) token numbers of each range, both inclusive.

    Raises ValueError for what is no range, or reaches beyond the n tokens of the clip.
    """
    said = said.strip().lower()
    if said in ("all", "none", ""):
        return [(0, n - 1)] if said == "all" else []
    found = []
    for part in said.split("."):
        if not (match := PART.fullmatch(part.strip())):
            raise ValueError(f"tokens holds {part[:40]!r}; give numbers or ranges joined by dots, as in 0-63.72.80-95.")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < n:
            raise ValueError(f"tokens names {part.strip()}, but this clip has the tokens 0 to {n - 1}; name some of them.")
        found.append((first, last))
    return found
