"""What each arm holds of what it had: the score of the end beside the best stretch of the same length before it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rlx2_ray.report.analysis.arms import Arm, arms_of
from rlx2_ray.report.record.record import Record
from rlx2_ray.report.record.trial import Trial
from rlx2_ray.runs.scores import DEPLOYED
from rlx2_ray.search.statistics import FEWEST_SEEDS, RESAMPLES, Interval, Statistic, arm_interval, statistic_of


class Measured(NamedTuple):
    value: float
    interval: Interval | None  # 95 %, over seeds; None: of one seed


class Held(NamedTuple):
    """What the finished trials of an arm say; None where nothing is known."""

    arm: Arm
    seeds: int
    final: Measured
    deployed: Measured | None
    lost_of_best: Measured | None  # a part, 0 to 1
    spread: Measured | None  # standard deviation over seeds, in parts of their mean
    wall_s: Measured | None  # of whole runs: seconds from start to end


def held_of(record: Record) -> list[Held]:
    """Returns the arms that have a finished trial, in the order of `arms_of`."""
    return [_held(arm) for arm in arms_of(record) if arm.scores]


def _held(arm: Arm) -> Held:
    trials = [trial for trial in arm.trials if trial.score is not None]
    lost = [share for trial in trials if (share := lost_of_best(trial)) is not None]
    times = [float(trial.result["wall_s"]) for trial in trials if "wall_s" in trial.result and not trial.ended_early]
    final = _measured(arm.scores, "iqm")
    assert final is not None
    return Held(
        *(arm, len(trials), final),
        deployed=_measured(arm.by(DEPLOYED), "iqm"),
        lost_of_best=_measured(lost, least=0.0),
        spread=_spread(arm.scores),
        wall_s=_measured(times, least=0.0),
    )


def lost_of_best(trial: Trial) -> float | None:
    """Returns the part of the best mean of as many evaluations in a row as the score is of, that the end lacks.

    None where the best is no gain over 0, of which there are no parts, or too few evaluations are known.
    """
    window, values = trial.config.evaluation.score_window, trial.returns.values
    if len(values) < window or trial.score is None:
        return None
    means = np.convolve(values, np.full(window, 1 / window), mode="valid")
    best = float(means.max())
    return max(0.0, 1 - float(means[-1]) / best) if best > 0 else None


def spread_of(scores: Sequence[float]) -> float:
    """Returns the standard deviation over seeds, two or more, in parts of their mean."""
    return float(np.std(scores, ddof=1) / abs(np.mean(scores)))


def spread_interval(scores: Sequence[float]) -> Interval:
    """Returns the 95 % percentile bootstrap interval of `spread_of`; the same for the same scores.

    Stretched as those of means are, for resampled seeds spread too little (`search/statistics.py`).
    """
    values, count = np.asarray(scores, np.float64), len(scores)
    drawn = np.random.default_rng(count).choice(values, (RESAMPLES, count))
    spreads = math.sqrt(count / (count - 1)) * drawn.std(axis=1, ddof=1) / abs(values.mean())
    low, high = np.quantile(spreads, (0.025, 0.975))
    return float(low), float(high)


def _measured(values: Sequence[float], statistic: Statistic = "mean", least: float = -math.inf) -> Measured | None:
    """`least`: that there can be."""
    if not values:
        return None
    middle = statistic_of(values, statistic)
    if len(values) < FEWEST_SEEDS:
        return Measured(middle, None)
    low, high = arm_interval(values, statistic)
    return Measured(middle, (max(least, low), max(least, high)))


def _spread(scores: Sequence[float]) -> Measured | None:
    if len(scores) < FEWEST_SEEDS or not np.mean(scores):
        return None
    return Measured(spread_of(scores), spread_interval(scores))
