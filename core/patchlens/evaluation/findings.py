"""The five principles of visual tokens as tested claims: each a function from a table of results to a `Finding`.

A claim "holds" or "does not hold" only where a 95 % interval says so, else it is undecided. What counts as a margin is a
constant here, chosen before anything was measured. Knows nothing of models.
Source of the claims: Principles of Visual Tokens for Efficient Video Understanding (LITE, arXiv 2411.13626) sec. 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from patchlens.evaluation import distribution
from patchlens.evaluation.difficulty import difficulty_slope
from patchlens.evaluation.intervals import (
    FAILS,
    HOLDS,
    UNDECIDED,
    Interval,
    above,
    bootstrap,
    joint,
    mean_interval,
    paired,
    percentiles,
    resampled_means,
    words,
)
from patchlens.evaluation.job import Table
from patchlens.evaluation.overlap import SHARES
from patchlens.evaluation.rows import masks_of, metric, per_clip

MARGIN = 0.02  # a cue within two points of random is no better than it
CLOSE = 0.25  # a cue coincides with the oracle when it closes a quarter of the gap from chance to full recall
MOST = 0.5  # "few tokens carry most of the value": the top fifth holds at least half of it
CLIFF = 0.3  # random's cliff is looked for below this keep ratio
HALF = 0.5  # the budget of the fifth principle


@dataclass(frozen=True)
class Finding:
    """One principle as measured: its claim, the verdict, one sentence with the figures, and the figures as plain data."""

    number: int
    claim: str
    verdict: str
    text: str
    figures: dict[str, Any]


def runs_at(table: Table, name: str, budget: float) -> list[np.ndarray]:
    """The runs (one per seed) of a contender at a budget; the full run for "everything"."""
    if name == "everything":
        return [table.full]
    return [r for v, r in table.runs.items() if v.contender.name == name and v.asked == budget]


def budgets_of(table: Table) -> list[float]:
    """The keep ratios that were asked for, rising."""
    return sorted({v.asked for v in table.runs if v.asked is not None})


def _pair(table: Table, first: str, second: str, budget: float) -> np.ndarray:
    """first - second per clip at one budget."""
    name = metric(table)
    return per_clip(runs_at(table, first, budget), name) - per_clip(runs_at(table, second, budget), name)


def _json(found: Interval) -> dict[str, Any]:
    return {"mean": round(found.mean, 5), "interval": [round(x, 5) for x in found.ends]}


def random_is_better(table: Table, cues: Sequence[str], known: Sequence[str]) -> Finding:
    """Principle 1: at equal budgets random is as good as most cues. Cues in `known` use the truth: shown, not counted."""
    budgets = [b for b in budgets_of(table) if b < 1]
    figures: dict[str, Any] = {"budgets": budgets, "difference_to_random": {}}
    means: dict[str, Interval] = {}
    for cue in cues:
        by_budget = [_pair(table, cue, "random", b) for b in budgets]
        means[cue] = bootstrap(np.mean(by_budget, 0))
        each = {f"{b:g}": _json(bootstrap(d)) for b, d in zip(budgets, by_budget, strict=True)}
        figures["difference_to_random"][cue] = {**_json(means[cue]), "word": words(means[cue]), "at": each}
    counted = [means[c] for c in cues if c not in known]
    no_better = sum(1 for m in counted if m.high <= MARGIN)
    better = sum(1 for m in counted if m.low > 0)
    verdict = HOLDS if 2 * no_better > len(counted) else FAILS if 2 * better >= len(counted) > 0 else UNDECIDED
    figures |= {"no_better_than_random": no_better, "better_than_random": better, "counted": len(counted)}
    shown = ", ".join(f"{c} {m.percent(signed=True)} ({words(m)})" for c, m in means.items())
    text = f"Points over random, mean over keep ratios {budgets[0]:g} to {budgets[-1]:g}: {shown}."
    return Finding(1, "Random is better than most cues at equal budgets.", verdict, text, figures)


def cues_miss_the_oracle(table: Table, cues: Sequence[str]) -> Finding:
    """Principle 2: good tokens do not coincide with visual cues."""
    overlap = table.extra["overlap"]
    figures: dict[str, Any] = {"chance": {f"{s:g}": s for s in SHARES}, "cues": {}}
    closed: dict[str, Interval] = {}
    for i, cue in enumerate(cues):
        rho, *recalls = (mean_interval(overlap[:, i, k]) for k in range(1 + len(SHARES)))
        closed[cue] = bootstrap((overlap[:, i, 1] - SHARES[0]) / (1 - SHARES[0]))
        at = {f"{s:g}": _json(r) for s, r in zip(SHARES, recalls, strict=True)}
        figures["cues"][cue] = {"spearman": _json(rho), "recall": at, "gap_closed": _json(closed[cue])}
    if all(c.high < CLOSE for c in closed.values()):
        verdict = HOLDS
    else:
        verdict = FAILS if any(c.low >= CLOSE for c in closed.values()) else UNDECIDED
    shown = ", ".join(
        f"{c} {100 * f['recall'][f'{SHARES[0]:g}']['mean']:.0f} % (rho {f['spearman']['mean']:+.2f})"
        for c, f in figures["cues"].items()
    )
    text = (
        f"Of the oracle's best {100 * SHARES[0]:.0f} % of tokens (chance {100 * SHARES[0]:.0f} %) a cue finds: {shown}."
    )
    return Finding(2, "Good tokens do not coincide with visual cues.", verdict, text, figures)


def low_value_tokens_hurt(table: Table, true_label: str, predicted: str) -> Finding:
    """Principle 3: a subset chosen by the oracle beats all tokens; with the predicted label the leak is gone."""
    budgets = [b for b in budgets_of(table) if b < 1]
    level = 1 - 0.05 / len(budgets)  # the best of several budgets is looked for
    name = metric(table)
    figures: dict[str, Any] = {"level": level, "all_tokens": _json(mean_interval(per_clip([table.full], name)))}
    verdicts, tells = {}, []
    for kind, oracle in (("true_label", true_label), ("predicted_label", predicted)):
        per = {b: bootstrap(_pair(table, oracle, "everything", b), level) for b in budgets}
        accuracy = {f"{b:g}": _json(mean_interval(per_clip(runs_at(table, oracle, b), name))) for b in budgets}
        sweet = max(budgets, key=lambda b: (per[b].mean, -b))
        enough = min((b for b in budgets if per[b].mean >= 0), default=None)
        any_better = any(d.low > 0 for d in per.values())
        none_better = all(d.high <= 0 for d in per.values())
        verdicts[kind] = HOLDS if any_better else FAILS if none_better else UNDECIDED
        figures[kind] = {
            "top1": accuracy, "difference_to_all": {f"{b:g}": _json(d) for b, d in per.items()},
            "sweet_spot": sweet, "least_budget_not_below_all": enough, "verdict": verdicts[kind],
        }  # fmt: skip
        tells.append(f"{kind.replace('_', ' ')} {per[sweet].percent(signed=True)} at keep {sweet:g} ({verdicts[kind]})")
    leak = {b: bootstrap(_pair(table, true_label, predicted, b)) for b in budgets}
    figures["label_leak"] = {f"{b:g}": _json(d) for b, d in leak.items()}
    worst = max(budgets, key=lambda b: leak[b].mean)
    text = (
        f"Points over all tokens at the best budget: {'; '.join(tells)}; the label leaks {leak[worst].percent(True)}."
    )
    claim = "Low-value tokens hurt: the oracle's subset beats all tokens (true label)."
    return Finding(3, claim, verdicts["true_label"], text, figures)


def clips_of(table: Table) -> list[np.ndarray]:
    """The oracle's values (>= 0) of each clip."""
    ends = np.cumsum(table.extra["lengths"])
    return np.split(table.extra["values"], ends)[: len(ends)]


def value_is_pareto(table: Table) -> Finding:
    """Principle 4: few tokens carry most of the value, as a power law; random accuracy falls off a cliff."""
    clips = clips_of(table)
    peak = [c / c.max() for c in clips if c.max() > 0]
    histogram = np.histogram(np.concatenate([*peak, np.zeros(0)]), np.linspace(0, 1, 21))[0]
    share = mean_interval(np.array([distribution.top_share(c) for c in clips]))
    unequal = mean_interval(np.array([distribution.gini(c) for c in clips]))
    figures: dict[str, Any] = {
        "histogram": histogram.tolist(), "lorenz": np.mean([distribution.lorenz(c) for c in clips], 0).round(5).tolist(),
        "gini": _json(unequal), "top_fifth_holds": _json(share), "empty_maps": sum(1 for c in clips if c.max() <= 0),
    }  # fmt: skip
    few, law = above(share, MOST), UNDECIDED
    told = "too few positive values for a tail"
    try:
        tail = distribution.tail_of(clips)
        law = power_law_verdict(tail)
        ratios = {k: _json(v) for k, v in tail.ratios.items()}
        figures["tail"] = {
            "from": tail.low,
            "share": tail.share,
            "fits": tail.fits,
            "likelihood_ratio_per_clip": ratios,
        }
        told = "log-likelihood ratio per clip of a power law over " + ", ".join(
            f"{k} {v}" for k, v in tail.ratios.items()
        )
    except ValueError as error:
        figures["tail"] = str(error)
    figures |= {"few_carry_most": few, "power_law": law, "random_cliff": random_cliff(table)}
    text = (
        f"The top fifth holds {share.percent()} % of the value (Gini {unequal}): few carry most {few}; {told}: power law "
        f"{law}; random's cliff below {CLIFF:g} {figures['random_cliff']['verdict']}."
    )
    claim = "Few tokens carry most of the value, as a power law (Pareto)."
    return Finding(4, claim, joint([few, law]), text, figures)


def power_law_verdict(tail: distribution.Tail) -> str:
    """Better than an exponential, and not worse than a lognormal (which contains the power law as a limit)."""
    over = above(tail.ratios["exponential"])
    return FAILS if tail.ratios["lognormal"].high < 0 else over


def random_cliff(table: Table) -> dict[str, Any]:
    """Points that random loses per tenth of the tokens, below and above the keep ratio CLIFF."""
    budgets, name = budgets_of(table), metric(table)
    low = min(budgets)
    if CLIFF not in budgets or low >= CLIFF:
        return {"verdict": UNDECIDED, "why": f"keep ratio {CLIFF:g} and a smaller one were not measured"}
    lowest, at, whole = (
        per_clip(runs_at(table, n, b), name) for n, b in (("random", low), ("random", CLIFF), ("everything", 1))
    )
    below, beyond = (at - lowest) / (10 * (CLIFF - low)), (whole - at) / (10 * (1 - CLIFF))
    steeper = paired(below, beyond)
    return {"verdict": above(steeper), "lost_per_tenth_below": _json(bootstrap(below)),
            "lost_per_tenth_above": _json(bootstrap(beyond)), "difference": _json(steeper)}  # fmt: skip


def easy_needs_less(table: Table, seed: int = 0) -> Finding:
    """Principle 5: classes that are easy lose less when half the tokens are dropped at random, and have thinner tails."""
    claim = "Easy classes need fewer tokens: they lose less at half the tokens."
    if metric(table) != "right" or HALF not in budgets_of(table):
        return Finding(5, claim, UNDECIDED, "It needs labels, and random at keep ratio 0.5.", {})
    full, random = table.full["right"], np.mean([r["right"] for r in runs_at(table, "random", HALF)], 0)
    known = ~np.isnan(full)
    classes = {c: m & known for c, m in masks_of(table)["class"].items() if (m & known).any()}
    try:
        slope = difficulty_slope(full, full - random, list(classes.values()), seed)
    except ValueError as error:
        return Finding(5, claim, UNDECIDED, str(error), {})
    by_class = {c: {"n": int(m.sum()), "top1": round(float(full[m].mean()), 4),
                    "drop": round(float((full - random)[m].mean()), 4)} for c, m in classes.items()}  # fmt: skip
    figures: dict[str, Any] = {"slope": _json(slope), "classes": by_class, **_tails(table, by_class, classes)}
    if thirds := masks_of(table).get("difficulty"):
        figures["drop_by_difficulty"] = {k: _json(mean_interval((full - random)[m & known])) for k, m in thirds.items()}
    least, most = (100 * pick(c["top1"] for c in by_class.values()) for pick in (min, max))
    text = f"Points lost at half the tokens per point of class difficulty: {slope} (classes: {least:.1f} to {most:.1f} %)"
    if "top_fifth_hard_minus_easy" in figures:
        tails = figures["top_fifth_hard_minus_easy"]
        text += f"; the top fifth of tokens holds {100 * tails['mean']:+.1f} points more of the value in hard classes"
    return Finding(5, claim, above(slope), text + ".", figures)


def _tails(table: Table, by_class: dict[str, Any], classes: dict[str, np.ndarray]) -> dict[str, Any]:
    """Share held by the top fifth of tokens, in the harder half of the classes minus the easier half."""
    if "values" not in table.extra or len(classes) < 2:
        return {}
    share = np.array([distribution.top_share(c) for c in clips_of(table)])
    ranked = sorted(classes, key=lambda c: by_class[c]["top1"])
    hard = np.any([classes[c] for c in ranked[: len(ranked) // 2]], 0)
    labelled = np.any(list(classes.values()), 0)
    sides = [share[hard], share[labelled & ~hard]]
    draws = [resampled_means(s[:, None], seed=i)[:, 0] for i, s in enumerate(sides)]
    found = percentiles(float(sides[0].mean() - sides[1].mean()), draws[0] - draws[1])
    return {"top_fifth_hard_minus_easy": _json(found), "hard_classes": ranked[: len(ranked) // 2]}
