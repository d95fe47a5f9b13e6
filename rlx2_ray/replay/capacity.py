"""The two dynamic-capacity rules of RLx2 (https://arxiv.org/abs/2205.15043): its released code's and its text's.

Both forget what the policy has left behind: every so often the current policy is run on the oldest stored observations,
and where its actions are too far from those stored, the oldest transitions go. "Too far" is a mean over the oldest
`CHECKED_TRANSITIONS` above a threshold, and a buffer of no more than a minimum size keeps what it has.

The released code takes half the squared difference, and drops `SHRINK_FRACTION` of the buffer, once. The text takes the
L2 norm, and pops one transition after the other until the oldest that are left are close.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.types import Floats

CHECKED_TRANSITIONS = 2048
SHRINK_FRACTION = 0.1

Distances = NDArray[np.float64]


def half_squared_distances(current_actions: Floats, stored_policy_actions: Floats) -> Distances:
    """Returns (N,) means over action dimensions of (a - b)^2 / 2, in [0, 2]; both (N, action_size), in [-1, 1]."""
    halved: Distances = _squares(current_actions, stored_policy_actions).mean(axis=1) / 2
    return halved


def norm_distances(current_actions: Floats, stored_policy_actions: Floats) -> Distances:
    """Returns (N,) norms ||a - b||_2, in [0, 2 sqrt(action_size)]; both (N, action_size), in [-1, 1]."""
    norms: Distances = np.sqrt(_squares(current_actions, stored_policy_actions).sum(axis=1))
    return norms


def _squares(current_actions: Floats, stored_policy_actions: Floats) -> Distances:
    """(N, action_size), in double precision."""
    if current_actions.shape != stored_policy_actions.shape:
        raise ValueError(f"actions of shape {current_actions.shape} against {stored_policy_actions.shape}")
    squares: Distances = np.square(current_actions - stored_policy_actions, dtype=np.float64)
    return squares


def mean_distance(distances: Distances) -> float:
    """Returns the mean, NaN for none."""
    return float(distances.mean()) if len(distances) else float("nan")


def shrink_count(distance: float, size: int, threshold: float, min_capacity: int) -> int:
    """How many of `size` transitions the released code drops; it may go below `min_capacity`."""
    return math.floor(SHRINK_FRACTION * size) if distance > threshold and size > min_capacity else 0


def sliding_means(distances: Distances, width: int) -> Distances:
    """Means (min(width, N),); the k-th is that of distances (N,) k to k + width - 1, as far as there are so many.

    Given the oldest 2 `width` transitions, or all where there are fewer, it is the policy distance after k pops.
    """
    sums = np.concatenate([[0.0], np.cumsum(distances)])
    starts = np.arange(min(width, len(distances)))
    ends = np.minimum(starts + width, len(distances))
    means: Distances = (sums[ends] - sums[starts]) / (ends - starts)
    return means


def pop_count(means: Distances, size: int, threshold: float, min_capacity: int) -> int:
    """How many of `size` transitions the text pops, as far as `means`, those of `sliding_means`, tell.

    As many as there are means: none of them was close, so what is left is to be looked at again.
    """
    far = int(np.logical_and.accumulate(means > threshold).sum())
    return min(far, max(0, size - min_capacity))
