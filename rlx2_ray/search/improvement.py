"""P(A above B): how likely a seed of one arm scores above a seed of another, and how sure that is.

The probability of improvement is that of rliable (Agarwal et al. 2021, https://arxiv.org/abs/2108.13264), Mann and
Whitney's U over the number of pairs of seeds. Its interval is not their bootstrap: resampled seeds of arms that do not
overlap always give 1, and two seeds each would make it certain. Newcombe's score interval does not (method 5 of
Newcombe 2006, Statistics in Medicine 25:559, https://doi.org/10.1002/sim.2324).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rlx2_ray.search.statistics import FEWEST_SEEDS, Interval

NORMAL_QUANTILE = 1.959964  # of 95 %
HALVINGS = 60


class Improvement(NamedTuple):
    probability: float  # in [0, 1]
    interval: Interval | None  # 95 %; None: of a single seed of either


def improvement(ones: Sequence[float], others: Sequence[float]) -> Improvement:
    """Returns P(a score of `ones` > one of `others`), a tie counting half; scores (n,), n >= 1, of both."""
    left, right = np.asarray(ones, np.float64)[:, None], np.asarray(others, np.float64)[None]
    probability = float(np.mean((left > right) + 0.5 * (left == right)))
    if min(len(ones), len(others)) < FEWEST_SEEDS:
        return Improvement(probability, None)
    counts = len(ones), len(others)
    return Improvement(probability, (_lower(probability, *counts), 1 - _lower(1 - probability, *counts)))


def _lower(probability: float, count: int, other: int) -> float:
    """The least value whose distance from the probability is within its own error, found by halving."""
    low, high = 0.0, probability
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if probability - middle > NORMAL_QUANTILE * math.sqrt(_variance(middle, count, other)):
            low = middle
        else:
            high = middle
    return high


def _variance(value: float, count: int, other: int) -> float:
    """Of the estimate where the probability is `value`."""
    mean = (count + other) / 2 - 1
    shape = (1 - value) / (2 - value) + value / (1 + value)
    return value * (1 - value) * (1 + mean * shape) / (count * other)
