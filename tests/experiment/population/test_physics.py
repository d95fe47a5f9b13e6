"""Environments in processes of their own: the same results to the bit, and who fails fails alone."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlx2_ray.envs.lane import EnvironmentFailed
from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.experiment.population import arm
from rlx2_ray.experiment.population.lanes import LocalPhysics
from rlx2_ray.experiment.population.physics import Pool
from rlx2_ray.seeding import derive_seed
from rlx2_ray.types import RunFailed
from tests.experiment.population.arms import member_of, train
from tests.experiment.population.test_arm import outcome, unlucky
from tests.support.runs import small_config
from tests.support.strange_envs import MODULE


def steps_of(lanes: list[Any], count: int, disturb: Any = lambda step: None) -> list[Any]:
    generator = np.random.default_rng(0)
    taken = []
    for number in range(count):
        disturb(number)
        for lane in lanes:
            lane.begin_step(generator.uniform(-1, 1, 1).astype(np.float32))
        for lane in lanes:
            step = lane.finish_step()
            taken.append((*map(np.ndarray.tobytes, (step.next_observation, lane.observation)), *step[1:]))
            taken.append(
                (
                    lane.episode,
                    lane.episode_steps,
                    lane.episode_return,
                    *(np.asarray(each).tobytes() for each in lane.state()),
                )
            )
    return taken


def test_steps_are_those_of_lanes_in_this_process_whoever_dies_meanwhile() -> None:
    configs = [small_config(seed=seed) for seed in range(3)]
    expected = steps_of([LocalPhysics().make_lane(config, "environment") for config in configs], 40)
    with Pool(2, 3, probe_spaces(configs[0].env)) as pool:
        lanes = [pool.make_lane(config, "environment") for config in configs]
        assert steps_of(lanes, 40) == expected
        for lane in lanes:
            lane.close()
        again = [pool.make_lane(config, "environment") for config in configs]
        states = [lane.state() for lane in again]
        steps_of(again, 5)
        for lane, state in zip(again, states, strict=True):
            assert lane.restore(state)
        assert steps_of(again, 40) == expected


def drifting(tmp_path: Path, seed: int, unlucky_seed: int, **kwargs: Any) -> Any:
    changes = unlucky(tmp_path, unlucky_seed, **kwargs)
    changes["env__kwargs"]["seed"] = derive_seed(unlucky_seed, "environment", 0, 1)
    return small_config(seed=seed, **changes)


@pytest.mark.parametrize("first", [pytest.param(0, marks=pytest.mark.slow), 1, pytest.param(2, marks=pytest.mark.slow)])
def test_who_shares_a_process_with_one_that_dies_goes_on_as_if_nothing_had_been(first: int, tmp_path: Path) -> None:
    """It dies in its 4th step of the second episode, before, between and after the others."""
    configs = [drifting(tmp_path, seed, first, kills=True) for seed in range(3)]
    with Pool(1, 3, probe_spaces(configs[0].env)) as pool:
        lanes = [pool.make_lane(config, "environment") for config in configs]
        others = [lane for number, lane in enumerate(lanes) if number != first]
        steps_of(lanes, 13)
        for lane in lanes:
            lane.begin_step(np.full(1, 0.5, np.float32))
        for number, lane in enumerate(lanes):
            if number == first:
                with pytest.raises(EnvironmentFailed, match=r"step 4 of the episode .* ended its process \(SIGKILL\)"):
                    lane.finish_step()
            else:
                lane.finish_step()
        lanes[first].close()
        after = steps_of(others, 30)
    assert not (tmp_path / "mark").exists()
    plain = [LocalPhysics().make_lane(config, "environment") for config in configs]
    steps_of(plain, 13)
    for lane in plain:
        lane.begin_step(np.full(1, 0.5, np.float32))
        lane.finish_step()
    assert steps_of([lane for number, lane in enumerate(plain) if number != first], 30) == after


def test_one_that_never_comes_back_is_given_up() -> None:
    configs = [
        small_config(seed=0, env__id=f"{MODULE}:Hanging-v0", env__kwargs={"step": 4}),
        small_config(seed=1, env__id=f"{MODULE}:Hanging-v0", env__kwargs={"step": 400}),
    ]
    with Pool(1, 2, probe_spaces(configs[0].env), patience_s=4.0) as pool:
        hanging, other = (pool.make_lane(config, "environment") for config in configs)
        steps_of([hanging, other], 3)
        for lane in (hanging, other):
            lane.begin_step(np.zeros(1, np.float32))
        with pytest.raises(EnvironmentFailed, match="did not answer for 4 s"):
            hanging.finish_step()
        assert other.finish_step().reward < 0
        assert (other.episode, other.episode_steps) == (0, 4)


@pytest.mark.slow
def test_an_arm_is_the_same_with_processes_and_goes_on_after_one_has_died(tmp_path: Path) -> None:
    changes = unlucky(tmp_path, seed=1, kills=True)
    with pytest.raises(RunFailed, match=r"1 of 3 runs failed, first that of seed 1 \(.*ended its process \(SIGKILL\)"):
        train(tmp_path / "arm", (0, 1, 2), processes=2, **changes)
    arm.resume(tmp_path / "arm")
    train(tmp_path / "whole", (0, 1, 2), **changes)
    for seed in (0, 1, 2):
        assert member_of(tmp_path / "arm", seed).is_dir()
        assert outcome(tmp_path / "arm", seed) == outcome(tmp_path / "whole", seed)


def test_no_process_is_left_behind() -> None:
    config = small_config()
    with Pool(2, 2, probe_spaces(config.env)) as pool:
        processes = [host._process.pid for host in pool._hosts]
        pool.make_lane(config, "environment")
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, signal.SIG_DFL)
