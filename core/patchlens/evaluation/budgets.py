"""What competes in a sweep, and how a budget (keep ratio K/N) sets one of its knobs.

A selector with a `keep` knob takes the budget as it is. One that decides by a threshold (RLT) has no budget: its
threshold is solved on the scores of the whole set, so that the mean keep ratio is the nearest that it can reach. A merger
keeps all tokens at first and ever fewer later: its dial (r, rho) is solved so that the mean share of tokens over all blocks
is nearest to the budget. Anything else (a plan of several selectors, with or without a merger at its end, a schedule, or a
spec that names its knob: `rlt:tau=0.1`) runs as written. Knows no model and no data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from patchlens.keep import Threshold
from patchlens.knobs import Knob, knobs_of
from patchlens.merge import Merger, mean_share
from patchlens.specs import Plan, parse_plan, parse_way, spec_of, way_spec


@dataclass(frozen=True)
class Contender:
    """A plan, the name its rows carry, and the knob that a budget sets (None: it runs as written).

    solved: the knob is a threshold to be solved per set; seeded: its choice is random, so it runs with several seeds;
    merger: what shortens the sequence inside the blocks (then the knob is its dial).
    """

    plan: Plan
    name: str
    knob: str | None = None
    solved: bool = False
    seeded: bool = False
    merger: Merger | None = None

    def at(self, value: float | None) -> Plan:
        """The plan with its knob at `value`."""
        if self.knob is None or value is None or self.merger is not None:
            return self.plan
        return Plan((replace(self.plan.selectors[0], **{self.knob: float(value)}),))

    def merger_at(self, value: float | None) -> Merger | None:
        """The merger with its dial at `value`."""
        if self.knob is None or value is None or self.merger is None:
            return self.merger
        return replace(self.merger, **{self.knob: value})

    def spec(self, value: float | None) -> str:
        """Plan and merger with the knob at `value`, in the grammar."""
        return way_spec(self.at(value), self.merger_at(value))

    @property
    def parts(self) -> list[Any]:
        """Selectors and merger, each with its `requires`."""
        return [*self.plan.selectors, *([self.merger] if self.merger else [])]


def contender(spec: str | Any) -> Contender:
    """A contender from the grammar, a selector or a Plan; the last part of a spec may be a merger (`rlt+tome:r=8`).

    Raises KeyError or ValueError in one sentence.
    """
    plan, merger = parse_way(spec) if isinstance(spec, str) else (parse_plan(spec), None)
    seeded = any(getattr(s, "seeded", False) for s in plan.selectors)
    if merger is not None:
        return _with_merger(spec, plan, merger, seeded)
    knob = _budget_knob(plan)
    if knob is None or (isinstance(spec, str) and f"{knob.name}=" in spec.replace(" ", "")):
        return Contender(plan, str(plan), seeded=seeded)
    return Contender(plan, without(str(plan), knob.name), knob.name, knob.name != "keep", seeded)


def _with_merger(spec: str, plan: Plan, merger: Merger, seeded: bool) -> Contender:
    """A merger alone has its dial solved, unless the spec says it; behind selectors it runs as written."""
    *selectors, last = spec.split("+")
    name = dial(merger).name
    if selectors or f"{name}=" in last.replace(" ", ""):
        return Contender(plan, way_spec(plan, merger), seeded=seeded, merger=merger)
    return Contender(plan, without(spec_of(merger), name), name, merger=merger)


def dial(merger: Merger) -> Knob:
    """The knob that says how much a merger takes away: its first numeric one."""
    return next(k for k in knobs_of(type(merger)) if k.kind in ("int", "float"))


def without(spec: str, knob: str) -> str:
    """The spec of one selector or merger without one knob."""
    name, _, rest = spec.partition(":")
    left = [item for item in rest.split(",") if not item.startswith(f"{knob}=")]
    return name + (":" + ",".join(left) if left != [""] and left else "")


def _budget_knob(plan: Plan) -> Knob | None:
    if len(plan.selectors) != 1:
        return None
    selector = plan.selectors[0]
    knobs = {k.name: k for k in knobs_of(type(selector))}
    return knobs.get("keep") or next((k for k in knobs.values() if _is_threshold(selector, k)), None)


def _is_threshold(selector: Any, knob: Knob) -> bool:
    """Whether the rule is a threshold at this knob's value."""
    if knob.kind != "float" or not isinstance(selector.rule(), Threshold):
        return False
    middle = (knob.low + knob.high) / 2
    moved = replace(selector, **{knob.name: middle}).rule()
    return isinstance(moved, Threshold) and moved.tau == middle


def solve(values: Sequence[np.ndarray], budget: float, low: float, high: float) -> tuple[float, float]:
    """The threshold in low..high whose mean keep ratio is nearest to `budget`, and that ratio.

    values: float32 scores (N,) of each clip; kept is what is strictly above, as `keep.decide` has it, at least one token a
    clip. The ratio falls in steps as the threshold rises, so it is bisected over the values themselves.
    Raises ValueError for no scores.
    """
    if not len(values):
        raise ValueError("There are no scores to solve a threshold on.")
    every = np.concatenate([*values, np.float32([low, high])]).astype(np.float64).clip(low, high)
    steps = np.unique(every[np.isfinite(every)])
    ascending = [np.sort(v) for v in values]
    first, last = 0, len(steps) - 1
    while last - first > 1:  # ratio(first) >= budget >= ratio(last), where reachable
        middle = (first + last) // 2
        if reached(ascending, steps[middle]) >= budget:
            first = middle
        else:
            last = middle
    ratio, best = min(
        ((reached(ascending, steps[i]), i) for i in (first, last)), key=lambda pair: abs(pair[0] - budget)
    )
    return float(steps[best]), ratio


def reached(ascending: Sequence[np.ndarray], tau: float) -> float:
    """Mean keep ratio of a strict threshold over each clip's sorted scores."""
    kept = [max(1, len(v) - int(np.searchsorted(v, np.float32(tau), side="right"))) / len(v) for v in ascending]
    return float(np.mean(kept))


def solve_merger(merger: Merger, length: int, depth: int, front: int, budget: float) -> float:
    """The dial whose mean share of tokens over the blocks is nearest to `budget`; of `length` tokens `front` must stay."""
    knob = dial(merger)
    steps = round((min(knob.high, length) - knob.low) / knob.step)
    tried = [knob.check(round(knob.low + i * knob.step, 6)) for i in range(steps + 1)]

    def off(value: float) -> float:
        return abs(mean_share(replace(merger, **{knob.name: value}).lengths(length, depth, front), front) - budget)

    return min(tried, key=off)


def solved_value(who: Contender, values: Sequence[np.ndarray], budget: float) -> float:
    """A contender's threshold for one budget, within its knob's bounds."""
    knob = next(k for k in knobs_of(type(who.plan.selectors[0])) if k.name == who.knob)
    return solve(values, budget, knob.low, knob.high)[0]
