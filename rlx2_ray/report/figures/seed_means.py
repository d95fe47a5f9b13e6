"""A metric of an arm over time: the mean over its seeds, with a bootstrap interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.report.record.trial import Series

RESAMPLES = 400
MOST_POINTS = 240  # of a drawn line; more is not seen, and a live page sends them all again

Doubles = NDArray[np.float64]


class SeedMeans(NamedTuple):
    """Means by env step, over the seeds that have got so far."""

    steps: NDArray[np.int64]  # (T,)
    mean: Doubles  # (T,)
    low: Doubles  # (T,), 95 % percentile bootstrap of the mean; the mean itself where there is one seed
    high: Doubles  # (T,)
    seeds: int


def seed_means(series: Sequence[Series]) -> SeedMeans | None:
    """Returns those of an arm's seeds; None where there is no point yet."""
    there = [each for each in series if each.steps]
    if not there:
        return None
    steps = _thin(np.unique(np.concatenate([each.steps for each in there])))
    values = np.stack([_at(each, steps) for each in there])  # (n, T), NaN where a seed has no point
    kept = np.isfinite(values).any(axis=0)
    steps, values = steps[kept], values[:, kept]
    return SeedMeans(steps, _mean(values), *_interval(values), len(there))


def _thin(steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Evenly chosen, the first and the last among them."""
    if len(steps) <= MOST_POINTS:
        return steps
    return steps[np.linspace(0, len(steps) - 1, MOST_POINTS).round().astype(np.int64)]


def _at(series: Series, steps: NDArray[np.int64]) -> Doubles:
    """(T,) values at those steps."""
    by_step = dict(zip(series.steps, series.values, strict=True))
    return np.array([by_step.get(int(step), np.nan) for step in steps], np.float64)


def _interval(values: Doubles) -> tuple[Doubles, Doubles]:
    count = len(values)
    if count == 1:
        return values[0], values[0]
    rows = np.random.default_rng(0).integers(0, count, (RESAMPLES, count))
    means = np.where(np.isfinite(drawn := _mean(values[rows])), drawn, _mean(values))
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return low, high


def _mean(values: Doubles) -> Doubles:
    """Over the last axis but one, without the NaN; NaN where all are."""
    there = np.isfinite(values)
    count = there.sum(axis=-2)
    total = np.where(there, values, 0.0).sum(axis=-2)
    mean: Doubles = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean
