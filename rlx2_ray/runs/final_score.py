"""The score of a run, from its evaluations: the one rule for results, trials, reports and RLlib."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlx2_ray.config import EvaluationConfig
from rlx2_ray.runs.parts import Point


def score_of_points(points: Sequence[Point], protocol: EvaluationConfig) -> float:
    """The score of a run with these points."""
    return score([point["env_steps"] for point in points], [point["return_mean"] for point in points], protocol)


def score(env_steps: Sequence[int], returns: Sequence[float], protocol: EvaluationConfig) -> float:
    """The mean of the evaluations that are scored. NaN where there is none."""
    there = scored(env_steps, protocol)
    return float(np.mean(returns[-there:])) if there else float("nan")


def scored(env_steps: Sequence[int], protocol: EvaluationConfig) -> int:
    """How many evaluations, the latest ones, the score is the mean of: `score_window`, or all where there are fewer.

    Of a run that was stopped among rarer evaluations it is those of as many intervals, for older ones say nothing of
    where it was.
    """
    last = env_steps[-protocol.score_window :]
    return sum(step > env_steps[-1] - protocol.score_window * protocol.interval for step in last)


def describe(window: int) -> str:
    """Says what the score is of that many evaluations: "mean of the last 30 evaluations"."""
    return f"mean of the last {window} evaluations" if window > 1 else "last evaluation"


def describe_early(protocol: EvaluationConfig) -> str:
    """Says what there is to say of evaluations before those that are scored; nothing where they are as frequent."""
    rare = protocol.early_interval
    return f" (every {rare:,} before those that are scored)" if rare > protocol.interval else ""
