"""What uniformly random actions score: as a sweep measured it, or as it is known of gymnasium's own environments.

A report loads no environment. Where neither is known, no part of a dense return is stated: a ratio of raw returns says
nothing where random actions score far from zero, and is wrong where returns are negative.
"""

from __future__ import annotations

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.report.analysis.environments import known
from rlx2_ray.report.record.record import Record


def random_score_of(record: Record, config: ExperimentConfig) -> float | None:
    """Returns that of a configuration's task; None where it is not known."""
    measured = record.random_of.get(config.task, _measured_before(record, config))
    if measured is not None:
        return measured
    environment = known().get(config.task)
    return environment and environment.random_score


def _measured_before(record: Record, config: ExperimentConfig) -> float | None:
    """Returns what an earlier version kept by the environment's id alone, where all trials of that are of one task."""
    tasks = {trial.config.task for trial in record.trials if trial.config.env.id == config.env.id}
    return record.random_of.get(config.env.id) if tasks <= {config.task} else None
