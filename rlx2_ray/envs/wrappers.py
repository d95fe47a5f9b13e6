"""What is put around an environment that gymnasium has made: an action's repetition, and flat observations.

Whoever makes an environment by its configuration has both: training, evaluation, actors, and whoever plays a policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.wrappers import FlattenObservation

from rlx2_ray.envs.applied import Part
from rlx2_ray.types import BadInput

Env = gymnasium.Env[Any, Any]
Space = spaces.Space[Any]

LARGEST_OBSERVATION = 1_000_000  # numbers, of one that is flattened: a Discrete becomes one for each of its values


class ActionRepeat(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Takes each action several times, until the episode ends; the reward is the sum, the rest is of the last step."""

    def __init__(self, env: Env, times: int) -> None:
        RecordConstructorArgs.__init__(self, times=times)
        gymnasium.Wrapper.__init__(self, env)
        self._times = times
        if "render_fps" in env.metadata:  # films go at the true speed
            self.metadata = {**env.metadata, "render_fps": env.metadata["render_fps"] / times}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        total: Any = 0.0
        for _ in range(self._times):
            # A copy, since some environments change the action that they are given.
            observation, reward, terminated, truncated, info = self.env.step(action.copy())
            total += reward
            if terminated or truncated:
                break
        return observation, total, terminated, truncated, info


def flattened(env: Env, env_id: str) -> Env:
    """The same with observations that gymnasium flattens to a Box, where they are none and it can.

    Raises BadInput where that would be too large.
    """
    space = getattr(env, "observation_space", None)
    if not isinstance(space, spaces.Space) or isinstance(space, spaces.Box) or not space.is_np_flattenable:
        return env
    size = spaces.flatdim(space)
    if not 0 < size <= LARGEST_OBSERVATION:
        raise BadInput(
            f"env.id is {env_id!r}, whose observations have {size} numbers when they are flat, and there may be 1 to "
            f"{LARGEST_OBSERVATION}: wrap it so that it gives fewer."
        )
    return FlattenObservation(env)


def parts_of(env: Env) -> list[Part]:
    """Of an observation that is flattened, in order; none where it is a Box already."""
    space = getattr(_before_flattening(env), "observation_space", None)
    return list(_parts(space)) if isinstance(space, spaces.Dict | spaces.Tuple) else []


def _before_flattening(env: Env) -> Env:
    return env.env if isinstance(env, FlattenObservation) else env


def _parts(space: Space, key: str = "") -> Iterator[Part]:
    """A Dict made of a plain dictionary has its keys in alphabetical order, others have them as they were given."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        inner = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        for name, each in inner:
            yield from _parts(each, f"{key}.{name}" if key else str(name))
    else:
        yield Part(key, spaces.flatdim(space))
