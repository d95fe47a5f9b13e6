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
    """Means by env step, over the seeds that have begun; of one that has ended, or is behind, the last value stays.

    Without it the mean would jump where a seed was stopped, and be that of the better ones from there on.
    """

    steps: NDArray[np.int64]  # (T,)
    mean: Doubles  # (T,)
    low: Doubles  # (T,), 95 % percentile bootstrap of the mean; the mean itself where there is one seed
    high: Doubles  # (T,)
    seeds: int
    measured: NDArray[np.int64]  # (T,), the seeds that have got so far


def seed_means(series: Sequence[Series]) -> SeedMeans | None:
    """Returns those of an arm's seeds; None where there is no point yet."""
    there = [each for each in series if each.steps]
    if not there:
        return None
    steps = _thin(np.unique(np.concatenate([each.steps for each in there])))
    values = np.stack([_held(each, steps) for each in there])  # (n, T), NaN before a seed's first point
    kept = np.isfinite(values).any(axis=0)
    steps, values = steps[kept], values[:, kept]
    measured = sum((steps <= each.steps[-1]).astype(np.int64) for each in there)
    return SeedMeans(steps, _mean(values), *_interval(values), len(there), np.asarray(measured))


def _thin(steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Evenly chosen, the first and the last among them."""
    if len(steps) <= MOST_POINTS:
        return steps
    return steps[np.linspace(0, len(steps) - 1, MOST_POINTS).round().astype(np.int64)]


def _held(series: Series, steps: NDArray[np.int64]) -> Doubles:
    """(T,) the latest finite value at each of the steps; NaN before the first."""
    values = np.array(series.values, np.float64)
    finite = np.isfinite(values)
    values, at = values[finite], np.searchsorted(np.array(series.steps)[finite], steps, side="right") - 1
    return np.where(at >= 0, values[np.maximum(at, 0)] if len(values) else np.nan, np.nan)


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
