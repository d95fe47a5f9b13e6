"""One environment instance, stepped for ever: float32 observations, actions in [-1, 1], a known seed for each episode.

Because every episode starts from a seed of its own, a lane's state is the episode's number and the actions taken in
it: `restore` takes them again. That is exact for any deterministic environment and needs nothing from it but `step`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from rlx2_ray.config import EnvConfig
from rlx2_ray.envs.make import inspect_spaces, make_env
from rlx2_ray.seeding import derive_seed
from rlx2_ray.types import Floats, RunFailed, Spaces

LARGEST = float(np.finfo(np.float32).max)
FEW = 100  # numbers; more are faster as an array


class NonFinite(RunFailed):
    """An environment returned NaN or infinity; the text names the environment, what, and the value."""


class Step(NamedTuple):
    next_observation: Floats  # (observation_size,), the final one where the episode ended
    reward: float
    terminated: bool
    truncated: bool


class LaneState(NamedTuple):
    episode: int
    actions: Floats  # (T, action_size), taken in this episode so far, in [-1, 1]
    observation: Floats  # (observation_size,), the current one


class EnvLane:
    """An environment that never ends.

    `observation` is what the next action answers; a finished episode is followed by the next one's first.
    """

    def __init__(
        self, config: EnvConfig, seed: int, stream: str, lane: int = 0, render_mode: str | None = None
    ) -> None:
        """Episode k is seeded by (seed, stream, lane, k). Raises BadInput for an environment that does not fit."""
        self.env = make_env(config, render_mode)
        self.spaces: Spaces = inspect_spaces(self.env, config.id)
        self._id = config.id
        self._seed_path = (seed, stream, lane)
        bounds = zip(self.spaces.action_low, self.spaces.action_high, strict=True)
        self._scales = [(low, (high - low) / 2) for low, high in bounds]
        self._action_dtype, self._action_shape = self.env.action_space.dtype, self.env.action_space.shape
        self.begin_episode(0)

    def begin_episode(self, episode: int) -> None:
        seed, stream, lane = self._seed_path
        raw, _ = self.env.reset(seed=derive_seed(seed, stream, lane, episode))
        self.observation = self._flatten(raw)
        self.episode = episode
        self._actions: list[Floats] = []

    @property
    def episode_steps(self) -> int:
        """The number of actions taken in this episode so far."""
        return len(self._actions)

    def step(self, action: Floats) -> Step:
        """Take an action in [-1, 1]; -1 and 1 are the bounds of each dimension, which need not be symmetric."""
        before = self.observation
        step = self._step(action)
        if step.terminated or step.truncated:
            try:
                self.begin_episode(self.episode + 1)
            except NonFinite:  # the step counts as not taken, so that a checkpoint can repeat it
                self._actions.pop()
                self.observation = before
                raise
        return step

    def _step(self, action: Floats) -> Step:
        # Few numbers are faster one by one than as an array, and an action is few.
        values = action.tolist()
        if not math.isfinite(sum(values)):
            raise NonFinite(f"the policy gave {action} as action")
        scaled = [low + (value + 1.0) * half for value, (low, half) in zip(values, self._scales, strict=True)]
        taken = np.array(scaled, self._action_dtype).reshape(self._action_shape)
        raw, reward, terminated, truncated, _ = self.env.step(taken)
        next_observation = self._flatten(raw)
        if not math.isfinite(reward):
            raise NonFinite(f"{self._id} returned {reward} as reward")
        self.observation = next_observation
        self._actions.append(action)
        return Step(self.observation, float(reward), bool(terminated), bool(truncated))

    def state(self) -> LaneState:
        actions = np.asarray(self._actions, dtype=np.float32).reshape(-1, self.spaces.action_size)
        return LaneState(self.episode, actions, self.observation)

    def restore(self, state: LaneState) -> bool:
        """Replay the saved episode. False, and a new episode begun, where the environment went another way."""
        self.begin_episode(state.episode)
        goes_on = all(not (step.terminated or step.truncated) for step in map(self._step, state.actions))
        if goes_on and np.array_equal(self.observation, state.observation):
            return True
        self.begin_episode(state.episode + 1)
        return False

    def close(self) -> None:
        self.env.close()  # type: ignore[no-untyped-call]

    def _flatten(self, raw: Any) -> Floats:
        flat = np.asarray(raw).ravel()
        # No number is larger than the length of them all, which is NaN where one is; it costs least of all such checks.
        if flat.size > FEW or not math.hypot(*flat.tolist()) <= LARGEST:
            self._check(flat)
        return flat.astype(np.float32)

    def _check(self, flat: Any) -> None:
        fits = np.abs(flat) <= LARGEST  # not what is NaN
        if np.count_nonzero(fits) < flat.size:
            index = int(np.flatnonzero(~fits)[0])
            with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
                raise NonFinite(f"{self._id} returned {flat.astype(np.float32)[index]} as observation[{index}]")
