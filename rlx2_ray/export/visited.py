"""The observations that episodes lead to."""

from __future__ import annotations

from rlx2_ray.networks.policy import NoiseFreePolicy
from rlx2_ray.types import Floats

MOST_OBSERVATIONS = 20_000  # that are kept of one policy's episodes


class Recorded:
    """A policy that keeps the observations that it acted on."""

    def __init__(self, policy: NoiseFreePolicy) -> None:
        self._policy = policy
        self.observations: list[Floats] = []

    def action(self, observation: Floats) -> Floats:
        if len(self.observations) < MOST_OBSERVATIONS:
            self.observations.append(observation)
        return self._policy.action(observation)
