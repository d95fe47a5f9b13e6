"""What every engine's learner offers to the runtimes, and what it needs from them."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from rlx2_ray.agents.returns import Returns
from rlx2_ray.algorithms import ALGORITHMS
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.networks.moments import Moments
from rlx2_ray.networks.policy import ActingPolicy, NoiseFreePolicy
from rlx2_ray.networks.policy_weights import PolicyWeights
from rlx2_ray.networks.sparse_layer import Arrays
from rlx2_ray.target_rules import TARGET_RULES
from rlx2_ray.types import Batch, RunFailed


class LearnerState(NamedTuple):
    """All that a learner needs to go on, free of engines: arrays for safetensors, values for JSON."""

    arrays: Arrays
    values: dict[str, Any]


class Learner(Protocol):
    learner_steps: int  # updates done
    observed: Moments  # of the observations so far, where they are normalised
    returns: Returns  # of the episodes so far, where pruning goes by them

    def update(self, batch: Batch) -> None:
        """Does one update of the critics and, when due, of policy, temperature and targets.

        The batch holds windows as `window_spec(config, learner_steps)` says.
        """
        ...

    def metrics(self) -> dict[str, float]:
        """Means since the last call, and current values."""
        ...

    def observe(self, moments: Moments) -> None:
        """Takes note of further observations, by which it normalises from now on where it is configured to."""
        ...

    def policy_weights(self) -> PolicyWeights:
        """Returns a copy of the policy that is trained, which plays to collect."""
        ...

    def evaluated_weights(self) -> PolicyWeights:
        """Returns a copy of the policy that is evaluated and kept: its moving average, where there is one."""
        ...

    def acting_policy(self) -> ActingPolicy:
        """The policy that collects experience; on the CPU it shares the learner's memory, and so stays current."""
        ...

    def evaluated_policy(self) -> NoiseFreePolicy:
        """The policy that is evaluated, as it is now; whether it stays current is not said."""
        ...

    def state(self) -> LearnerState:
        """Returns a copy of everything."""
        ...

    def restore(self, state: LearnerState) -> None: ...


class WindowSpec(NamedTuple):
    """What the windows of an update are, and of how many updates from it on; the fields of the same name in replay."""

    n_step: int
    every_step: bool
    updates: int | None  # None: of all that follow


def window_spec(config: ExperimentConfig, learner_steps: int) -> WindowSpec:
    """The windows of the next update, when `learner_steps` are done. Raises RunFailed where the rule gives none."""
    target = config.target
    try:
        n_step, updates = TARGET_RULES[target.rule](target, learner_steps)
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, NameError) as error:
        raise RunFailed(
            f"target.rule {target.rule} raised {type(error).__name__} ({error}) at update {learner_steps + 1}: correct "
            "it."
        ) from error
    if not 1 <= n_step <= target.n_step or (updates is not None and updates < 1):
        raise RunFailed(
            f"target.rule {target.rule} gave {n_step} steps for {updates} updates at update {learner_steps + 1}: "
            f"between 1 and target.n_step, {target.n_step}, for one update or more."
        )
    return WindowSpec(n_step, ALGORITHMS[config.algo].needs_every_step, updates)
