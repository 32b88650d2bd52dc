"""How sure a measured number is: Wilson, bootstrap over clips, exact McNemar, and verdicts from them.

Pure functions on numpy arrays; knows no model and no clip. The unit that is resampled is the clip, always: runs with
several seeds are averaged within a clip first, because the clips are the sample and the seeds are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

LEVEL = 0.95
RESAMPLES = 2000
FEW = 30  # below this many clips the bootstrap is too narrow: a rate gets Wilson's interval, a difference Student's
FEWEST = 6  # below this many clips nothing is better or worse: a sign test of five reaches p = 0.06 at best
_KEPT = 1 << 22  # resampling weights kept in memory; more clips are resampled block by block

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval; low <= high."""

    mean: float
    low: float
    high: float

    @property
    def ends(self) -> list[float]:
        """[low, high], as written to JSON."""
        return [self.low, self.high]

    def __iter__(self) -> Iterator[float]:
        """low, then high: `low, high = wilson(3, 10)`."""
        return iter((self.low, self.high))

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def percent(self, signed: bool = False) -> str:
        """In percent (or points, with the sign): "71.5 [68.0, 74.9]"."""
        form = "{:+.1f} [{:+.1f}, {:+.1f}]" if signed else "{:.1f} [{:.1f}, {:.1f}]"
        return form.format(*(100 * x for x in (self.mean, self.low, self.high)))


def wilson(successes: int, trials: int, level: float = LEVEL) -> Interval:
    """Wilson score interval of a rate.

    Raises ValueError for no trials or more successes than trials.
    Source: Wilson 1927; Brown, Cai & DasGupta 2001.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials are no rate; give 0 <= successes <= trials >= 1.")
    z = float(stats.norm.ppf(0.5 + level / 2))
    rate, spread = successes / trials, z * z / trials
    middle = (rate + spread / 2) / (1 + spread)
    half = z / (1 + spread) * np.sqrt(rate * (1 - rate) / trials + spread / trials / 4)
    return Interval(rate, max(0.0, float(middle - half)), min(1.0, float(middle + half)))


def resampled_means(values: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Means of `resamples` bootstrap samples of the clips, (resamples, m), of values (n, m).

    The draws depend on n and the seed only, so columns measured on the same clips stay paired, here and in other calls.
    Raises ValueError for no clips.
    """
    n, columns = values.shape
    if n < 1:
        raise ValueError("There is nothing to resample; give at least one clip.")
    if n * resamples <= _KEPT:
        return _weights(n, resamples, seed) @ values / n
    rng, out, block = np.random.default_rng((seed, n)), np.empty((resamples, columns)), max(1, _KEPT // n)
    for start in range(0, resamples, block):
        stop = min(resamples, start + block)
        out[start:stop] = rng.multinomial(n, np.full(n, 1 / n), stop - start) @ values / n
    return out


@lru_cache(maxsize=2)
def _weights(n: int, resamples: int, seed: int) -> np.ndarray:
    """How often each clip is drawn, (resamples, n); one table asks for the same draws hundreds of times."""
    return np.random.default_rng((seed, n)).multinomial(n, np.full(n, 1 / n), resamples).astype(np.float64)


def bootstrap(values: np.ndarray, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Percentile bootstrap of the mean of one value per clip, (n,)."""
    values = np.asarray(values, np.float64)
    return percentiles(float(values.mean()), resampled_means(values[:, None], resamples, seed)[:, 0], level)


def percentiles(estimate: float, draws: np.ndarray, level: float = LEVEL) -> Interval:
    """The interval that holds the middle `level` of bootstrap draws of any statistic."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, min(float(low), estimate), max(float(high), estimate))


def mean_interval(values: np.ndarray, level: float = LEVEL, seed: int = 0) -> Interval:
    """The bootstrap of a mean; Wilson for 0/1 values that are few or all equal, where the bootstrap says too little."""
    values = np.asarray(values, np.float64)
    binary = bool(np.isin(values, (0.0, 1.0)).all())
    if binary and (len(values) < FEW or values.min() == values.max()):
        return wilson(int(values.sum()), len(values), level)
    return bootstrap(values, level, seed=seed)


def paired(first: np.ndarray, second: np.ndarray, level: float = LEVEL, seed: int = 0) -> Interval:
    """Interval of mean(first - second) over the clips that both were measured on: the bootstrap, Student's for few.

    Raises ValueError when they are not as many.
    """
    if len(first) != len(second):
        raise ValueError(f"A paired comparison needs the same clips; there are {len(first)} and {len(second)}.")
    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    return student(difference, level) if 1 < len(difference) < FEW else bootstrap(difference, level, seed=seed)


def student(values: np.ndarray, level: float = LEVEL) -> Interval:
    """Student's interval of a mean of two values or more."""
    mean, n = float(values.mean()), len(values)
    half = float(stats.t.ppf(0.5 + level / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half)


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided exact McNemar p that two runs are right equally often, from right/wrong per clip, bool (n,) each.

    Source: McNemar 1947, with the binomial in place of chi-square.
    """
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    differ = only_first + only_second
    return 1.0 if differ == 0 else float(stats.binomtest(only_first, differ).pvalue)


def above(interval: Interval, bound: float = 0.0) -> str:
    """ "holds" when the whole interval lies above the bound, "does not hold" when below, else "undecided"."""
    if interval.low > bound:
        return HOLDS
    return FAILS if interval.high < bound else UNDECIDED


def joint(verdicts: list[str]) -> str:
    """All must hold: one that does not hold decides, else one that is undecided."""
    if FAILS in verdicts:
        return FAILS
    return UNDECIDED if UNDECIDED in verdicts or not verdicts else HOLDS


def words(interval: Interval) -> str:
    """A paired difference in a word: better, worse or level (not told apart at this many clips)."""
    return {HOLDS: "better", FAILS: "worse", UNDECIDED: "level"}[above(interval)]
