"""Environments whose every step is known. Their ids name this module, so that gymnasium.make imports it."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, Sequence

TOY, LIMITED, BAD = (f"tests.envs.environments:{name}-v0" for name in ("RlxToy", "RlxLimited", "RlxBad"))
TIME_LIMIT = 3


class Toy(gymnasium.Env[Any, Any]):
    """Observation (2, 2) float64: the episode's random number, the step, and the last action in its own units.

    The reward is the step. `length`: steps until termination. `bad`: a number, or its text, that from `bad_step` on is
    in the observation at (1, 0), or the reward where `bad_reward`. `drifts`: the random number also depends on all
    resets so far.
    """

    metadata = {"render_modes": []}
    observation_space = Box(-np.inf, np.inf, (2, 2), np.float64)
    action_space = Box(np.array([-2.0, 0.0], np.float32), np.array([1.0, 10.0], np.float32))
    resets = 0  # of all instances

    def __init__(
        self,
        length: int = 5,
        bad: float | str = 0.0,
        bad_step: int = 10**9,
        bad_reward: bool = False,
        drifts: bool = False,
        render_mode: str | None = None,
    ) -> None:
        self.length, self.bad, self.bad_step = length, float(bad), bad_step
        self.bad_reward, self.drifts = bad_reward, drifts

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        Toy.resets += 1
        self.time = 0
        self.number = self.np_random.random() + self.drifts * Toy.resets
        return self._observe(np.zeros(2)), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.time += 1
        is_bad = self.time >= self.bad_step
        observation, reward = self._observe(action), float(self.time)
        if is_bad and self.bad_reward:
            reward = self.bad
        elif is_bad:
            observation[1, 0] = self.bad
        return observation, reward, self.time >= self.length, False, {}

    def _observe(self, action: Any) -> Any:
        return np.array([[self.number, self.time], action], np.float64)


SPACES = {
    "discrete action": (Box(-1, 1, (2,)), Discrete(3)),
    "unbounded action": (Box(-1, 1, (2,)), Box(-1, np.inf, (2,))),
    "sequence observation": (Sequence(Box(-1, 1, (2,))), Box(-1, 1, (2,))),
}


class Bad(gymnasium.Env[Any, Any]):
    """An environment with one of the spaces that cannot be trained on."""

    metadata = {"render_modes": []}

    def __init__(self, spaces: str, render_mode: str | None = None) -> None:
        self.observation_space, self.action_space = SPACES[spaces]


for env_id, entry_point, limit in ((TOY, Toy, None), (LIMITED, Toy, TIME_LIMIT), (BAD, Bad, None)):
    gymnasium.register(env_id.partition(":")[2], entry_point=entry_point, max_episode_steps=limit)
