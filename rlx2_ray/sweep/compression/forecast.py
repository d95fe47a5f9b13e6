"""What a run will take on this machine: a learner's update, an action and an env step, timed for a moment."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import closing

import numpy as np

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.bench.random_batch import random_batch
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.experiment.evaluation import evaluation_steps
from rlx2_ray.networks.policy import NoiseFreePolicy
from rlx2_ray.types import Spaces

MOMENT_S = 0.3
MARGIN = 1.15  # for what is not timed here, and a machine that has more to do
START_S = 0.5  # from the end of one trial to the first step of the next


def member_seconds(config: ExperimentConfig, spaces: Spaces, slots: int, processes: int) -> float:
    """Of so many runs together, as members of a population whose environments so many processes step."""
    from rlx2_ray.bench.made_up_population import populate

    population, members = populate(config, spaces, slots, config.device)
    observations = np.zeros((slots, spaces.observation_size), np.float32)

    def update() -> None:
        population.update(members)
        population.outputs(observations)  # waits for the device

    update_s = _seconds(update)
    policy = members[0].evaluated_policy()
    step_s, action_s, played = _of_environment(config, spaces, policy)
    stepping_s = slots * (config.steps * step_s / max(1, processes) + played * (step_s + action_s))
    return START_S + MARGIN * (config.planned_updates * update_s + stepping_s)


def run_seconds(config: ExperimentConfig, spaces: Spaces) -> float:
    """Of one inline run, on a core of its own, its evaluations being of full episodes: those of a good policy."""
    learner = make_learner(config, spaces)
    batch = random_batch(config, spaces, np.random.default_rng(0))
    update_s = _seconds(lambda: learner.update(batch))
    step_s, action_s, played = _of_environment(config, spaces, learner.evaluated_policy())
    env_steps = config.steps + played
    return START_S + MARGIN * (config.planned_updates * update_s + env_steps * (step_s + action_s))


def _of_environment(config: ExperimentConfig, spaces: Spaces, policy: NoiseFreePolicy) -> tuple[float, float, int]:
    """The seconds of a step and of an action, and the steps of a run's evaluations."""
    with closing(EnvLane(config.env, 0, "forecast")) as lane:
        action = np.zeros(spaces.action_size, np.float32)
        step_s = _seconds(lambda: lane.step(action))
        action_s = _seconds(lambda: policy.action(lane.observation))
        return step_s, action_s, evaluation_steps(config, lane.env)


def _seconds(call: Callable[[], object]) -> float:
    """Of one call: the median, after a few that may allocate."""
    for _ in range(3):
        call()
    times: list[float] = []
    end = time.perf_counter() + MOMENT_S
    while time.perf_counter() < end:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)
