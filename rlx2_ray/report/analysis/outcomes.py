"""What each arm keeps of the dense return, and what it costs: the verdicts of a compression, and arms without one."""

from __future__ import annotations

from typing import Any, NamedTuple

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.report.analysis.arms import (
    Arm,
    arms_of,
    dense_arm,
    dense_scores,
    is_dense,
    method_label,
    network_label,
    pair_label,
    ratio_of,
)
from rlx2_ray.report.analysis.environments import known
from rlx2_ray.report.analysis.reference import problem_of
from rlx2_ray.report.record.record import DenseArm, PolicyCost, Record, SizedDecision
from rlx2_ray.runs.scores import FINAL, OTHER, ScoreName
from rlx2_ray.search.statistics import FEWEST_SEEDS, Interval, estimate_ratio, statistic_of
from rlx2_ray.sparse.costs import Costs, relative_costs
from rlx2_ray.sparse.plan import AgentPlan, plan_agent
from rlx2_ray.types import BadInput, RunFailed

UNDECIDED = "undecided"
VERDICT_WORDS = {"accept": "accepted", "inconclusive": "inconclusive", "reject": "rejected", UNDECIDED: "no verdict"}
VERDICTS = tuple(VERDICT_WORDS)


class Outcome(NamedTuple):
    """What an arm keeps: R = (sparse - random) / (dense - random)."""

    label: str
    policy_sparsity: float
    critic_sparsity: float
    scores: tuple[float, ...]
    seeds: int
    ratio: float
    interval: Interval | None  # 95 %; None: too few seeds
    probability: float | None  # Pr(R >= threshold)
    verdict: str  # one of VERDICTS
    size_ratio: float | None  # of the dense agent's weights; None: layer sizes are not known
    costs: Costs | None
    method: str | None = None  # of a compression of several
    cost: PolicyCost | None = None  # by a compression's objective
    by: ScoreName = FINAL  # the score that it is of


def outcomes(record: Record, name: ScoreName | None = None) -> list[Outcome]:
    """Returns one for each sparse arm that has a score, the largest network first.

    None where there is no dense arm, or where `no_reference` says why nothing is measured against it. `name`: of the
    score that they are by, the record's where none is given.
    """
    name = name or record.score
    dense = dense_arm(record, name)
    if dense is None:
        return []
    found = _all_outcomes(record, dense, name)
    return [] if _problem(record, dense, found) else found


def no_reference(record: Record) -> str | None:
    """Says why nothing is measured against the dense arm of one task; None where it is, or where there is none."""
    dense = dense_arm(record)
    if all(is_dense(trial) for trial in record.trials):
        return None
    if dense is None:
        return _several_tasks(record)
    return _problem(record, dense, _all_outcomes(record, dense, record.score))


def _several_tasks(record: Record) -> str | None:
    """A gain is one over random actions of the same task."""
    has_dense = any(is_dense(trial) for trial in record.trials)
    envs = {trial.config.env.id for trial in record.trials}
    if not has_dense or len(envs) > 1 or len({trial.config.task for trial in record.trials}) == 1:
        return None
    return (
        f"No part of dense's gain is stated: these runs of {envs.pop()} differ in what makes the task (arguments, "
        "action_repeat, time_limit or max_episode_steps). Compare methods within one of them."
    )


def _problem(record: Record, dense: DenseArm, found: list[Outcome]) -> str | None:
    """A compression has looked itself, and ends where its dense arm is no better than random actions."""
    return None if record.kind == "compress" else problem_of(dense, (each.ratio for each in found))


def _all_outcomes(record: Record, dense: DenseArm, name: ScoreName) -> list[Outcome]:
    decided = {_label(each) for each in record.decisions}
    found = [outcome for each in record.decisions if (outcome := _of_decision(record, each, name)) is not None]
    for arm in arms_of(record):
        is_decided = record.kind == "compress" and arm.label in decided
        if _has_score(record, arm, name) and not arm.is_dense and not is_decided:
            found.append(_of_arm(record, arm, dense, name))
    return sorted(found, key=lambda each: -(each.size_ratio or 1 - each.policy_sparsity))


def other_outcomes(record: Record) -> dict[str, Outcome]:
    """Returns label -> the same arm by the score that does not decide, of the arms that have it."""
    return {each.label: each for each in outcomes(record, OTHER[record.score])}


def _has_score(record: Record, arm: Arm, name: ScoreName) -> bool:
    """A compression takes an arm whole, so that the two scores stated of it are of the same runs."""
    scores = arm.by(name)
    return bool(scores) and (record.kind != "compress" or len(scores) == len(arm.by(record.score)))


def _of_decision(record: Record, decision: SizedDecision, name: ScoreName) -> Outcome | None:
    """Returns None where the decision does not say what it comes to by that score."""
    pair = decision.policy_sparsity, decision.critic_sparsity
    said = decision if name == record.score else decision.other
    if said is None:
        return None
    return Outcome(
        label=_label(decision),
        policy_sparsity=pair[0],
        critic_sparsity=pair[1],
        scores=said.scores,
        seeds=decision.seeds,
        ratio=said.ratio,
        interval=said.interval,
        probability=said.probability,
        verdict=decision.verdict,
        size_ratio=decision.size_ratio,
        costs=costs_at(record, *pair, decision.method),
        method=decision.method,
        cost=decision.cost,
        by=name,
    )


def _label(decision: SizedDecision) -> str:
    return network_label(decision.method, pair_label(decision.policy_sparsity, decision.critic_sparsity))


def _of_arm(record: Record, arm: Arm, dense: DenseArm, name: ScoreName) -> Outcome:
    costs = _measured_costs(arm) or _costs(record, arm.trials[0].config)
    scores = arm.by(name)
    ratio, interval, probability = _estimate(record, scores, dense, name)
    return Outcome(
        label=arm.label,
        policy_sparsity=arm.policy_sparsity,
        critic_sparsity=arm.critic_sparsity,
        scores=scores,
        seeds=len(scores),
        ratio=ratio,
        interval=interval,
        probability=probability,
        verdict=UNDECIDED,
        size_ratio=costs.size_ratio if costs else None,
        costs=costs,
        method=method_label(arm.trials[0].changes) if record.kind == "compress" else None,
        by=name,
    )


def _estimate(
    record: Record, scores: tuple[float, ...], dense: DenseArm, name: ScoreName
) -> tuple[float, Interval | None, float | None]:
    of_dense = dense_scores(dense.seeds, name)
    statistic: Any = record.protocol.get("statistic", "iqm")
    if dense.random is not None and min(len(scores), len(of_dense)) >= FEWEST_SEEDS:
        try:
            return estimate_ratio(scores, of_dense, dense.random, record.threshold, statistic)
        except RunFailed:  # dense is no better than random, which the ratio says too
            pass
    return ratio_of(dense, statistic_of(scores, statistic)), None, None


def _measured_costs(arm: Arm) -> Costs | None:
    """As the runs themselves gave them."""
    result = arm.trials[0].result
    return Costs(*(float(result[name]) for name in Costs._fields)) if result.keys() >= set(Costs._fields) else None


def costs_at(record: Record, policy_sparsity: float, critic_sparsity: float, method: str | None = None) -> Costs | None:
    """Returns those of a network that some trial has, or would have had; None where that is not known."""
    sparse = [
        trial.config for trial in record.trials if not is_dense(trial) and method in (None, method_label(trial.changes))
    ]
    if not sparse:
        return None
    sparsity = sparse[0].sparsity.model_copy(update={"policy": policy_sparsity, "critic": critic_sparsity})
    return _costs(record, sparse[0].model_copy(update={"sparsity": sparsity}))


def _costs(record: Record, config: ExperimentConfig) -> Costs | None:
    plan = plan_of(record, config)
    return relative_costs(config, plan) if plan else None


def plan_of(record: Record, config: ExperimentConfig) -> AgentPlan | None:
    """Returns the layers of a trial; None where the sizes of observation and action are not known."""
    of_id = record.spaces_of.get(config.env.id, record.spaces)  # as earlier versions kept them
    spaces = record.spaces_of.get(config.env.key, of_id) or known().get(config.env.key)
    if spaces is None:
        return None
    try:
        return plan_agent(config, spaces.observation_size, spaces.action_size)
    except BadInput:  # sizes of another environment
        return None


def probability_words(probability: float) -> str:
    """Returns two digits, and never a certainty that a bootstrap cannot give."""
    if probability > 0.995:
        return "over .99"
    return "under .01" if probability < 0.005 else f"{probability:.2f}".removeprefix("0")
