"""Environments of members in this process: the plain reference of those in processes of their own."""

from __future__ import annotations

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.envs.lane import EnvLane, Step
from rlx2_ray.types import Floats


class LocalLane(EnvLane):
    def begin_step(self, action: Floats) -> None:
        self._begun = action

    def finish_step(self) -> Step:
        return self.step(self._begun)


def local_lane(config: ExperimentConfig, stream: str) -> LocalLane:
    return LocalLane(config.env, config.seed, stream)
