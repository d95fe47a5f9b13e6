"""The running mean and variance of observations, and what they are normalised by.

Pieces are joined by the parallel form of Welford's method (Chan, Golub & LeVeque 1983, "Algorithms for computing the
sample variance"), in double precision: the order in which actors report changes rounding alone.

Normalised is (x - mean) / sqrt(variance + 1e-8), clipped to +-10: the constants of Stable-Baselines3's VecNormalize
(gymnasium's NormalizeObservation has the same 1e-8, and does not clip). In one thing it differs from both: what hardly
varies, by a standard deviation below 1e-4, is only centred. It would be blown up up to 10 000 times, so that a constant
that is ever so little another in a later episode would be a jump of 10 deviations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.networks.policy_reader import Normalization
from rlx2_ray.networks.sparse_layer import Arrays
from rlx2_ray.types import Floats

EPSILON = 1e-8  # of a variance
STATE = "observed"  # key of the count among a learner's values, and prefix of the arrays

Doubles = NDArray[np.float64]


class Moments(NamedTuple):
    """`squares` are the sums of squared differences from the mean."""

    number: int  # of observations
    mean: Doubles  # (observation_size,)
    squares: Doubles  # (observation_size,)

    @classmethod
    def none(cls, observation_size: int) -> Moments:
        return cls(0, np.zeros(observation_size), np.zeros(observation_size))

    @classmethod
    def of(cls, observations: Floats) -> Moments:
        """Of observations (N, observation_size), N >= 1."""
        mean = observations.mean(axis=0, dtype=np.float64)
        return cls(len(observations), mean, np.square(observations - mean).sum(axis=0))

    def joined(self, other: Moments) -> Moments:
        """Of both together."""
        number = self.number + other.number
        if not number:
            return self
        difference = other.mean - self.mean
        mean = self.mean + difference * (other.number / number)
        squares = self.squares + other.squares + np.square(difference) * (self.number * other.number / number)
        return Moments(number, mean, squares)

    def normalization(self) -> Normalization:
        """What newest observations are normalised by; nothing at all where there were none."""
        variance = self.squares / max(self.number, 1)
        scale = np.where(variance < EPSILON, 1.0, 1.0 / np.sqrt(variance + EPSILON))
        return Normalization(self.mean.astype(np.float32), scale.astype(np.float32))

    def arrays(self) -> Arrays:
        """The state but for the count, for a checkpoint."""
        return {f"{STATE}.mean": self.mean.copy(), f"{STATE}.squares": self.squares.copy()}


def moments_of_state(arrays: Mapping[str, Any], values: Mapping[str, Any]) -> Moments | None:
    """Those in a learner's state; None where it does not normalise."""
    if STATE not in values:
        return None
    return Moments(values[STATE], arrays[f"{STATE}.mean"], arrays[f"{STATE}.squares"])
