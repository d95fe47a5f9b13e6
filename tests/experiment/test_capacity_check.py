"""The dynamic-capacity rule on a buffer of thirty transitions and a policy that is known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from rlx2_ray.config import ReplayConfig, resolve
from rlx2_ray.experiment.capacity_check import check_capacity
from rlx2_ray.networks.policy import DenseLayer, DenseNetwork, Policy, make_policy
from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.types import Fragment

SIZE = 30


def constant_policy(*means: float) -> Policy:
    """Acts with `means` whatever it sees."""
    bias = np.arctanh(np.array(means, np.float32))
    return make_policy("td3", DenseNetwork([DenseLayer(np.zeros((2, 1), np.float32), bias)]), 0.1, "sample")


def filled_buffer() -> ReplayBuffer:
    """Thirty transitions, all collected by a policy that acted with (0.5, -0.5), executed as (1, 1)."""
    replay = ReplayBuffer(1, 2, [0], 100, np.random.default_rng(0))
    observations = np.arange(SIZE + 1, dtype=np.float32).reshape(-1, 1)
    actions, policy_actions = np.ones((SIZE, 2), np.float32), np.tile(np.array([0.5, -0.5], np.float32), (SIZE, 1))
    rewards = np.zeros(SIZE, np.float32)
    replay.insert(Fragment(0, 0, True, observations, actions, policy_actions, rewards, False, False))
    return replay


def replay_config(**keys: Any) -> ReplayConfig:
    return resolve({"replay": {"min_capacity": 20, "max_capacity": 100, **keys}}).replay


@pytest.mark.parametrize(
    ("means", "distance"),
    [
        ((0.5, -0.5), 0.0),
        ((0.5, 0.5), 0.25),  # (0 + 1) / 2 over the dimensions, halved
        ((-0.5, 0.5), 0.5),
    ],
)
def test_distance_is_to_the_noise_free_actions(means: tuple[float, float], distance: float) -> None:
    measured = check_capacity(filled_buffer(), constant_policy(*means), replay_config())
    assert measured == pytest.approx(distance, abs=1e-6)


@pytest.mark.parametrize(
    ("means", "keys", "left"),
    [
        ((0.5, 0.5), {}, 27),  # 0.25 > 0.2: a tenth goes
        ((0.5, -0.5), {}, 30),  # not far enough
        ((0.5, 0.5), {"policy_distance_threshold": 0.3}, 30),
        ((0.5, 0.5), {"min_capacity": 30}, 30),  # not larger than the minimum
        ((0.5, 0.5), {"min_capacity": 29}, 27),
        ((0.5, 0.5), {"capacity_rule": "fixed"}, 30),
    ],
)
def test_the_oldest_tenth_goes(means: tuple[float, float], keys: dict[str, Any], left: int) -> None:
    replay = filled_buffer()
    check_capacity(replay, constant_policy(*means), replay_config(**keys))
    assert replay.size == left
    assert replay.oldest(SIZE)[2].tolist() == list(range(SIZE - left, SIZE))


def test_the_fixed_rule_only_measures() -> None:
    distance = check_capacity(filled_buffer(), constant_policy(-0.5, 0.5), replay_config(capacity_rule="fixed"))
    assert distance == pytest.approx(0.5)


def test_only_the_oldest_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlx2_ray.experiment.capacity_check.CHECKED_TRANSITIONS", 10)
    seen: list[float] = []

    class Watching:
        def action(self, observation: np.ndarray) -> np.ndarray:
            seen.extend(observation.ravel().tolist())
            return np.zeros((len(observation), 2), np.float32)

        def explore(self, observation: Any, generator: Any) -> Any:
            raise NotImplementedError

    check_capacity(filled_buffer(), Watching(), replay_config())
    assert seen == list(range(10))


def test_an_empty_buffer_has_no_distance() -> None:
    empty = ReplayBuffer(1, 2, [0], 100, np.random.default_rng(0))
    assert math.isnan(check_capacity(empty, constant_policy(0, 0), replay_config()))
