"""The dynamic-capacity rule of RLx2 (https://arxiv.org/abs/2205.15043), as its released code has it.

It forgets what the policy has left behind: every so often the current policy is run on the oldest
`CHECKED_TRANSITIONS` stored observations; when its actions are too far from those stored, the oldest
`SHRINK_FRACTION` of the buffer is dropped.
"""

from __future__ import annotations

import math

import numpy as np

from rlx2_ray.types import Floats

CHECKED_TRANSITIONS = 2048
SHRINK_FRACTION = 0.1


def policy_distance(current_actions: Floats, stored_policy_actions: Floats) -> float:
    """Mean over transitions and action dimensions of (a - b)^2 / 2; both (N, action_size), N >= 1, in [-1, 1].

    In [0, 2].
    """
    if current_actions.shape != stored_policy_actions.shape:
        raise ValueError(f"actions of shape {current_actions.shape} against {stored_policy_actions.shape}")
    return float(np.mean(np.square(current_actions - stored_policy_actions), dtype=np.float64)) / 2


def should_shrink(distance: float, size: int, threshold: float, min_capacity: int) -> bool:
    """True when the oldest transitions are to go. `size` and `min_capacity` in transitions."""
    return distance > threshold and size > min_capacity


def shrink_count(size: int) -> int:
    """How many of `size` transitions to drop."""
    return math.floor(SHRINK_FRACTION * size)
