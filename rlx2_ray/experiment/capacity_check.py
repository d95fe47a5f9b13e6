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
    shrinks = should_shrink(distance, replay.size, config.policy_distance_threshold, config.min_capacity)
    if config.capacity_rule == "dynamic" and shrinks:
        replay.evict_oldest(shrink_count(replay.size))
    return distance
