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
from rlx2_ray.types import Spaces

MOMENT_S = 0.3
MARGIN = 1.15  # for what is not timed here, and a machine that has more to do
START_S = 0.5  # from the end of one trial to the first step of the next


def run_seconds(config: ExperimentConfig, spaces: Spaces) -> float:
    """Of one inline run, on a core of its own, its evaluations being of full episodes: those of a good policy."""
    learner = make_learner(config, spaces)
    batch = random_batch(config, spaces, np.random.default_rng(0))
    update_s = _seconds(lambda: learner.update(batch))
    policy = learner.evaluated_policy()
    with closing(EnvLane(config.env, 0, "forecast")) as lane:
        action = np.zeros(spaces.action_size, np.float32)
        step_s = _seconds(lambda: lane.step(action))
        action_s = _seconds(lambda: policy.action(lane.observation))
        env_steps = config.steps + evaluation_steps(config, lane.env)
    return START_S + MARGIN * (config.planned_updates * update_s + env_steps * (step_s + action_s))


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
