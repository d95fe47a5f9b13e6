"""An evaluation that a run owes: it has gone on, and what is to be played is the policy as it was.

A checkpoint of the meantime keeps that policy, so that whoever goes on from it plays the same evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from rlx2_ray.networks.policy_weights import PolicyWeights
from rlx2_ray.networks.sparse_layer import Arrays
from rlx2_ray.runs.checkpoint import Checkpoint
from rlx2_ray.runs.checkpoint_arrays import kept_arrays, kept_policy
from rlx2_ray.runs.checkpoint_values import OWED


class Owed(NamedTuple):
    env_steps: int
    learner_steps: int
    policy: PolicyWeights
    metrics: dict[str, float]  # what else is known of that moment

    @classmethod
    def at(cls, env_steps: int, learner_steps: int, policy: PolicyWeights, metrics: Mapping[str, float]) -> Owed:
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        return cls(env_steps, learner_steps, policy, finite)

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Owed | None:
        values = checkpoint.values.get(OWED)
        return None if values is None else cls(policy=kept_policy(OWED, checkpoint.arrays), **values)

    def arrays(self) -> Arrays:
        return kept_arrays(OWED, self.policy)

    def values(self) -> dict[str, Any]:
        return {OWED: {"env_steps": self.env_steps, "learner_steps": self.learner_steps, "metrics": self.metrics}}
