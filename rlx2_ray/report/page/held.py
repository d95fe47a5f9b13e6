"""What each arm holds of what it had: the score of the end beside the best stretch of the same length before it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rlx2_ray.report.analysis.arms import Arm, arms_of
from rlx2_ray.report.analysis.progress import duration
from rlx2_ray.report.page.tables import UNKNOWN, Table
from rlx2_ray.report.record.record import Record
from rlx2_ray.report.record.trial import Trial
from rlx2_ray.runs.scores import DEPLOYED
from rlx2_ray.search.statistics import FEWEST_SEEDS, RESAMPLES, Statistic, arm_interval, statistic_of

HEADINGS = ("arm", "seeds", "at the end", "deployed", "lost of the best, %", "spread over seeds, %", "time to train")
CAPTION = (
    "What is held to the end: the score (interquartile mean over seeds); how far it is below the best mean of as many "
    "evaluations in a row, in % of that (mean over seeds); the standard deviation over seeds, in % of their mean; and "
    "the time from start to end, evaluations included (mean). Each with a 95 % bootstrap interval over seeds."
)


def held_table(record: Record) -> Table:
    """Has an arm a row, in the order of `arms_of`, of those with a finished trial."""
    return Table(HEADINGS, tuple(_row(arm) for arm in arms_of(record) if arm.scores))


def _row(arm: Arm) -> tuple[str, ...]:
    trials = [trial for trial in arm.trials if trial.score is not None]
    lost = [share for trial in trials if (share := lost_of_best(trial)) is not None]
    times = [float(trial.result["wall_s"]) for trial in trials if "wall_s" in trial.result and not trial.ended_early]
    return (
        arm.label,
        str(len(trials)),
        _cell(arm.scores, "{:.5g}", "iqm"),
        _cell(arm.by(DEPLOYED), "{:.5g}", "iqm"),
        _cell([100 * share for share in lost], "{:.1f}", least=0.0),
        _spread_cell(arm.scores),
        _time_cell(times),
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


def spread_interval(scores: Sequence[float]) -> tuple[float, float]:
    """Returns the 95 % percentile bootstrap interval of `spread_of`; the same for the same scores.

    Stretched as those of means are, for resampled seeds spread too little (`search/statistics.py`).
    """
    values, count = np.asarray(scores, np.float64), len(scores)
    drawn = np.random.default_rng(count).choice(values, (RESAMPLES, count))
    spreads = math.sqrt(count / (count - 1)) * drawn.std(axis=1, ddof=1) / abs(values.mean())
    low, high = np.quantile(spreads, (0.025, 0.975))
    return float(low), float(high)


def _cell(values: Sequence[float], form: str, statistic: Statistic = "mean", least: float = -math.inf) -> str:
    """ "3205 (3100 to 3300)"; without an interval where there is one seed. `least`: that there can be."""
    if not values:
        return UNKNOWN
    middle = form.format(statistic_of(values, statistic))
    if not _have_spread(values):
        return middle
    return middle + _span(*(form.format(max(least, bound)) for bound in arm_interval(values, statistic)))


def _spread_cell(scores: Sequence[float]) -> str:
    if not _have_spread(scores) or not np.mean(scores):
        return UNKNOWN
    low, high = spread_interval(scores)
    return f"{100 * spread_of(scores):.1f}{_span(f'{100 * low:.1f}', f'{100 * high:.1f}')}"


def _time_cell(times: Sequence[float]) -> str:
    if not times:
        return UNKNOWN
    low, high = arm_interval(times, "mean") if _have_spread(times) else (0.0, 0.0)
    span = _span(duration(max(low, 0.0)), duration(high)) if _have_spread(times) else ""
    return duration(statistic_of(times, "mean")) + span


def _have_spread(values: Sequence[float]) -> bool:
    return len(values) >= FEWEST_SEEDS


def _span(low: str, high: str) -> str:
    return f" ({low} to {high})"
