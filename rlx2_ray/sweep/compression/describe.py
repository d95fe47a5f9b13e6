"""A compression search in the words of its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rlx2_ray.report.record.record import DenseArm, DenseSeed, SizedDecision, Ultimate
from rlx2_ray.search.decision import Decision
from rlx2_ray.search.search import Search
from rlx2_ray.search.statistics import FEWEST_SEEDS, arm_interval, statistic_of
from rlx2_ray.sweep.compression.policy import best_trial

TABLE = ("policy_sparsity", "critic_sparsity", "compression", "seeds", "ratio", "low", "high", "probability", "verdict")


def describe_dense(search: Search, known: Mapping[int, DenseSeed]) -> DenseArm | None:
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
    )


def describe_decision(decision: Decision, size_ratio: float) -> SizedDecision:
    return SizedDecision(
        **vars(decision), seeds=len(decision.scores), size_ratio=size_ratio, compression=1 / size_ratio
    )


def describe_ultimate(search: Search) -> Ultimate | None:
    decision = search.ultimate()
    if decision is None:
        return None
    described = describe_decision(decision, search.size(decision.pair))
    return Ultimate(**vars(described), trial=best_trial(search, decision.pair))


def decisions_table(decisions: Sequence[SizedDecision]) -> dict[str, list[Any]]:
    """Returns column name -> values, a row each."""
    rows = [{**vars(each), "low": each.interval[0], "high": each.interval[1]} for each in decisions]
    return {name: [row[name] for row in rows] for name in TABLE}
