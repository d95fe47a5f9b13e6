"""Environments for runs whose processes are killed; their ids are "tests.distributed.mortal_envs:NAME-v0"."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import psutil

from tests.support.strange_envs import Drift, Stepped

MODULE = "tests.distributed.mortal_envs"


class Unhurried(Drift):
    """Takes its time for every step, so that a run lasts as long on a fast machine and leaves room on a slow one."""

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s

    def step(self, action: np.ndarray) -> Stepped:
        time.sleep(self._step_s)
        return super().step(action)


class UnhurriedPendulum(gymnasium.Wrapper[np.ndarray, np.ndarray, np.ndarray, np.ndarray]):
    """The same for a real pendulum, whose episodes end after 100 steps."""

    def __init__(self, step_s: float) -> None:
        super().__init__(gymnasium.make("InvertedPendulum-v5", max_episode_steps=100))
        self._step_s = step_s

    def step(self, action: np.ndarray) -> Any:
        time.sleep(self._step_s)
        return super().step(action)


class Doomed(Drift):
    """Kills its process with SIGKILL at every step while `file` exists and the process is an actor of class `worker`.

    Ray makes an actor's class the beginning of its process's title.
    """

    def __init__(self, file: str, worker: str) -> None:
        self._file, self._worker = Path(file), worker

    def step(self, action: np.ndarray) -> Stepped:
        if self._file.exists() and self._worker in " ".join(psutil.Process().cmdline()):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(action)


for _environment in (Unhurried, Doomed):
    gymnasium.register(f"{_environment.__name__}-v0", _environment)
gymnasium.register(
    "UnhurriedPendulum-v0", lambda step_s: UnhurriedPendulum(step_s)
)  # gymnasium takes no wrapper's class
