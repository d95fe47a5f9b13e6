"""A compression search in the words of its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rlx2_ray.report.record.record import DenseArm, DenseSeed, PolicyCost, SizedDecision, Ultimate
from rlx2_ray.search.decision import Decision
from rlx2_ray.search.methods import AnySearch
from rlx2_ray.search.statistics import FEWEST_SEEDS, arm_interval, statistic_of
from rlx2_ray.sweep.compression.other_score import OtherScore
from rlx2_ray.sweep.compression.policy import best_trial

OF_DECISION = ("policy_sparsity", "critic_sparsity", "compression", "seeds", "ratio", "low", "high", "probability",
               "verdict")  # fmt: skip
OF_OTHER = ("score", "ratio", "low", "high", "probability")  # by the score that does not decide
DECISIONS_FILE = "decisions.json"  # of the table in MLflow
TABLE = (*OF_DECISION, *(f"other_{name}" for name in OF_OTHER))


def describe_dense(search: AnySearch, known: Mapping[int, DenseSeed], other: OtherScore) -> DenseArm | None:
    """Returns the arm of the runs that the search was told; None before the first of them."""
    scores = search.dense_scores()
    if not scores:
        return None
    statistic = search.options.rule.statistic
    told = {tell.request.seed for tell in search.tells if tell.request.purpose == "dense"}
    return DenseArm(
        tuple(known[seed] for seed in sorted(known.keys() & told)),
        statistic_of(scores, statistic),
        arm_interval(scores, statistic) if len(scores) >= FEWEST_SEEDS else None,
        search.options.random,
        other.of_dense(search),
    )


def describe_decision(
    decision: Decision, search: AnySearch, other: OtherScore, size_ratio: float, cost: PolicyCost | None = None
) -> SizedDecision:
    """`cost`: by the objective, where that is not weights."""
    return SizedDecision(
        **vars(decision),
        seeds=len(decision.scores),
        size_ratio=size_ratio,
        compression=1 / size_ratio,
        other=other.of_decision(search, decision),
        cost=cost,
    )


def describe_ultimate(search: AnySearch, described: Sequence[SizedDecision]) -> Ultimate | None:
    """`described`: all decisions, of which it is one."""
    decision = search.ultimate()
    if decision is None:
        return None
    found = next(each for each in described if (each.method, each.pair) == (decision.method, decision.pair))
    return Ultimate(**vars(found), trial=best_trial(search, found.pair, found.method))


def decisions_table(decisions: Sequence[SizedDecision]) -> dict[str, list[Any]]:
    """Returns column name -> values, a row each; None where the other score is not known."""
    rows = [_row(each) for each in decisions]
    more = [name for name in ("method", "cost") if any(row.get(name) is not None for row in rows)]
    return {name: [row.get(name) for row in rows] for name in (*more, *TABLE)}


def _row(decision: SizedDecision) -> dict[str, Any]:
    other = _with_bounds(vars(decision.other)) if decision.other else {}
    cost = decision.cost.value if decision.cost else None
    return _with_bounds(vars(decision)) | {"cost": cost} | {f"other_{name}": value for name, value in other.items()}


def _with_bounds(fields: Mapping[str, Any]) -> dict[str, Any]:
    low, high = fields["interval"]
    return {**fields, "low": low, "high": high}
