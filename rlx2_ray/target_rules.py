"""Of how many steps TD targets are, at each moment of a run, by the name of a rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rlx2_ray.config import TargetConfig
from rlx2_ray.registry import Registry


class Horizon(NamedTuple):
    n_step: int  # of the next update's targets; from 1 to target.n_step
    updates: int | None = 1  # for how many updates from that one on; None: for all that follow


# (section target of the configuration, updates done) -> the next horizon
TargetRule = Callable[[TargetConfig, int], Horizon]

TARGET_RULES: Registry[TargetRule] = Registry("target.rule")


@TARGET_RULES.register("delayed")
def delayed(target: TargetConfig, learner_steps: int) -> Horizon:
    """RLx2's: 1 step for the first `target.n_step_start` updates, `target.n_step` from then on."""
    until_n_step = target.n_step_start - learner_steps
    return Horizon(1, until_n_step) if until_n_step > 0 else Horizon(target.n_step, None)
