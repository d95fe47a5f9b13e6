"""Records as rows of plain values, one a run or one an evaluation: for tables that people make themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from rlx2_ray.report.analysis.arms import arm_label
from rlx2_ray.report.analysis.outcomes import plan_of
from rlx2_ray.report.record.configs import described, differing_keys
from rlx2_ray.report.record.record import Record
from rlx2_ray.report.record.trial import Trial
from rlx2_ray.runs.result import C_BYTES, describe_costs

Row = dict[str, Any]
COSTS = (
    *("policy_sparsity", "critic_sparsity", "active_weights", "size_ratio", "compression"),
    *("train_flops_ratio_paper", "train_flops_ratio_counted", "inference_flops_ratio"),
)
# Keys of configurations that have a column of their own.
NAMED = {"env.id", "algo", "method", "steps", "seed", "sparsity.policy", "sparsity.critic"}
NO_PART = ("runtime.", "checkpoint.")  # of the experiment: beginnings of keys


def run_rows(records: Sequence[Record]) -> list[Row]:
    """Returns a row a run: what it is, the keys in which runs differ (dotted), scores, size and FLOPs.

    What is not known is None, or NaN of a number.
    """
    trials = [(record, trial, described(trial.config)) for record in records for trial in record.trials]
    differing = differing_keys([each for _, _, each in trials])
    keys = [key for key in differing if key not in NAMED and not key.startswith(NO_PART)]
    return [
        {
            **_identity(record, trial),
            "steps": trial.config.steps,
            **{key: this.values.get(key) for key in keys},
            "state": "stopped early" if trial.ended_early else trial.state,
            "env_steps": trial.env_steps,
            "score": _number(trial.score),
            "deployed": _number(trial.deployed),
            **costs_of(record, trial),
            **{name: trial.c_bytes.get(name, math.nan) for name in C_BYTES},
        }
        for record, trial, this in trials
    ]


def curve_rows(records: Sequence[Record]) -> list[Row]:
    """Returns a row an evaluation of a run, with every metric that was there at that step."""
    return [
        {**_identity(record, trial), **point}
        for record in records
        for trial in record.trials
        for point in _points(trial)
    ]


def costs_of(record: Record, trial: Trial) -> Row:
    """Returns sparsities, active weights, size and FLOPs; as the run had them, or would have them when it ends."""
    if trial.result.keys() >= set(COSTS):
        return {name: trial.result[name] for name in COSTS}
    plan = plan_of(record, trial.config)
    unknown = dict.fromkeys(COSTS, math.nan)
    asked = {"policy_sparsity": trial.policy_sparsity, "critic_sparsity": trial.critic_sparsity}
    if plan is None:
        return unknown | asked
    planned = describe_costs(trial.config, plan)
    return {name: planned[name] for name in COSTS}


def _identity(record: Record, trial: Trial) -> Row:
    return {
        "run": trial.name,
        "arm": arm_label(record.kind, trial),
        "env_id": trial.config.env.id,
        "algo": trial.config.algo,
        "method": trial.config.method,
        "seed": trial.seed,
    }


def _points(trial: Trial) -> Iterator[Row]:
    by_step: dict[int, Row] = {}
    for name, series in trial.series.items():
        for step, value in zip(series.steps, series.values, strict=True):
            by_step.setdefault(step, {})[name] = value
    return ({"env_steps": step, **by_step[step]} for step in sorted(by_step))


def _number(value: float | None) -> float:
    return math.nan if value is None else value
