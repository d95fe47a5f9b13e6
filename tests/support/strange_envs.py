"""Environments that a careful program must refuse or survive; their ids are "tests.support.strange_envs:NAME-v0"."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

MODULE = "tests.support.strange_envs"
MAY_DIE = "RLX2_TESTS_MAY_DIE"  # environment variable
Reset = tuple[np.ndarray, dict[str, Any]]
Stepped = tuple[np.ndarray, float, bool, bool, dict[str, Any]]


class Drift(gymnasium.Env[np.ndarray, np.ndarray]):
    """A number that the action pushes about, for ten steps an episode."""

    observation_space = Box(-100, 100, (2,))
    action_space = Box(-1, 1, (1,))
    episode_steps = 10

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        super().reset(seed=seed)
        self._position, self._steps = float(self.np_random.uniform(-1, 1)), 0
        return self._observation(), {}

    def step(self, action: np.ndarray) -> Stepped:
        self._position += float(action[0])
        self._steps += 1
        return self._observation(), -abs(self._position), False, self._steps == self.episode_steps, {}

    def _observation(self) -> np.ndarray:
        return np.array([self._position, self._steps], np.float32)


class Unbounded(Drift):
    action_space = Box(-np.inf, np.inf, (1,))


class Broken(Drift):
    """Returns what is not finite at step `step` of every instance's life, or at reset `reset`, counted from 1."""

    def __init__(self, what: str = "observation", step: int = 0, reset: int = 0) -> None:
        self._what, self._break_step, self._break_reset = what, step, reset
        self._steps_ever = self._resets = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        self._resets += 1
        observation, info = super().reset(seed=seed)
        return (observation * np.nan if self._resets == self._break_reset else observation), info

    def step(self, action: np.ndarray) -> Stepped:
        self._steps_ever += 1
        observation, reward, terminated, truncated, info = super().step(action)
        if self._steps_ever == self._break_step:
            if self._what == "observation":
                observation[1] = np.nan
            else:
                reward = np.inf
        return observation, reward, terminated, truncated, info


class Interrupting(Drift):
    """Presses Ctrl-C in its process at step `step` of every instance's life."""

    def __init__(self, step: int) -> None:
        self._interrupted_step, self._steps_ever = step, 0

    def step(self, action: np.ndarray) -> Stepped:
        self._steps_ever += 1
        if self._steps_ever == self._interrupted_step:
            os.kill(os.getpid(), signal.SIGINT)
        return super().step(action)


class Endless(Drift):
    """No episode ever ends. Once, at step `step` of an instance's life, it presses Ctrl-C, where `file` is there."""

    episode_steps = 0

    def __init__(self, step: int = 0, file: str = "") -> None:
        self._interrupted_step, self._file, self._steps_ever = step, Path(file), 0

    def step(self, action: np.ndarray) -> Stepped:
        self._steps_ever += 1
        if self._steps_ever == self._interrupted_step and self._file.is_file():
            self._file.unlink()
            os.kill(os.getpid(), signal.SIGINT)
        return super().step(action)


class Hanging(Drift):
    """Never comes back from step `step` of every instance's life."""

    def __init__(self, step: int) -> None:
        self._last_step, self._steps_ever = step, 0

    def step(self, action: np.ndarray) -> Stepped:
        self._steps_ever += 1
        while self._steps_ever >= self._last_step:
            time.sleep(0.05)
        return super().step(action)


class Unlucky(Drift):
    """In the episode of one seed it raises or kills its process, while `file` is there, which goes with it."""

    def __init__(self, seed: int, file: str, kills: bool = False) -> None:
        self._unlucky_seed, self._file, self._kills = seed, Path(file), kills

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        self._is_unlucky = seed == self._unlucky_seed
        return super().reset(seed=seed)

    def step(self, action: np.ndarray) -> Stepped:
        if self._is_unlucky and self._steps == 3 and self._file.is_file():
            self._file.unlink()
            if self._kills:
                os.kill(os.getpid(), signal.SIGKILL)
            raise ValueError("no luck")
        return super().step(action)


class Dying(gymnasium.Wrapper[np.ndarray, np.ndarray, np.ndarray, np.ndarray]):
    """A real pendulum that kills its process with SIGKILL at step `step` of its life, where `MAY_DIE` is set."""

    def __init__(self, step: int) -> None:
        super().__init__(gymnasium.make("InvertedPendulum-v5"))
        self._last_step, self._steps_ever = step, 0

    def step(self, action: np.ndarray) -> Any:
        self._steps_ever += 1
        if self._steps_ever == self._last_step and MAY_DIE in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(action)


class Forgetful(Interrupting):
    """Ignores its seed as well, so that an episode cannot be repeated."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        return super().reset(seed=None)


for _environment in (Drift, Unbounded, Broken, Interrupting, Endless, Hanging, Forgetful, Unlucky):
    gymnasium.register(f"{_environment.__name__}-v0", _environment)
gymnasium.register("Dying-v0", lambda step: Dying(step))  # gymnasium takes no wrapper's class
