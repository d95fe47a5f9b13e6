"""The dynamic-capacity rule applied to one buffer with the policy of the moment."""

from __future__ import annotations

from rlx2_ray.config import ReplayConfig
from rlx2_ray.networks.policy import Policy
from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.replay.capacity import CHECKED_TRANSITIONS, policy_distance, should_shrink, shrink_count


def check_capacity(replay: ReplayBuffer, policy: Policy, config: ReplayConfig) -> float:
    """Measure the policy distance of the oldest transitions and, under the dynamic rule, shrink where it asks to.

    Returns the distance, NaN for an empty buffer.
    """
    observations, policy_actions, _ = replay.oldest(CHECKED_TRANSITIONS)
    if len(observations) == 0:
        return float("nan")
    distance = policy_distance(policy.action(observations), policy_actions)
    replay.evict_oldest(count_to_drop(distance, replay.size, config))
    return distance


def count_to_drop(distance: float, size: int, config: ReplayConfig) -> int:
    """How many of `size` transitions the configured rule drops; 0 where it does not shrink."""
    shrinks = should_shrink(distance, size, config.policy_distance_threshold, config.min_capacity)
    return shrink_count(size) if config.capacity_rule == "dynamic" and shrinks else 0
