"""The dynamic-capacity rules on small buffers and policies that are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlx2_ray.config import ReplayConfig, resolve
from rlx2_ray.experiment.capacity_check import check_capacity
from rlx2_ray.networks.policy import DenseLayer, DenseNetwork, MeanPolicy, NoiseFreePolicy
from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.types import Fragment

SIZE = 30


def constant_policy(*means: float) -> NoiseFreePolicy:
    """Acts with `means` whatever it sees."""
    bias = np.arctanh(np.array(means, np.float32))
    return MeanPolicy(DenseNetwork([DenseLayer(np.zeros((len(means), 1), np.float32), bias)]))


def filled_buffer() -> ReplayBuffer:
    """Thirty transitions, all collected by a policy that acted with (0.5, -0.5), executed as (1, 1)."""
    replay = ReplayBuffer(1, 2, [0], 100, np.random.default_rng(0))
    observations = np.arange(SIZE + 1, dtype=np.float32).reshape(-1, 1)
    actions, policy_actions = np.ones((SIZE, 2), np.float32), np.tile(np.array([0.5, -0.5], np.float32), (SIZE, 1))
    rewards = np.zeros(SIZE, np.float32)
    replay.insert(Fragment(0, 0, 0, 0, observations, actions, policy_actions, rewards, False, False))
    return replay


def buffer_of_distances(distances: Sequence[float]) -> ReplayBuffer:
    """Transitions of two lanes in turn, at these distances (norms) from the action 0, executed as 1."""
    replay = ReplayBuffer(1, 1, [0, 1], len(distances), np.random.default_rng(0))
    observations, rewards = np.zeros((2, 1), np.float32), np.zeros(1, np.float32)
    for time, distance in enumerate(distances):
        actions, policy_actions = np.ones((1, 1), np.float32), np.full((1, 1), distance, np.float32)
        replay.insert(Fragment(time % 2, time, time, 0, observations, actions, policy_actions, rewards, True, False))
    return replay


def replay_config(**keys: Any) -> ReplayConfig:
    return resolve({"replay": {"min_capacity": 20, "max_capacity": 100, **keys}}).replay


def paper_config(threshold: float, min_capacity: int) -> ReplayConfig:
    return replay_config(
        capacity_rule="dynamic_paper", policy_distance_threshold=threshold, min_capacity=min_capacity, max_capacity=9999
    )


@pytest.mark.parametrize("rule", ["fixed", "dynamic", "dynamic_paper"])
@pytest.mark.parametrize(
    ("means", "halved_square", "norm"),
    [
        ((0.5, -0.5), 0.0, 0.0),
        ((0.5, 0.5), 0.25, 1.0),  # (0 + 1) / 2 over the dimensions, halved
        ((-0.5, 0.5), 0.5, math.sqrt(2)),
    ],
)
def test_distance_is_to_the_noise_free_actions(
    rule: str, means: tuple[float, float], halved_square: float, norm: float
) -> None:
    measured = check_capacity(filled_buffer(), constant_policy(*means), replay_config(capacity_rule=rule))
    assert measured == pytest.approx(norm if rule == "dynamic_paper" else halved_square, abs=1e-6)


@pytest.mark.parametrize(
    ("means", "keys", "left"),
    [
        ((0.5, 0.5), {}, 27),  # 0.25 > 0.2: a tenth goes
        ((0.5, -0.5), {}, 30),  # not far enough
        ((0.5, 0.5), {"policy_distance_threshold": 0.3}, 30),
        ((0.5, 0.5), {"min_capacity": 30}, 30),  # not larger than the minimum
        ((0.5, 0.5), {"min_capacity": 29}, 27),
        ((-0.5, 0.5), {"capacity_rule": "fixed"}, 30),
        ((0.5, 0.5), {"capacity_rule": "dynamic_paper"}, 20),  # all are far: down to the minimum
        ((0.5, 0.5), {"capacity_rule": "dynamic_paper", "min_capacity": 29}, 29),
        ((0.5, 0.5), {"capacity_rule": "dynamic_paper", "min_capacity": 30}, 30),
        ((0.5, 0.5), {"capacity_rule": "dynamic_paper", "policy_distance_threshold": 1.1}, 30),
    ],
)
def test_the_oldest_go(means: tuple[float, float], keys: dict[str, Any], left: int) -> None:
    replay = filled_buffer()
    check_capacity(replay, constant_policy(*means), replay_config(**keys))
    assert replay.size == left
    assert replay.oldest(SIZE)[2].tolist() == list(range(SIZE - left, SIZE))


def test_the_papers_rule_by_hand() -> None:
    """Means of four: 1, 3/4, 1/2 and, after two pops, 1/4; then the distance 1 at the end does not matter."""
    replay = buffer_of_distances([1, 1, 1, 1, 0, 0, 0, 1, 1, 1])
    distance = check_capacity(replay, constant_policy(0), paper_config(0.5, min_capacity=1), checked=4)
    assert distance == 1
    assert replay.oldest(10)[2].tolist() == [2, 3, 4, 5, 6, 7, 8, 9]


def test_the_oldest_2048_are_judged_together() -> None:
    """3 000 far ones before 2 000 near ones: the mean of 2 048 is down to a quarter when 512 of them are far."""
    replay = buffer_of_distances([1] * 3000 + [0] * 2000)
    check_capacity(replay, constant_policy(0), paper_config(0.25, min_capacity=100))
    assert replay.oldest(1)[2].tolist() == [3000 - 512]


# Eighths add up without rounding, so that a mean may equal the threshold to the bit; the oldest are far.
distance_lists = st.tuples(
    st.lists(st.integers(4, 8), max_size=40), st.lists(st.integers(0, 8), min_size=1, max_size=20)
).map(lambda parts: [number / 8 for part in parts for number in part])


@given(distance_lists, st.integers(1, 12), st.integers(0, 8), st.integers(1, 50))
def test_the_papers_rule_pops_as_one_by_one(
    distances: list[float], checked: int, threshold_in_eighths: int, min_capacity: int
) -> None:
    threshold = threshold_in_eighths / 8
    replay, config = buffer_of_distances(distances), paper_config(threshold, min_capacity)
    measured = check_capacity(replay, constant_policy(0), config, checked)

    left = list(distances)
    while len(left) > min_capacity and sum(left[:checked]) / len(left[:checked]) > threshold:
        left.pop(0)
    assert replay.oldest(len(distances))[1].ravel().tolist() == left
    assert replay.oldest(len(distances))[2].tolist() == list(range(len(distances) - len(left), len(distances)))
    assert measured == sum(distances[:checked]) / len(distances[:checked])


class Watching:
    """Acts with zeros and remembers what it saw."""

    def __init__(self) -> None:
        self.seen: list[list[float]] = []

    def action(self, observation: np.ndarray) -> np.ndarray:
        self.seen.append(observation.ravel().tolist())
        return np.zeros((len(observation), 2), np.float32)

    def explore(self, observation: Any, generator: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("rule", "threshold", "looks"),
    [
        ("fixed", 0.2, [range(10)]),
        ("dynamic", 0.2, [range(10)]),
        ("dynamic_paper", 1.0, [range(20)]),  # close at once: the norm is 0.71
        ("dynamic_paper", 0.2, [range(20), range(10, 30)]),  # down to the minimum of 15 in two looks
    ],
)
def test_only_the_oldest_are_looked_at(rule: str, threshold: float, looks: list[range]) -> None:
    policy = Watching()
    config = replay_config(capacity_rule=rule, policy_distance_threshold=threshold, min_capacity=15)
    check_capacity(filled_buffer(), policy, config, checked=10)
    assert policy.seen == [list(look) for look in looks]


class LostReplay(ReplayBuffer):
    """Empty, while the last that was heard of it is another size: a shard of it was lost."""

    size = 30  # type: ignore[assignment]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", [ReplayBuffer, LostReplay])
@pytest.mark.parametrize("rule", ["fixed", "dynamic", "dynamic_paper"])
def test_an_empty_buffer_has_no_distance(rule: str, kind: type[ReplayBuffer]) -> None:
    empty, policy = kind(1, 2, [0], 100, np.random.default_rng(0)), Watching()
    assert math.isnan(check_capacity(empty, policy, replay_config(capacity_rule=rule)))
    assert policy.seen == []  # not every policy can act on nothing
