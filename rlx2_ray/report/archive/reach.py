"""How soon an arm gets to where dense ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rlx2_ray.report.analysis.arms import Arm
from rlx2_ray.report.record.trial import Series

WINDOW = 10  # evaluations whose mean has to get there, so that a lucky one does not count


class Reach(NamedTuple):
    """When an arm got there: the median over seeds, one that never did counting as later than all others."""

    fraction: float | None  # of the planned env steps; None: not within the run
    reached: int  # seeds that got there
    seeds: int


def reach_of(arm: Arm, level: float) -> Reach:
    """Returns when the finished trials of an arm reach a level, which is a return."""
    trials = [trial for trial in arm.trials if trial.score is not None]
    steps = [steps_to_reach(trial.returns, level) for trial in trials]
    fractions = [
        math.inf if step is None else step / trial.planned_steps for step, trial in zip(steps, trials, strict=True)
    ]
    middle = _median(fractions)
    return Reach(middle if math.isfinite(middle) else None, sum(map(math.isfinite, fractions)), len(trials))


def steps_to_reach(returns: Series, level: float) -> int | None:
    """Returns the first env step at which the mean of the latest `WINDOW` is at least `level`; None where none is."""
    if len(returns.values) < WINDOW:
        return None
    means = np.convolve(returns.values, np.full(WINDOW, 1 / WINDOW), mode="valid")
    there = np.flatnonzero(means >= level)
    return returns.steps[int(there[0]) + WINDOW - 1] if len(there) else None


def _median(values: Sequence[float]) -> float:
    """The later of the two middle ones where their number is even: infinity has no mean with another number."""
    return sorted(values)[len(values) // 2] if values else math.inf
