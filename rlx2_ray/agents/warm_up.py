"""Has every compiled function of an algorithm compiled, by a few updates of a tiny learner."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rlx2_ray.agents.learner import Learner
from rlx2_ray.config import ExperimentConfig, resolve
from rlx2_ray.kernels.cache import compile_once
from rlx2_ray.types import Batch, Spaces

SPACES = Spaces(observation_size=2, action_size=1, action_low=(-1.0,), action_high=(1.0,))


def warm_up(algo: str, learner: Callable[[ExperimentConfig, Spaces], Learner]) -> None:
    """Compile what an algorithm needs, unless this machine has it; `learner` is the class of its learner."""
    compile_once(algo.upper(), lambda: call_all(algo, learner))


def call_all(algo: str, learner: Callable[[ExperimentConfig, Spaces], Learner]) -> None:
    """As the defaults have it, and with the switches that call other compiled functions."""
    for switches in ({}, {"agent": {"grown_steps": "own"}}, {"network": {"hidden": [2], "rescaled": "both"}}):
        config = resolve({"algo": algo, "method": "dense", "network": {"hidden": [2]}, **switches})
        _call(learner(config, SPACES))


def _call(learner: Learner) -> None:
    batch = Batch(
        observations=np.zeros((2, 1), np.float32),
        actions=np.zeros((1, 1), np.float32),
        rewards=np.zeros((1, 1), np.float32),
        next_observations=np.zeros((1, 2, 1), np.float32),
        lengths=np.ones(1, np.int64),
        terminated=np.zeros(1, np.bool_),
    )
    for _ in range(2):  # TD3 updates its policy at every second one
        learner.update(batch)
    learner.evaluated_policy().action(batch.observations[:, 0])
