"""Noise-free episodes on an environment of their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rlx2_ray.config import ExperimentConfig, evaluated_steps
from rlx2_ray.envs.lane import EnvLane, NonFinite
from rlx2_ray.networks.policy import NoiseFreePolicy
from rlx2_ray.types import RunFailed

STREAM = "evaluation"  # of seeds, apart from those of the training environments
UNLIMITED_STEPS = 1000  # taken for an episode's length where the environment sets no limit


@dataclass(frozen=True)
class Evaluation:
    returns: tuple[float, ...]
    seconds: float = field(default=0.0, compare=False)  # that playing them took

    @property
    def mean(self) -> float:
        return float(np.mean(self.returns))

    @property
    def std(self) -> float:
        """The standard deviation over episodes, population form."""
        return float(np.std(self.returns))


def evaluate(
    policy: NoiseFreePolicy,
    lane: EnvLane,
    episodes: int,
    first_episode: int,
    on_step: Callable[[Any], None] = lambda env: None,
) -> Evaluation:
    """Play `episodes` episodes for their undiscounted returns; which they are depends on `first_episode` alone.

    `on_step` is given the environment before the first and after every step, an episode's last excepted, after which
    it already stands at the next episode's start. (A video takes its frames there.)
    """
    started = time.monotonic()
    returns = tuple(_play(policy, lane, first_episode + k, on_step) for k in range(episodes))
    return Evaluation(returns, time.monotonic() - started)


def evaluation_steps(config: ExperimentConfig, env: Any) -> int:
    """The env steps of a run's evaluations and of its deployed score, at most: those of a policy that never fails."""
    length = (env.spec and env.spec.max_episode_steps) or UNLIMITED_STEPS
    evaluation = config.evaluation
    episodes = len(list(evaluated_steps(config))) * evaluation.episodes + evaluation.deployed_episodes
    return episodes * int(length)


def _play(policy: NoiseFreePolicy, lane: EnvLane, episode: int, on_step: Callable[[Any], None]) -> float:
    total = 0.0
    try:
        if (lane.episode, lane.episode_steps) != (episode, 0):  # the lane goes on with the next one by itself
            lane.begin_episode(episode)
        on_step(lane.env)
        while True:
            step = lane.step(policy.action(lane.observation))
            on_step(lane.env)
            total += step.reward
            if step.terminated or step.truncated:
                return total
    except NonFinite as error:
        raise RunFailed(f"{error} in evaluation episode {episode}: the run stopped there.") from None
