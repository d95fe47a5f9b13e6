"""What each arm keeps of the dense return, and what it costs: the verdicts of a compression, and arms without one."""

from __future__ import annotations

from typing import Any, NamedTuple

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.report.analysis.arms import Arm, arms_of, dense_arm, is_dense, percent, ratio_of
from rlx2_ray.report.record.record import DenseArm, Record, SizedDecision
from rlx2_ray.search.statistics import FEWEST_SEEDS, Interval, estimate_ratio, statistic_of
from rlx2_ray.sparse.costs import Costs, relative_costs
from rlx2_ray.sparse.plan import AgentPlan, plan_agent
from rlx2_ray.types import BadInput, RunFailed

UNDECIDED = "undecided"
VERDICT_WORDS = {"accept": "accepted", "inconclusive": "inconclusive", "reject": "rejected", UNDECIDED: "no verdict"}
VERDICTS = tuple(VERDICT_WORDS)


class Outcome(NamedTuple):
    """What an arm keeps: R = (sparse - random) / (dense - random); random counts as 0 where it was not measured."""

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


def outcomes(record: Record) -> list[Outcome]:
    """Returns one for each sparse arm that has a score, the largest network first; none where there is no dense arm."""
    dense = dense_arm(record)
    if dense is None:
        return []
    decided = {(each.policy_sparsity, each.critic_sparsity): each for each in record.decisions}
    found = [_of_decision(record, each) for each in record.decisions]
    for arm in arms_of(record):
        is_decided = record.kind == "compress" and (arm.policy_sparsity, arm.critic_sparsity) in decided
        if arm.scores and not arm.is_dense and not is_decided:
            found.append(_of_arm(record, arm, dense))
    return sorted(found, key=lambda each: -(each.size_ratio or 1 - each.policy_sparsity))


def _of_decision(record: Record, decision: SizedDecision) -> Outcome:
    pair = decision.policy_sparsity, decision.critic_sparsity
    return Outcome(
        label=f"{percent(pair[0])} / {percent(pair[1])} %",
        policy_sparsity=pair[0],
        critic_sparsity=pair[1],
        scores=decision.scores,
        seeds=decision.seeds,
        ratio=decision.ratio,
        interval=decision.interval,
        probability=decision.probability,
        verdict=decision.verdict,
        size_ratio=decision.size_ratio,
        costs=costs_at(record, *pair),
    )


def _of_arm(record: Record, arm: Arm, dense: DenseArm) -> Outcome:
    costs = _measured_costs(arm) or _costs(record, arm.trials[0].config)
    ratio, interval, probability = _estimate(record, arm.scores, dense)
    return Outcome(
        label=arm.label,
        policy_sparsity=arm.policy_sparsity,
        critic_sparsity=arm.critic_sparsity,
        scores=arm.scores,
        seeds=len(arm.scores),
        ratio=ratio,
        interval=interval,
        probability=probability,
        verdict=UNDECIDED,
        size_ratio=costs.size_ratio if costs else None,
        costs=costs,
    )


def _estimate(
    record: Record, scores: tuple[float, ...], dense: DenseArm
) -> tuple[float, Interval | None, float | None]:
    dense_scores = [seed.score for seed in dense.seeds]
    statistic: Any = record.protocol.get("statistic", "iqm")
    if min(len(scores), len(dense_scores)) >= FEWEST_SEEDS:
        try:
            return estimate_ratio(scores, dense_scores, dense.random or 0.0, record.threshold, statistic)
        except RunFailed:  # dense is no better than random, which the ratio says too
            pass
    return ratio_of(dense, statistic_of(scores, statistic)), None, None


def _measured_costs(arm: Arm) -> Costs | None:
    """As the runs themselves gave them."""
    result = arm.trials[0].result
    return Costs(*(float(result[name]) for name in Costs._fields)) if result.keys() >= set(Costs._fields) else None


def costs_at(record: Record, policy_sparsity: float, critic_sparsity: float) -> Costs | None:
    """Returns those of a network that some trial has, or would have had; None where that is not known."""
    sparse = [trial.config for trial in record.trials if not is_dense(trial)]
    if not sparse:
        return None
    sparsity = sparse[0].sparsity.model_copy(update={"policy": policy_sparsity, "critic": critic_sparsity})
    return _costs(record, sparse[0].model_copy(update={"sparsity": sparsity}))


def _costs(record: Record, config: ExperimentConfig) -> Costs | None:
    plan = plan_of(record, config)
    return relative_costs(config, plan) if plan else None


def plan_of(record: Record, config: ExperimentConfig) -> AgentPlan | None:
    """Returns the layers of a trial; None where the sizes of observation and action are not known."""
    if record.spaces is None:
        return None
    try:
        return plan_agent(config, record.spaces.observation_size, record.spaces.action_size)
    except BadInput:  # sizes of another environment
        return None


def probability_words(probability: float) -> str:
    """Returns two digits, and never a certainty that a bootstrap cannot give."""
    if probability > 0.995:
        return "over .99"
    return "under .01" if probability < 0.005 else f"{probability:.2f}".removeprefix("0")
