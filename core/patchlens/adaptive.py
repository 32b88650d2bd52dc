"""LITE++'s rule as data: a budget that follows how sure a glance at the clip was. Knows no scores."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Adaptive:
    """TopK with a budget that follows the clip's confidence c (LITE++, arXiv 2411.13626, sec. 4.3).

    Stepped: an easy clip (c > high) gets the small budget, one in doubt (c < low) too where `give_up`, any other `keep`.
    Smooth: a line from `keep` at low to the small budget at high. The small budget is `easy` where that is below `keep`,
    else two thirds of `keep`.
    """

    keep: float
    easy: float
    low: float
    high: float
    smooth: bool = False
    give_up: bool = False

    def ratio(self, confidence: float) -> float:
        """The keep ratio of a clip."""
        small = self.easy if self.keep > self.easy else self.keep * 2 / 3
        if confidence > self.high or (self.give_up and not self.smooth and confidence < self.low):
            return small
        if not self.smooth or confidence <= self.low:
            return self.keep
        return self.keep + (small - self.keep) * ((confidence - self.low) / (self.high - self.low))
