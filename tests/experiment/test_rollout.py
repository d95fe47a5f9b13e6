"""Fragments of a toy environment whose episodes are five steps long."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rlx2_ray.config import EnvConfig
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.experiment.rollout import collect
from rlx2_ray.networks.policy import DenseLayer, DenseNetwork, DeterministicPolicy
from rlx2_ray.types import Fragment, RunFailed
from tests.envs.environments import LIMITED, TOY

STILL = DeterministicPolicy(
    DenseNetwork([DenseLayer(np.zeros((2, 4), np.float32), np.full(2, 0.3, np.float32))]), exploration_noise=0.1
)


def make_lane(env_id: str = TOY, **kwargs: Any) -> EnvLane:
    return EnvLane(EnvConfig(id=env_id, kwargs=kwargs), 0, "environment")


def take(lane: EnvLane, steps: int, time: int = 100) -> list[Fragment]:
    return collect(lane, 7, None, np.random.default_rng(time), steps, time)


def test_fragments_are_split_where_episodes_end() -> None:
    fragments = take(make_lane(), 12)
    assert [len(fragment.rewards) for fragment in fragments] == [5, 5, 2]
    assert [fragment.time for fragment in fragments] == [100, 105, 110]
    assert [fragment.terminated for fragment in fragments] == [True, True, False]
    assert not any(fragment.truncated for fragment in fragments)
    assert [(fragment.lane, fragment.episode, fragment.step) for fragment in fragments] == [
        (7, 0, 0),
        (7, 1, 0),
        (7, 2, 0),
    ]


def test_no_empty_fragment_follows_an_end() -> None:
    assert [len(fragment.rewards) for fragment in take(make_lane(), 5)] == [5]


def test_a_time_limit_ends_a_fragment_as_truncated() -> None:
    fragments = take(make_lane(LIMITED), 4)
    assert [(len(f.rewards), f.terminated, f.truncated) for f in fragments] == [(3, False, True), (1, False, False)]


def test_an_episode_goes_on_in_the_next_call() -> None:
    lane = make_lane()
    (first,), (second,), third = take(lane, 2), take(lane, 2, 102), take(lane, 2, 104)
    pieces = [(fragment.episode, fragment.step) for fragment in (first, second, *third)]
    assert pieces == [(0, 0), (0, 2), (0, 4), (1, 0)]
    assert np.array_equal(first.observations[-1], second.observations[0])
    assert np.array_equal(second.observations[-1], third[0].observations[0])
    assert not np.array_equal(third[0].observations[-1], third[1].observations[0])


def test_contents_are_what_the_environment_said() -> None:
    (fragment,) = take(make_lane(), 5)
    assert fragment.rewards.tolist() == [1, 2, 3, 4, 5]
    assert fragment.observations[:, 1].tolist() == [0, 1, 2, 3, 4, 5]
    # The toy shows the action it executed: from -2 to 1 and from 0 to 10.
    executed = fragment.observations[1:, 2:]
    assert np.allclose(executed, [-2, 0] + (fragment.actions + 1) * [1.5, 5], atol=1e-5)
    assert {array.dtype for array in fragment[4:8]} == {np.dtype(np.float32)}


def test_random_actions_fill_the_bounds_and_are_their_own_policy_actions() -> None:
    fragments = take(make_lane(), 500)
    actions = np.concatenate([fragment.actions for fragment in fragments])
    assert np.array_equal(actions, np.concatenate([fragment.policy_actions for fragment in fragments]))
    assert actions.min() < -0.97
    assert actions.max() > 0.97
    assert np.abs(actions.mean(0)).max() < 0.1


def test_a_policys_noise_free_action_is_kept_beside_the_executed_one() -> None:
    (fragment,) = collect(make_lane(), 0, STILL, np.random.default_rng(0), 5, 0)
    assert np.allclose(fragment.policy_actions, np.tanh(0.3))
    assert 0 < np.abs(fragment.actions - fragment.policy_actions).min() < 0.5


@pytest.mark.parametrize("bad_reward", [True, False])
def test_what_is_no_number_names_the_step_of_the_run(bad_reward: bool) -> None:
    lane = make_lane(bad="nan", bad_step=3, bad_reward=bad_reward)
    with pytest.raises(RunFailed, match=f"^{TOY} returned nan as .* at env step 103: the run stopped there.$"):
        take(lane, 10)
