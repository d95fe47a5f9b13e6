"""What several seeds say: the interquartile mean, its bootstrap interval, and how sure a ratio to the dense arm is.

The interquartile mean is that of rliable (Agarwal et al. 2021, https://arxiv.org/abs/2108.13264): scipy's `trim_mean`
with a quarter cut from each end, so that one collapsed seed of eight moves it little.

The bootstrap resamples the seeds of each arm by itself. Resampled statistics of few seeds spread too little, by
(n - 1)/n in variance for a mean of n; their deviations are stretched by the root of that, which matters at four seeds
and vanishes at many. The resampled indices depend on n and the arm alone: same scores, same answer, everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.types import RunFailed

Statistic = Literal["iqm", "mean"]
Interval = tuple[float, float]
Doubles = NDArray[np.float64]

TRIMMED = 0.25  # from each end
RESAMPLES = 2000
CONFIDENCE = 0.95  # of all intervals
SPARSE, DENSE = 0, 1  # the arms, each with resampled indices of its own
FEWEST_SEEDS = 2  # that tell anything of their spread
SMALLEST_GAIN = 1e-3  # of a resampled dense arm over random, in parts of the arm's own; it keeps ratios finite


class RatioEstimate(NamedTuple):
    """R = (sparse - random) / (dense - random) of two arms' statistics."""

    ratio: float
    interval: Interval  # percentile bootstrap
    probability: float  # Pr(R >= threshold), in [0, 1]


def statistic_of(scores: Sequence[float] | Doubles, statistic: Statistic = "iqm") -> float:
    """Returns the statistic of one arm's scores (n,), n >= 1."""
    return float(statistics_of(np.asarray(scores, np.float64)[None], statistic)[0])


def arm_interval(scores: Sequence[float] | Doubles, statistic: Statistic = "iqm") -> Interval:
    """Returns the percentile bootstrap interval of an arm's statistic; scores (n,), n >= 2."""
    return _interval(_resampled(scores, statistic, DENSE))


def estimate_ratio(
    sparse: Sequence[float] | Doubles,
    dense: Sequence[float] | Doubles,
    random: float,
    threshold: float = 0.97,
    statistic: Statistic = "iqm",
) -> RatioEstimate:
    """Bootstraps two arms, stratified; scores and `random`, that of a random policy, in the environment's units.

    Raises:
        RunFailed: the dense arm is no better than random, so that there is no return to keep.

    """
    gain = dense_gain(dense, random, statistic)
    ratio = (statistic_of(sparse, statistic) - random) / gain
    sparse_gains = _resampled(sparse, statistic, SPARSE) - random
    dense_gains = _resampled(dense, statistic, DENSE) - random
    ratios = sparse_gains / np.maximum(dense_gains, SMALLEST_GAIN * gain)
    # Compared without dividing: it holds also where a resampled dense arm falls below random.
    probability = float(np.mean(sparse_gains >= threshold * dense_gains))
    return RatioEstimate(ratio, _interval(ratios), probability)


def probability_above(
    ones: Sequence[float] | Doubles, others: Sequence[float] | Doubles, statistic: Statistic = "iqm"
) -> float:
    """Returns Pr(statistic of `ones` > that of `others`), a tie counting half; bootstrap of 2 scores each or more."""
    left, right = _resampled(ones, statistic, SPARSE), _resampled(others, statistic, DENSE)
    return float(np.mean((left > right) + 0.5 * (left == right)))


def dense_gain(dense: Sequence[float] | Doubles, random: float, statistic: Statistic = "iqm") -> float:
    """Returns what the dense arm learned: its statistic less the random policy's score, > 0."""
    learned = statistic_of(dense, statistic)
    if not learned > random:
        raise RunFailed(
            f"the dense arm's score, {learned:.6g}, is no better than a random policy's, {random:.6g}: "
            "there is nothing to compress until dense runs learn (more steps)"
        )
    return learned - random


def _resampled(scores: Sequence[float] | Doubles, statistic: Statistic, arm: int) -> Doubles:
    """(RESAMPLES,) statistics of scores (n,) drawn with replacement, stretched as said above."""
    values = np.asarray(scores, np.float64)
    if len(values) < FEWEST_SEEDS:
        raise ValueError(f"{len(values)} seeds have no spread to resample, at least {FEWEST_SEEDS} do")
    center = statistic_of(values, statistic)
    stretch = math.sqrt(len(values) / (len(values) - 1))
    stretched: Doubles = center + stretch * (statistics_of(values[_indices(len(values), arm)], statistic) - center)
    return stretched


@lru_cache(maxsize=256)
def _indices(count: int, arm: int) -> NDArray[np.int64]:
    """(RESAMPLES, count), each in [0, count)."""
    return np.random.default_rng((arm, count)).integers(0, count, (RESAMPLES, count))


def statistics_of(rows: Doubles, statistic: Statistic) -> Doubles:
    """Returns the statistic (N,) of each row of scores (N, n), n >= 1."""
    count = rows.shape[1]
    cut = int(TRIMMED * count) if statistic == "iqm" else 0
    kept = np.sort(rows, axis=1)[:, cut : count - cut] if cut else rows
    means: Doubles = kept.mean(axis=1)
    return means


def _interval(draws: Doubles) -> Interval:
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
