"""From [-1, 1] to an environment's units: the one rule for all that act, in training, evaluation, exports and RLlib.

It is worked out in double precision, for bounds may lie far from zero: float32 has four values between 293.15 and
293.1501.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.types import Spaces

FAR = 8.0  # half-ranges of a bound from zero, from which on float32 is too coarse to be calculated in


Scale = Callable[[Sequence[float]], list[float]]


def make_scale(spaces: Spaces) -> Scale:
    """The rule for one action: -1 and 1 are the bounds of each dimension, which need not be symmetric.

    Of an integer space the result is the nearest whole number, halves upwards. A replay keeps the action as the learner
    chose it, between two of them: so the critic learns what the environment makes of any action, and the policy's
    gradient is that at the action that it gave.
    """
    bounds = zip(spaces.action_low, spaces.action_high, strict=True)
    dimensions = [(low, high, (high - low) / 2) for low, high in bounds]

    # Few numbers are faster one by one than as an array, and an action is few. What rounding has put beyond a bound is
    # the bound: some environments refuse it.
    def scale(action: Sequence[float]) -> list[float]:
        return [
            units if low <= (units := low + (value + 1.0) * half) <= high else min(max(units, low), high)
            for value, (low, high, half) in zip(action, dimensions, strict=True)
        ]

    def scale_and_round(action: Sequence[float]) -> list[float]:
        return [math.floor(units + 0.5) for units in scale(action)]

    return scale_and_round if spaces.action_is_integer else scale


def half_ranges(spaces: Spaces) -> NDArray[np.float64]:
    """Half of each dimension's span, in the environment's units."""
    low, high = (np.asarray(bound, np.float64) for bound in (spaces.action_low, spaces.action_high))
    return np.asarray((high - low) / 2)


def largest_bounds(spaces: Spaces) -> NDArray[np.float64]:
    return np.maximum(np.abs(spaces.action_low), np.abs(spaces.action_high))


def are_far(spaces: Spaces) -> NDArray[np.bool_]:
    """Which bounds are so far from zero, for their span, that float32 would move the actions between them."""
    return largest_bounds(spaces) > FAR * half_ranges(spaces)
