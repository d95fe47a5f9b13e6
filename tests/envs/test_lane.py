"""A lane: units, seeds, ends of episodes, numbers that are none, and taking up where one left off."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from rlx2_ray.config import EnvConfig
from rlx2_ray.envs.lane import EnvironmentFailed, EnvLane, LaneState, Step
from rlx2_ray.seeding import derive_seed
from rlx2_ray.types import Floats
from tests.envs.environments import LIMITED, TIME_LIMIT, TOY


def make_lane(env_id: str = TOY, seed: int = 0, stream: str = "environment", lane: int = 0, **kwargs: Any) -> EnvLane:
    return EnvLane(EnvConfig(id=env_id, kwargs=kwargs), seed, stream, lane)


def action(*values: float) -> Floats:
    return np.array(values, np.float32)


def walk(lane: EnvLane, steps: int, seed: int = 0) -> list[Step]:
    generator = np.random.default_rng(seed)
    return [lane.step(generator.uniform(-1, 1, lane.spaces.action_size).astype(np.float32)) for _ in range(steps)]


def flat(steps: list[Step]) -> list[Any]:
    return [(step.next_observation.tobytes(), *step[1:]) for step in steps]


@pytest.mark.parametrize(
    ("given", "executed"),
    [
        ((-1, -1), (-2, 0)),
        ((1, 1), (1, 10)),
        ((0, 0), (-0.5, 5)),
        ((0.5, -0.5), (0.25, 2.5)),
    ],
)
def test_actions_are_in_units_of_asymmetric_bounds(given: tuple[float, float], executed: tuple[float, float]) -> None:
    assert make_lane().step(action(*given)).next_observation[2:].tolist() == pytest.approx(executed)


def test_observations_are_flat_float32() -> None:
    lane = make_lane()
    step = lane.step(action(1, 1))
    assert step.next_observation.shape == (4,)
    assert step.next_observation.dtype == lane.observation.dtype == np.float32
    assert step.next_observation[1:].tolist() == [1, 1, 10]


def test_the_end_of_an_episode_begins_the_next() -> None:
    lane = make_lane(length=2)
    first, last = walk(lane, 2)
    assert first[1:] == (1.0, False, False)
    assert last[1:] == (2.0, True, False)
    assert last.next_observation[1] == 2  # the final observation, not the next episode's first
    assert (lane.episode, lane.episode_steps, lane.observation[1]) == (1, 0, 0)


def test_a_time_limit_truncates() -> None:
    steps = walk(make_lane(LIMITED, length=99), TIME_LIMIT)
    assert [step[2:] for step in steps] == [(False, False)] * (TIME_LIMIT - 1) + [(False, True)]


def test_an_end_at_the_time_limit_is_terminal_all_the_same() -> None:
    assert walk(make_lane(LIMITED, length=TIME_LIMIT), TIME_LIMIT)[-1].terminated


def first_numbers(lane: EnvLane, episodes: int = 4) -> list[float]:
    numbers = []
    for episode in range(episodes):
        lane.begin_episode(episode)
        numbers.append(float(lane.observation[0]))
    return numbers


def test_a_lane_meets_the_same_episodes_twice() -> None:
    assert first_numbers(make_lane()) == first_numbers(make_lane())
    lane = make_lane()
    walk(lane, 7)
    assert float(lane.observation[0]) == first_numbers(make_lane())[1]


def test_every_seed_stream_lane_and_episode_differs() -> None:
    lanes = [make_lane(), make_lane(seed=1), make_lane(stream="evaluation"), make_lane(lane=1)]
    numbers = [number for lane in lanes for number in first_numbers(lane)]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize(
    ("env_id", "steps"),
    [(TOY, 0), (TOY, 7), (TOY, 10), (LIMITED, 4), ("InvertedPendulum-v5", 37), ("Hopper-v5", 100)],
)
def test_a_restored_lane_goes_on_to_the_last_bit(env_id: str, steps: int) -> None:
    lane, again = make_lane(env_id), make_lane(env_id)
    walk(lane, steps)
    state = lane.state()
    if env_id.endswith("v5"):
        assert lane.episode > 0
        assert len(state.actions) > 2
    walk(again, 5, seed=1)
    assert again.restore(state)
    assert (again.episode, again.observation.tobytes()) == (lane.episode, lane.observation.tobytes())
    assert flat(walk(again, 60, seed=2)) == flat(walk(lane, 60, seed=2))


def test_an_environment_that_went_another_way_is_left_for_a_new_episode() -> None:
    lane = make_lane(drifts=True)
    walk(lane, 7)
    state = lane.state()
    assert not make_lane(drifts=True).restore(state)
    again = make_lane(drifts=True)
    again.restore(state)
    assert (again.episode, again.episode_steps) == (state.episode + 1, 0)


@pytest.mark.parametrize("length", [2, 3])  # before the saved observation, and with it
def test_an_episode_that_ended_early_is_left_for_a_new_one(length: int) -> None:
    lane, shorter = make_lane(length=5), make_lane(length=length)
    walk(lane, 3)
    assert not shorter.restore(lane.state())
    assert (shorter.episode, shorter.episode_steps) == (1, 0)


@pytest.mark.parametrize(
    ("bad", "bad_reward", "problem"),
    [
        (math.nan, False, r"nan as observation\[2\]"),
        (-math.inf, False, r"-inf as observation\[2\]"),
        (1e300, False, r"1e\+300 as observation\[2\]"),  # beyond float32
        (-1e20, False, r"-1e\+20 as observation\[2\]"),  # as its square
        (math.nan, True, "nan as reward"),
        (math.inf, True, "inf as reward"),
        (1e39, True, r"1e\+39 as reward"),
        (-1e20, True, r"-1e\+20 as reward"),
    ],
)
def test_what_is_no_number_is_named_and_changes_nothing(bad: float, bad_reward: bool, problem: str) -> None:
    lane = make_lane(bad=str(bad), bad_reward=bad_reward, bad_step=3)
    walk(lane, 2)
    before = lane.state()
    seed = derive_seed(0, "environment", 0, 0)
    with pytest.raises(EnvironmentFailed, match=f"^{TOY} returned {problem} at step 3 of the episode of seed {seed}$"):
        walk(lane, 1)
    assert as_values(lane.state()) == as_values(before)


def test_a_policy_that_gives_no_number_is_named() -> None:
    lane = make_lane()
    with pytest.raises(EnvironmentFailed, match=r"the policy gave .*nan.* as action"):
        lane.step(action(0, math.nan))
    assert lane.episode_steps == 0


def as_values(state: LaneState) -> tuple[Any, ...]:
    return state.episode, state.actions.tolist(), state.observation.tolist()
