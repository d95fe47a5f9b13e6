"""Arms: the trials that differ in nothing but their seed, and the dense one that the others are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from rlx2_ray.config import ExperimentConfig, Tree
from rlx2_ray.report.analysis.random_scores import random_score_of
from rlx2_ray.report.record.record import DenseArm, DenseSeed, Record
from rlx2_ray.report.record.trial import Trial
from rlx2_ray.runs.scores import FINAL, ScoreName
from rlx2_ray.search.statistics import FEWEST_SEEDS, arm_interval, statistic_of
from rlx2_ray.types import Spaces

SHORT = {"sparsity.policy": "policy", "sparsity.critic": "critic", "env.id": "env"}
SPARSITIES = {"sparsity.policy", "sparsity.critic"}


class Arm(NamedTuple):
    label: str
    trials: tuple[Trial, ...]

    @property
    def scores(self) -> tuple[float, ...]:
        """The scores of the trials that have finished."""
        return self.by(FINAL)

    def by(self, name: ScoreName) -> tuple[float, ...]:
        """Returns one of the two scores of the trials that have it."""
        return tuple(score for trial in self.trials if (score := trial.by(name)) is not None)

    @property
    def policy_sparsity(self) -> float:
        return self.trials[0].policy_sparsity

    @property
    def critic_sparsity(self) -> float:
        return self.trials[0].critic_sparsity

    @property
    def is_dense(self) -> bool:
        return is_dense(self.trials[0])


def is_dense(trial: Trial) -> bool:
    """Whether others are compared with its arm; a narrow network is a way to be small, an ablation no reference."""
    return trial.purpose == "dense" or (trial.purpose != "arm" and trial.config.is_dense)


def arms_of(record: Record) -> list[Arm]:
    """Returns the arms in the order of their first trials; dense ones last, where they are drawn on top."""
    groups: dict[str, list[Trial]] = {}
    for trial in record.trials:
        groups.setdefault(arm_label(record.kind, trial), []).append(trial)
    arms = [Arm(label, tuple(trials)) for label, trials in groups.items()]
    return sorted(arms, key=lambda arm: arm.is_dense)


def arm_label(kind: str, trial: Trial) -> str:
    """Says what sets an arm apart, in few words: "98 / 95 %", "n_step 3, policy 98 %", "dense"."""
    if kind == "compress":
        return "dense" if is_dense(trial) else network_label(method_label(trial.changes), sparsities(trial))
    if kind == "task":
        return _method_label(trial)
    words = [f"{short(key)} {show(key, value)}" for key, value in trial.changes.items() if value is not None]
    return ", ".join(([trial.member] if trial.member else []) + words) or trial.config.method


def _method_label(trial: Trial) -> str:
    """ "rlx2", "rlx2 98 / 95 %" where the task has several sparsities, "rlx2, n_step 1"."""
    pair = f" {sparsities(trial)}" if SPARSITIES & trial.changes.keys() else ""
    others = [f"{short(key)} {show(key, value)}" for key, value in trial.changes.items() if key not in SPARSITIES]
    return ", ".join([trial.config.method + pair, *others])


def method_label(values: Tree) -> str | None:
    """Returns such as "rlx2, fan_in constant", of the values of what sets methods apart; None where nothing does."""
    others = [f"{short(key)} {show(key, value)}" for key, value in values.items() if key not in {"method", *SPARSITIES}]
    return ", ".join([str(values["method"]), *others]) if "method" in values else None


def network_label(method: str | None, pair: str) -> str:
    """Returns such as "98 / 95 %", after the method where there are several."""
    return f"{method} {pair}" if method else pair


def sparsities(trial: Trial) -> str:
    """Returns such as "98 / 95 %": of the policy and the critics."""
    return pair_label(trial.policy_sparsity, trial.critic_sparsity)


def pair_label(policy: float, critic: float) -> str:
    return f"{percent(policy)} / {percent(critic)} %"


def short(key: str) -> str:
    """Returns the last part of a dotted key, or a name for it where that says too little."""
    return SHORT.get(key, key.rpartition(".")[2])


def show(key: str, value: Any) -> str:
    if key in SPARSITIES and isinstance(value, int | float):
        return f"{percent(value)} %"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def percent(sparsity: float) -> str:
    """Returns 99.5 for .995, 98 for .98."""
    return f"{100 * sparsity:.2f}".rstrip("0").rstrip(".")


def dense_arm(record: Record, name: ScoreName | None = None) -> DenseArm | None:
    """Returns it as a compression measured it; else as finished dense trials do, where all trials are of one task.

    `name`: of the score that it is by, the record's where none is given; seeds that do not have it are left out.
    """
    name = name or record.score
    if record.dense is not None:
        return record.dense if name == record.score else _by_other(record.dense)
    trials = [trial for trial in record.trials if is_dense(trial) and trial.by(name) is not None]
    if not trials or len({(trial.config.task, trial.config.algo) for trial in record.trials}) > 1:
        return None
    seeds = tuple(
        DenseSeed(trial.seed, trial.score or 0.0, tuple(zip(*trial.returns, strict=True)), False, trial.deployed)
        for trial in trials
    )
    scores = dense_scores(seeds, name)
    interval = arm_interval(scores) if len(scores) >= FEWEST_SEEDS else None
    return DenseArm(seeds, statistic_of(scores), interval, random_score_of(record, trials[0].config))


def _by_other(dense: DenseArm) -> DenseArm | None:
    """Returns None where not all of its runs have the other score: it is not mixed of some of them."""
    other = dense.other
    if other is None:
        return None
    return replace(dense, statistic=other.statistic, interval=other.interval, other=None)


def dense_scores(seeds: Sequence[DenseSeed], name: ScoreName) -> list[float]:
    """Returns one of the two scores of the seeds that have it."""
    return [score for seed in seeds if (score := seed.by(name)) is not None]


def by_task(record: Record) -> list[Record]:
    """Splits the record in parts whose trials can be compared: of one environment, algorithm and number of steps."""
    tasks: dict[object, list[Trial]] = {}
    for trial in record.trials:
        tasks.setdefault((*env_and_algo(trial.config), trial.config.steps), []).append(trial)
    if len(tasks) < 2 or record.kind == "task":
        return [record]
    return [
        replace(record, trials=tuple(trials), spaces=_spaces(record, trials[0].config)) for trials in tasks.values()
    ]


def _spaces(record: Record, config: ExperimentConfig) -> Spaces | None:
    """Returns those of a configuration's environment, which earlier versions kept by its id."""
    return record.spaces_of.get(config.env.key, record.spaces_of.get(config.env.id))


def env_and_algo(config: ExperimentConfig) -> tuple[str, str]:
    return config.env.id, config.algo


def ratio_of(dense: DenseArm, score: float) -> float:
    """Returns R of one score; NaN where dense is no better than random actions, or what they score is not known."""
    if dense.random is None or not dense.statistic > dense.random:
        return float("nan")
    return (score - dense.random) / (dense.statistic - dense.random)
