"""Environments for compressions; their ids are "tests.support.compression_envs:NAME-v0"."""

from __future__ import annotations

import gymnasium
import numpy as np

from tests.support.strange_envs import Drift, Stepped

MODULE = "tests.support.compression_envs"


class Indifferent(Drift):
    """Ten steps of reward 1, whatever is done."""

    def step(self, action: np.ndarray) -> Stepped:
        observation, _, terminated, truncated, info = super().step(action)
        return observation, 1.0, terminated, truncated, info


gymnasium.register("Indifferent-v0", Indifferent)
