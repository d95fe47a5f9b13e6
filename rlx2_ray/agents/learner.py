"""What every engine's learner offers to the runtimes, and what it needs from them."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.networks.policy import Policy
from rlx2_ray.networks.sparse_layer import Arrays, Layers
from rlx2_ray.types import Batch


class LearnerState(NamedTuple):
    """All that a learner needs to go on, free of engines: arrays for safetensors, values for JSON."""

    arrays: Arrays
    values: dict[str, Any]


class Learner(Protocol):
    learner_steps: int  # updates done

    def update(self, batch: Batch) -> None:
        """One update of the critics and, when due, of policy, temperature and targets.

        The batch holds windows of `window_length(config, learner_steps)` steps, with every next observation if the
        algorithm is SAC.
        """
        ...

    def metrics(self) -> dict[str, float]:
        """Means since the last call, and current values."""
        ...

    def policy_layers(self) -> Layers:
        """A copy of the policy."""
        ...

    def acting_policy(self) -> Policy:
        """The current policy; on the CPU it shares the learner's memory and stays current by itself."""
        ...

    def state(self) -> LearnerState:
        """A copy of everything."""
        ...

    def restore(self, state: LearnerState) -> None: ...


def window_length(config: ExperimentConfig, learner_steps: int) -> int:
    """Steps of the windows of the next update, when `learner_steps` are done: RLx2's delayed n-step target."""
    return config.target.n_step if learner_steps >= config.target.n_step_start else 1


def needs_every_step(config: ExperimentConfig) -> bool:
    """Whether the target evaluates the policy at every next observation of a window, not at the last alone."""
    return config.algo == "sac"
