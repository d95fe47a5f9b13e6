"""Noise-free episodes and the score made of them."""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box

from rlx2_ray.config import EnvConfig, EvaluationConfig
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.experiment.evaluation import STREAM, Evaluation, evaluate
from rlx2_ray.networks.policy import DenseLayer, DenseNetwork, NoiseFreePolicy, make_evaluation_policy
from rlx2_ray.runs.final_score import describe, describe_early, score, scored
from rlx2_ray.seeding import derive_seed
from rlx2_ray.types import RunFailed
from tests.envs.environments import LIMITED, TOY


def make_lane(env_id: str = TOY, **kwargs: Any) -> EnvLane:
    return EnvLane(EnvConfig(id=env_id, kwargs=kwargs), 0, STREAM)


def random_policy(observations: int, actions: int, algo: str = "td3") -> NoiseFreePolicy:
    generator = np.random.default_rng(0)
    outputs = actions if algo == "td3" else 2 * actions
    weights = generator.standard_normal((outputs, observations), np.float32)
    return make_evaluation_policy(algo, DenseNetwork([DenseLayer(weights, np.zeros(outputs, np.float32))]))


@pytest.mark.parametrize(("env_id", "total"), [(TOY, 1 + 2 + 3 + 4 + 5), (LIMITED, 1 + 2 + 3)])
def test_returns_are_undiscounted_sums_of_whole_episodes(env_id: str, total: float) -> None:
    assert evaluate(random_policy(4, 2), make_lane(env_id), 3, 0).returns == (total,) * 3


@pytest.mark.parametrize("algo", ["td3", "sac"])
def test_an_evaluation_depends_on_its_first_episode_alone(algo: str) -> None:
    policy, lane = random_policy(11, 3, algo), make_lane("Hopper-v5")
    first = evaluate(policy, lane, 3, first_episode=5)
    between = evaluate(policy, lane, 2, first_episode=6)
    assert evaluate(policy, lane, 3, first_episode=5) == first
    assert evaluate(policy, make_lane("Hopper-v5"), 3, first_episode=5) == first
    assert between.returns == first.returns[1:]
    assert len(set(first.returns)) == 3


def plain_return(policy: NoiseFreePolicy, env_id: str, episode: int) -> float:
    """Gymnasium's own loop, and whole arrays in float64."""
    env = gymnasium.make(env_id)
    assert isinstance(env.action_space, Box)
    low, high = (bound.astype(np.float64) for bound in (env.action_space.low, env.action_space.high))
    observation, _ = env.reset(seed=derive_seed(0, STREAM, 0, episode))
    total, ended = 0.0, False
    while not ended:
        action = policy.action(np.asarray(observation).ravel().astype(np.float32)).astype(np.float64)
        scaled = (low + (action + 1) * ((high - low) / 2)).astype(env.action_space.dtype)
        observation, reward, terminated, truncated, _ = env.step(scaled)
        total, ended = total + float(reward), terminated or truncated
    env.close()  # type: ignore[no-untyped-call]
    return total


@pytest.mark.parametrize(
    ("env_id", "observations", "actions"), [("Hopper-v5", 11, 3), ("InvertedPendulum-v5", 4, 1), (TOY, 4, 2)]
)
def test_returns_are_those_of_a_plain_loop_to_the_last_bit(env_id: str, observations: int, actions: int) -> None:
    policy = random_policy(observations, actions)
    expected = tuple(plain_return(policy, env_id, episode) for episode in range(7, 10))
    assert evaluate(policy, make_lane(env_id), 3, first_episode=7).returns == expected


def test_mean_and_population_deviation() -> None:
    evaluation = Evaluation((1.0, 2.0, 6.0))
    assert evaluation.mean == 3
    assert evaluation.std == pytest.approx(math.sqrt((4 + 1 + 9) / 3))


def test_every_frame_of_an_episode_is_shown() -> None:
    times: list[int] = []
    lane = make_lane()
    evaluate(random_policy(4, 2), lane, 2, 0, on_step=lambda env: times.append(env.unwrapped.time))
    # The last frame of an episode is the next one's first, for the lane begins it at once.
    assert times[:5] == [0, 1, 2, 3, 4]
    assert len(times) == 2 * 6


def test_what_is_no_number_names_the_episode() -> None:
    with pytest.raises(RunFailed, match=f"^{TOY} returned inf as reward at step 2 .* in evaluation episode 8: .*\\.$"):
        evaluate(random_policy(4, 2), make_lane(bad=math.inf, bad_step=2, bad_reward=True), 2, 8)


@pytest.mark.parametrize(
    ("window", "means", "value"),
    [
        (30, [4.0], 4.0),
        (30, [1.0, 2.0, 6.0], 3.0),
        (30, [1000.0, *[1.0] * 15, *[3.0] * 15], 2.0),
        (30, [7.0, *[0.0] * 29], 7 / 30),
        (2, [1000.0, 1.0, 2.0], 1.5),
        (1, [1000.0, 1.0, 2.0], 2.0),
    ],
)
def test_score_is_the_mean_of_the_last_evaluations(window: int, means: list[float], value: float) -> None:
    steps = range(10, 10 * len(means) + 1, 10)
    assert score(steps, means, protocol(window)) == pytest.approx(value)


def test_rare_evaluations_count_as_long_as_they_are_within_the_window() -> None:
    """Of a run that was stopped early: those of its last 3 intervals, not its last 3 evaluations."""
    steps, means = [20, 40, 60, 80], [1.0, 2.0, 4.0, 8.0]
    assert score(steps[:2], means[:2], protocol(3, early=20)) == pytest.approx(1.5)
    assert score(steps, means, protocol(3, early=20)) == pytest.approx(6.0)
    assert scored(steps, protocol(3, early=20)) == 2


def test_no_evaluation_has_no_score() -> None:
    assert math.isnan(score([], [], protocol(30)))


@pytest.mark.parametrize(("window", "words"), [(30, "mean of the last 30 evaluations"), (1, "last evaluation")])
def test_the_score_in_words(window: int, words: str) -> None:
    assert describe(window) == words


def test_rare_evaluations_in_words() -> None:
    assert describe_early(protocol(30)) == ""
    assert describe_early(protocol(30, early=2_000)) == " (every 2,000 before those that are scored)"


def protocol(window: int, early: int = 10) -> EvaluationConfig:
    return EvaluationConfig(interval=10, early_interval=early, score_window=window)
