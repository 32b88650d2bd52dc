"""How token values are distributed: Lorenz curve, Gini, and whether a power law, a lognormal or an exponential fits best.

The tail is what lies above a bound chosen by the least Kolmogorov-Smirnov distance (Clauset, Shalizi & Newman 2009); models
are fitted there by maximum likelihood and compared by likelihood ratios (Vuong 1989). Values of one clip depend on each
other, so a ratio's interval resamples whole clips: Vuong's own p, which takes values for independent, would be too sure.
Knows numbers only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from patchlens.evaluation.intervals import Interval, bootstrap

CANDIDATES = 40  # bounds tried
TAIL = 0.1  # the tail holds at least this share of the positive values


def lorenz(values: np.ndarray, points: int = 21) -> np.ndarray:
    """Share of all value that the poorest 0, 5, ..., 100 % of tokens hold, (points,); a straight line if all are zero."""
    at = np.linspace(0, 1, points)
    total = values.sum()
    if total <= 0:
        return at
    curve = np.concatenate([[0.0], np.sort(values.astype(np.float64)).cumsum() / total])
    return np.interp(at, np.linspace(0, 1, len(curve)), curve)


def gini(values: np.ndarray) -> float:
    """Gini coefficient of values >= 0: 0 when all are equal, near 1 when one token holds everything."""
    x, n = np.sort(values.astype(np.float64)), len(values)
    total = x.sum()
    return 0.0 if total <= 0 else float((2 * np.arange(1, n + 1) - n - 1) @ x / (n * total))


def top_share(values: np.ndarray, share: float = 0.2) -> float:
    """Share of all value that the richest `share` of the tokens hold."""
    total, k = float(values.sum()), max(1, round(share * len(values)))
    return share if total <= 0 else float(np.sort(values)[-k:].sum() / total)


@dataclass(frozen=True)
class Fit:
    """One model of the tail: its name, parameters and log-likelihood of every value."""

    name: str
    parameters: dict[str, float]
    likelihood: np.ndarray


def power_law(x: np.ndarray, low: float) -> Fit:
    """p(x) = (a - 1)/low (x/low)^-a for x >= low."""
    logs = np.log(x / low)
    a = 1 + 1 / max(float(logs.mean()), 1e-12)
    return Fit("power law", {"alpha": a}, np.log((a - 1) / low) - a * logs)


def exponential(x: np.ndarray, low: float) -> Fit:
    """p(x) = r exp(-r (x - low)) for x >= low."""
    rate = 1 / max(float((x - low).mean()), 1e-12)
    return Fit("exponential", {"rate": rate}, np.log(rate) - rate * (x - low))


def lognormal(x: np.ndarray, low: float) -> Fit:
    """A lognormal cut off below `low`, by numeric maximum likelihood."""
    logs, bound = np.log(x), np.log(low)

    def density(p: np.ndarray) -> np.ndarray:
        mu, sigma = p[0], np.exp(p[1])
        z = (logs - mu) / sigma
        return -logs - p[1] - 0.5 * np.log(2 * np.pi) - z * z / 2 - special.log_ndtr((mu - bound) / sigma)

    start = np.array([logs.mean(), np.log(max(logs.std(), 1e-3))])
    bounds = [(bound - 40, bound + 40), (-6, 4)]  # far below the bound a lognormal is a power law
    found = optimize.minimize(lambda p: -density(p).mean(), start, bounds=bounds, method="L-BFGS-B")
    return Fit("lognormal", {"mu": float(found.x[0]), "sigma": float(np.exp(found.x[1]))}, density(found.x))


def tail_start(values: np.ndarray, candidates: int = CANDIDATES, share: float = TAIL) -> float:
    """The bound above which a power law comes closest, by the Kolmogorov-Smirnov distance, over quantiles of the values.

    Raises ValueError for fewer than 100 positive values.
    """
    x = np.sort(values[values > 0].astype(np.float64))
    if len(x) < 100:
        raise ValueError(f"A tail cannot be fitted to {len(x)} positive values; give at least 100.")
    best, distance = float(x[0]), np.inf
    for low in np.unique(np.quantile(x, np.linspace(0, 1 - share, candidates))):
        tail = x[np.searchsorted(x, low) :]
        alpha = power_law(tail, low).parameters["alpha"]
        model = 1 - (tail / low) ** (1 - alpha)
        here = float(np.abs(model - np.arange(len(tail)) / len(tail)).max())
        if here < distance:
            best, distance = float(low), here
    return best


@dataclass(frozen=True)
class Tail:
    """The tail from `low` on, `share` of all values, its fits, and log-likelihood ratios per clip of power law over others.

    ratios: the interval lies above 0 where the power law fits better.
    """

    low: float
    share: float
    fits: dict[str, dict[str, float]]
    ratios: dict[str, Interval]


def tail_of(clips: Sequence[np.ndarray], seed: int = 0) -> Tail:
    """Compare the three models on the pooled values of some clips, each scaled to a mean of 1.

    Raises ValueError as `tail_start` does.
    """
    scaled = [c / c.mean() for c in clips if c.sum() > 0]
    values = np.concatenate([*scaled, np.zeros(0)]).astype(np.float64)
    owner = np.repeat(np.arange(len(scaled)), [len(c) for c in scaled])
    low = tail_start(values)
    inside = values >= low
    x, owner = values[inside], owner[inside]
    power, *others = (fit(x, low) for fit in (power_law, lognormal, exponential))
    ratios = {}
    for other in others:
        per_clip = np.bincount(owner, power.likelihood - other.likelihood, len(scaled))
        ratios[other.name] = bootstrap(per_clip, seed=seed)
    fits = {f.name: f.parameters for f in (power, *others)}
    return Tail(low, float(inside.mean()), fits, ratios)
