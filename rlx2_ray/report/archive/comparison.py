"""The arms of a task as the paper has them: one a method, at one pair of sparsities; and what is beside them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from rlx2_ray.config import ExperimentConfig, dense_counterpart
from rlx2_ray.report.analysis.arms import SPARSITIES, Arm, arms_of
from rlx2_ray.report.analysis.outcomes import Outcome, outcomes
from rlx2_ray.report.archive.paper import COLUMNS, PaperTask, paper_task
from rlx2_ray.report.record.record import Record
from rlx2_ray.report.record.trial import Trial
from rlx2_ray.runs.scores import FINAL, ScoreName
from rlx2_ray.search.decision import Pair

ORDER = ("dense", *COLUMNS)  # of the methods in tables; others come after them
PAPER_HIDDEN = (256, 256)  # widths of all its networks
OF_THEIR_OWN = ("ds", "nm")  # methods whose sparsity follows from other keys


def paper_of(record: Record) -> PaperTask | None:
    """Returns what the paper has for a task; None also where this task has other widths, or other sparsities."""
    config = record.trials[0].config
    paper = paper_task(config) if config.network.hidden == PAPER_HIDDEN else None
    pair = reference_pair(record)
    return paper if paper is not None and pair in (None, (paper.policy, paper.critic)) else None


def reference_pair(record: Record) -> Pair | None:
    """The sparsities that methods are compared at: the paper's; else those of most runs. None where all are dense."""
    pairs = Counter(pair_of(trial) for trial in record.trials if has_pair(trial.config))
    paper = paper_task(record.trials[0].config)
    if paper is not None and (paper.policy, paper.critic) in pairs:
        return paper.policy, paper.critic
    return pairs.most_common(1)[0][0] if pairs else None


def has_pair(config: ExperimentConfig) -> bool:
    """Whether it is of a method that is given its sparsities, and made sparse by them."""
    return config.method not in OF_THEIR_OWN and bool(config.sparsity.policy or config.sparsity.critic)


def pair_of(trial: Trial) -> Pair:
    return trial.policy_sparsity, trial.critic_sparsity


def is_plain(trial: Trial) -> bool:
    """Whether it is no ablation: nothing but its sparsities sets it apart from its method."""
    return not trial.changes.keys() - SPARSITIES


def main_record(record: Record) -> Record:
    """Returns the record of its methods without their ablations, at the reference pair."""
    pair = reference_pair(record)
    kept = [trial for trial in record.trials if is_plain(trial) and _is_at(trial, pair)]
    return replace(record, trials=tuple(kept))


def _is_at(trial: Trial, pair: Pair | None) -> bool:
    return trial.config.method in OF_THEIR_OWN or pair_of(trial) in (pair, (0.0, 0.0))


def plain_arms(record: Record) -> dict[str, Arm]:
    """Returns method -> its arm at the reference pair, in the order of tables."""
    arms = {arm.trials[0].config.method: arm for arm in arms_of(main_record(record))}
    return {method: arms[method] for method in sorted(arms, key=rank)}


def place(trial: Trial) -> tuple[object, ...]:
    """Orders tables: methods in their order, the plain arm of each before its ablations, the densest first."""
    return rank(trial.config.method), not is_plain(trial), pair_of(trial), repr(trial.changes), trial.seed


def rank(method: str) -> tuple[int, str]:
    """Orders methods in tables."""
    return (ORDER.index(method) if method in ORDER else len(ORDER)), method


def outcome_of(record: Record, arm: Arm | None, name: ScoreName = FINAL) -> Outcome | None:
    """Returns what an arm keeps of dense by a score; None for dense itself, and where either has no such score."""
    return next((each for each in outcomes(record, name) if arm is not None and each.label == arm.label), None)


def outcome_beside_own_dense(record: Record, arm: Arm, name: ScoreName = FINAL) -> Outcome | None:
    """Returns what an arm keeps of the dense arm that has its switches; None where it has none, or nobody ran that.

    So a method is not credited with what its switches do for a dense agent too.
    """
    if arm.is_dense or arm.trials[0].config.method == "dense":
        return None
    wanted = _of_dense(arm.trials[0].config)
    dense = [
        trial._replace(purpose="dense")
        for trial in record.trials
        if trial.purpose == "arm" and trial.config.method == "dense" and _of_dense(trial.config) == wanted
    ]
    return outcome_of(replace(record, trials=(*arm.trials, *dense)), arm, name) if dense else None


def _of_dense(config: ExperimentConfig) -> str:
    """What the dense arm of a configuration is known by, of whatever seed."""
    return dense_counterpart(config.model_copy(update={"seed": 0})).hash


def missing_methods(record: Record) -> list[str]:
    """Returns those of the paper's table that nobody has run; none for a task that the paper has not."""
    there = plain_arms(record)
    return [method for method in ORDER if method not in there] if paper_of(record) else []


def varied_sparsities(record: Record) -> dict[str, list[Arm]]:
    """Returns method -> its plain arms, the densest first, of the methods that have several sparsities."""
    plain = replace(record, trials=tuple(trial for trial in record.trials if is_plain(trial)))
    by_method: dict[str, list[Arm]] = {}
    for arm in sorted(arms_of(plain), key=lambda arm: (arm.policy_sparsity, arm.critic_sparsity)):
        by_method.setdefault(arm.trials[0].config.method, []).append(arm)
    return {method: arms for method, arms in by_method.items() if len(arms) > 1}
