"""The score of uniformly random actions: the zero of what agents gain."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import numpy as np

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.experiment.evaluation import STREAM, evaluate
from rlx2_ray.seeding import make_generator
from rlx2_ray.types import Floats, Spaces

EPISODES = 100


class RandomPolicy:
    def __init__(self, action_size: int, generator: np.random.Generator) -> None:
        self._size = action_size
        self._generator = generator

    def action(self, observation: Floats) -> Floats:
        """(action_size,), uniform in [-1, 1]."""
        return self._generator.uniform(-1, 1, self._size).astype(np.float32)

    def explore(self, observation: Floats, generator: np.random.Generator) -> tuple[Floats, Floats]:
        action = self.action(observation)
        return action, action


def random_score(config: ExperimentConfig, spaces: Spaces, warn: Callable[[str], None] | None = None) -> float:
    """Mean return of `EPISODES` episodes, whose starts do not depend on the run's seed;
    `warn` is told where they were cut."""
    policy = RandomPolicy(spaces.action_size, make_generator(0, "random policy"))
    with closing(EnvLane(config.env, 0, STREAM)) as lane:
        played = evaluate(policy, lane, EPISODES, 0, max_episode_steps=config.evaluation.max_episode_steps)
    if warn is not None and played.warning is not None:
        warn(f"Random actions: {played.warning}")
    return played.mean
