"""The sentence "this network keeps 97 % of the dense return" as a decision: accepted, rejected, or still open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal, NamedTuple

from rlx2_ray.search.statistics import Interval, Statistic, estimate_ratio

Verdict = Literal["accept", "reject", "inconclusive"]
Basis = Literal["posterior", "bootstrap"]
Pair = tuple[float, float]  # policy sparsity, critic sparsity, each in [0, 1)


class Rule(NamedTuple):
    """When a network is accepted, and how many fresh seeds that may take."""

    threshold: float = 0.97  # of R, the return kept
    accept: float = 0.9  # where Pr(R >= threshold) is at least that
    reject: float = 0.1  # where it is at most that
    statistic: Statistic = "iqm"
    min_seeds: int = 4  # fresh ones, before it is accepted
    max_seeds: int = 12  # fresh ones, where they alone decide: undecided with so many is inconclusive


@dataclass(frozen=True)
class Decision:
    """What is said of one network: what its own seeds came to, and whether it keeps the return."""

    policy_sparsity: float
    critic_sparsity: float
    scores: tuple[float, ...]  # of its seeds, in the environment's units
    ratio: float
    interval: Interval  # of the ratio by these seeds alone, 95 %
    probability: float  # Pr(R >= threshold) by its basis, which is what decides
    verdict: Verdict  # "inconclusive" also while runs may still be added
    # By all runs of the search together, or by its fresh seeds alone where they contradict that: see `check`. Earlier
    # records have neither this nor what follows, and were decided by the bootstrap.
    _: KW_ONLY
    method: str | None = None  # None: the only one
    basis: Basis = "bootstrap"
    own_probability: float | None = None  # Pr(R >= threshold) by its own seeds alone
    fresh: int | None = None  # how many of its seeds had no part in choosing it
    surprise: float | None = None  # Pr(fresh seeds as bad as these), by what was predicted; None: none yet

    @property
    def pair(self) -> Pair:
        return self.policy_sparsity, self.critic_sparsity


def decide(pair: Pair, scores: Sequence[float], dense: Sequence[float], random: float, rule: Rule) -> Decision:
    """Decides by the network's own seeds, at least two, and the dense arm's; `random`: score of a random policy."""
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
