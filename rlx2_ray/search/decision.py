"""The sentence "this network keeps 97 % of the dense return" as a decision: accepted, rejected, or more seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from rlx2_ray.search.statistics import Interval, Statistic, estimate_ratio

Verdict = Literal["accept", "reject", "inconclusive"]
Pair = tuple[float, float]  # policy sparsity, critic sparsity, each in [0, 1)


class Rule(NamedTuple):
    """When a network is accepted, and how many seeds that may take."""

    threshold: float = 0.97  # of R, the return kept
    accept: float = 0.9  # where Pr(R >= threshold) is at least that
    reject: float = 0.1  # where it is at most that
    statistic: Statistic = "iqm"
    min_seeds: int = 4  # before any verdict: two or three seeds know too little of their own spread
    max_seeds: int = 12  # undecided with so many is inconclusive


@dataclass(frozen=True)
class Decision:
    """What the seeds of one network say of it."""

    policy_sparsity: float
    critic_sparsity: float
    scores: tuple[float, ...]  # of its seeds, in the environment's units
    ratio: float
    interval: Interval  # of the ratio, 95 %
    probability: float  # Pr(R >= threshold)
    verdict: Verdict  # "inconclusive" also while seeds may still be added

    @property
    def pair(self) -> Pair:
        return self.policy_sparsity, self.critic_sparsity


def decide(pair: Pair, scores: Sequence[float], dense: Sequence[float], random: float, rule: Rule) -> Decision:
    """Decides from at least two seeds of each arm; `random` is the score of a random policy."""
    estimate = estimate_ratio(scores, dense, random, rule.threshold, rule.statistic)
    verdict = verdict_of(estimate.probability, len(scores), rule)
    return Decision(*pair, tuple(scores), estimate.ratio, estimate.interval, estimate.probability, verdict)


def verdict_of(probability: float, seeds: int, rule: Rule) -> Verdict:
    if seeds < rule.min_seeds or rule.reject < probability < rule.accept:
        return "inconclusive"
    return "accept" if probability >= rule.accept else "reject"


def wants_seeds(decision: Decision, rule: Rule) -> bool:
    """Whether it is undecided, and not yet at the cap."""
    return decision.verdict == "inconclusive" and len(decision.scores) < rule.max_seeds
