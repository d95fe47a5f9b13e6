"""A compression search in the words of its record: plain values for record.json, the result and MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlx2_ray.search.decision import Decision
from rlx2_ray.search.search import Search
from rlx2_ray.search.statistics import FEWEST_SEEDS, arm_interval, statistic_of
from rlx2_ray.sweep.compression.dense_cache import Outcome

Content = dict[str, Any]
TABLE = ("policy_sparsity", "critic_sparsity", "compression", "seeds", "ratio", "low", "high", "probability", "verdict")


def describe_dense(search: Search, outcomes: Mapping[int, Outcome], cached: set[int]) -> Content | None:
    """None before the first seed. `cached`: the seeds that were measured before."""
    scores = search.dense_scores()
    if not scores:
        return None
    statistic = search.options.rule.statistic
    told = {tell.request.seed for tell in search.tells if tell.request.purpose == "dense"}
    seeds = [
        {"seed": seed, "score": outcome.score, "curve": outcome.curve, "cached": seed in cached}
        for seed, outcome in sorted(outcomes.items())
        if seed in told
    ]
    return {
        "seeds": seeds,
        "statistic": statistic_of(scores, statistic),
        "interval": arm_interval(scores, statistic) if len(scores) >= FEWEST_SEEDS else None,
        "random": search.options.random,
    }


def describe_decision(decision: Decision, size_ratio: float) -> Content:
    content = decision._asdict()
    return {
        **content,
        "seeds": len(decision.scores),
        "size_ratio": size_ratio,
        "compression": 1 / size_ratio,
    }


def decisions_table(decisions: list[Content]) -> dict[str, list[Any]]:
    """Column name -> values, a row each."""
    rows = [{**each, "low": each["interval"][0], "high": each["interval"][1]} for each in decisions]
    return {name: [row[name] for row in rows] for name in TABLE}
