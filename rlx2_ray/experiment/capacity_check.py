"""The capacity rule applied to a replay, of whichever runtime, with the policy of the moment."""

from __future__ import annotations

from typing import Protocol

from rlx2_ray.config import ReplayConfig
from rlx2_ray.networks.policy import NoiseFreePolicy
from rlx2_ray.replay.capacity import (
    CHECKED_TRANSITIONS,
    Distances,
    half_squared_distances,
    mean_distance,
    norm_distances,
    pop_count,
    shrink_count,
    sliding_means,
)
from rlx2_ray.types import Floats, Indices


class ForgettingReplay(Protocol):
    """Transitions by age; the oldest can be looked at and forgotten."""

    @property
    def size(self) -> int: ...

    def oldest(self, count: int) -> tuple[Floats, Floats, Indices]:
        """Observations, policy actions and times (N, ...) of the N = min(count, size) oldest, oldest first."""
        ...

    def evict_oldest(self, count: int) -> None:
        """Forget the `count` oldest, which are at most `size` and may be none."""
        ...


def check_capacity(
    replay: ForgettingReplay, policy: NoiseFreePolicy, config: ReplayConfig, checked: int = CHECKED_TRANSITIONS
) -> float:
    """Measure the policy distance of the oldest `checked` transitions, and forget what the configured rule drops.

    Returns the distance before anything was dropped, in the measure of the rule (the released code's where it is
    fixed), NaN for an empty replay.
    """
    apply_rule = _pop_while_far if config.capacity_rule == "dynamic_paper" else _shrink_if_far
    return apply_rule(replay, policy, config, checked)


def _shrink_if_far(replay: ForgettingReplay, policy: NoiseFreePolicy, config: ReplayConfig, checked: int) -> float:
    distance = mean_distance(half_squared_distances(*_oldest_actions(replay, policy, checked)))
    if config.capacity_rule == "dynamic":
        replay.evict_oldest(shrink_count(distance, replay.size, config.policy_distance_threshold, config.min_capacity))
    return distance


def _pop_while_far(replay: ForgettingReplay, policy: NoiseFreePolicy, config: ReplayConfig, checked: int) -> float:
    """As many as popping one by one would, in pieces: one look at the policy's actions serves up to `checked` pops."""

    def look() -> tuple[Distances, int]:
        means = sliding_means(norm_distances(*_oldest_actions(replay, policy, 2 * checked)), checked)
        return means, pop_count(means, replay.size, config.policy_distance_threshold, config.min_capacity)

    means, count = look()
    distance = mean_distance(means[:1])
    while 0 < count == len(means):
        replay.evict_oldest(count)
        means, count = look()
    replay.evict_oldest(count)
    return distance


def _oldest_actions(replay: ForgettingReplay, policy: NoiseFreePolicy, count: int) -> tuple[Floats, Floats]:
    """The current policy's actions and the stored ones (N, action_size) of the N = min(count, size) oldest."""
    observations, policy_actions, _ = replay.oldest(count)
    # A policy cannot act on nothing; there may be nothing though `size` says more, for a shard may just have been lost.
    return policy.action(observations) if len(observations) else policy_actions, policy_actions
