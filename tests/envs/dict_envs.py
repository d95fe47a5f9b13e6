"""Environments with observations of several parts, each number of which is known; for flattening and repetition."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, Sequence, Space, Tuple

NESTED, SCALED, VAST, WORDS = (
    f"tests.envs.dict_envs:{name}-v0" for name in ("RlxNested", "RlxScaled", "RlxVast", "RlxWords")
)
LIMIT = 20


class Nested(gymnasium.Env[Any, Any]):
    """A goal to be reached on a line, and what is beside it: {zone, state: (place, {speed, image})}, 1 + 2 + 1 + 4 + 3.

    The reward is minus the distance, which is 0 at the goal, where the episode ends. `doubles`: it doubles the action
    that it is given, in place.
    """

    metadata = {"render_modes": [], "render_fps": 40}
    action_space = Box(-1, 1, (1,))
    observation_space = Dict(
        {
            "zone": Discrete(3),
            "state": Tuple((Box(-9, 9, (2,)), Dict({"speed": Box(-9, 9, ()), "image": Box(0, 255, (2, 2), np.uint8)}))),
            "goal": Box(-9, 9, (1,)),
        }
    )

    def __init__(self, doubles: bool = False) -> None:
        self._doubles = doubles

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._place, self._speed, self._time = float(self.np_random.uniform(-1, 0)), 0.0, 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self._doubles:
            action *= 2
        self._speed = 0.1 * float(action[0])
        self._place += self._speed
        self._time += 1
        return self._observe(), self._place - 1.0, self._place >= 1.0, False, {}

    def _observe(self) -> Any:
        image = np.full((2, 2), self._time % 255, np.uint8)
        state = np.array([self._place, self._time], np.float32), {"speed": np.float32(self._speed), "image": image}
        return {"goal": np.ones(1, np.float32), "state": state, "zone": int(np.clip(self._place, -1, 1)) + 1}


class Scaled(gymnasium.Env[Any, Any]):
    """A place on a line in numbers of every size: a pressure far from zero, a tiny one, and one that never changes.

    The reward is minus the distance from 0.
    """

    action_space = Box(-1, 1, (1,))
    observation_space = Box(-np.inf, np.inf, (3,), np.float64)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._place = float(self.np_random.uniform(-1, 1))
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._place += 0.2 * float(action[0])
        return self._observe(), -abs(self._place), abs(self._place) > 3, False, {}

    def _observe(self) -> Any:
        return np.array([101_325 + 50 * self._place, 0.02 * self._place, 7.0])


class Odd(gymnasium.Env[Any, Any]):
    """Observations that are too many when they are flat, or no numbers at all."""

    action_space = Box(-1, 1, (1,))

    def __init__(self, space: Space[Any]) -> None:
        self.observation_space = space


def _register(env_id: str, entry_point: Any, limit: int | None = None) -> None:
    gymnasium.register(env_id.partition(":")[2], entry_point, max_episode_steps=limit)


_register(NESTED, Nested, LIMIT)
_register(SCALED, Scaled, LIMIT)
_register(VAST, lambda: Odd(Dict({"word": Discrete(10**12)})))
_register(WORDS, lambda: Odd(Dict({"words": Sequence(Discrete(5))})))
