"""What recurs in a run, and when it is due: evaluations, capacity checks, checkpoints; one rule for both runtimes."""

from __future__ import annotations

import math
from typing import Any

from rlx2_ray.config import ExperimentConfig, next_evaluation


class Milestones:
    """The env steps of the latest of each kind, and the policy distance that the latest capacity check found.

    What recurs every `interval` env steps is due as soon as a multiple of it lies behind, and then once, however many
    multiples were passed. Evaluations alone are owed for each of their env steps, and for the end of the run.
    """

    def __init__(self, config: ExperimentConfig) -> None:
        self._config = config
        self.evaluated = 0
        self.policy_distance = float("nan")  # NaN before the first check
        self._checked = self._saved = 0

    @property
    def evaluated(self) -> int:
        """The env step of the latest evaluation; 0 where there is none."""
        return self._evaluated

    @evaluated.setter
    def evaluated(self, env_steps: int) -> None:
        self._evaluated = env_steps
        # The end of the run again and again after the last.
        self.next_evaluation = next_evaluation(self._config, env_steps)

    @property
    def are_all_evaluated(self) -> bool:
        return self.evaluated >= self._config.steps

    def reaches_check(self, env_steps: int) -> bool:
        """Whether a capacity check is due after `env_steps`, which counts as done then."""
        latest, before = _latest(self._config.replay.check_interval, env_steps), self._checked
        self._checked = max(latest, before)
        return latest > before

    def reaches_checkpoint(self, env_steps: int) -> bool:
        """Whether a checkpoint is due after `env_steps`, which counts as done then."""
        latest, before = _latest(self._config.checkpoint.interval, env_steps), self._saved
        self._saved = max(latest, before)
        return latest > before

    def state(self) -> dict[str, Any]:
        """The values for a checkpoint, JSON-ready; those of evaluations stand in the run's points."""
        distance = None if math.isnan(self.policy_distance) else self.policy_distance
        return {"checked": self._checked, "policy_distance": distance}

    def restore(self, state: dict[str, Any], env_steps: int, evaluated: int) -> None:
        """Go on after `env_steps` from what `state` gave then. Inline runs of version 0.1 did not write `checked`."""
        self.evaluated = evaluated
        self._checked = state.get("checked", env_steps)
        self._saved = env_steps
        self.policy_distance = float("nan") if state["policy_distance"] is None else state["policy_distance"]


def _latest(interval: int, env_steps: int) -> int:
    """The greatest multiple of the interval that is not beyond `env_steps`."""
    return env_steps // interval * interval
