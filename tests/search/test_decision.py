"""The rule: what is accepted, what is rejected, and when more seeds are wanted."""

from __future__ import annotations

import pytest

from rlx2_ray.search.decision import Decision, Rule, Verdict, decide, verdict_of, wants_seeds

DENSE = [100.0, 102.0, 98.0, 101.0, 99.0, 100.0, 103.0, 97.0]


@pytest.mark.parametrize(
    ("probability", "seeds", "verdict"),
    [
        (0.9, 4, "accept"),
        (0.8999, 4, "inconclusive"),
        (0.1, 4, "reject"),
        (0.1001, 4, "inconclusive"),
        (1.0, 3, "inconclusive"),  # too few to be sure of anything
        (0.0, 2, "inconclusive"),
        (0.5, 16, "inconclusive"),
    ],
)
def test_verdicts(probability: float, seeds: int, verdict: Verdict) -> None:
    assert verdict_of(probability, seeds, Rule()) == verdict


@pytest.mark.parametrize(
    ("scores", "verdict", "more"),
    [
        ([100.0, 101.0, 102.0, 103.0], "accept", False),
        ([90.0, 91.0, 92.0, 93.0], "reject", False),
        ([90.0, 94.0, 99.0, 103.0], "inconclusive", True),
        ([100.0, 101.0], "inconclusive", True),
        ([90.0, 93.0, 94.0, 99.0, 103.0, 104.0], "inconclusive", False),  # at the cap
    ],
)
def test_decisions(scores: list[float], verdict: Verdict, more: bool) -> None:
    rule = Rule(max_seeds=6)
    decision = decide((0.9, 0.8), scores, DENSE, 0.0, rule)
    assert (decision.verdict, wants_seeds(decision, rule)) == (verdict, more)
    assert (decision.pair, decision.scores) == ((0.9, 0.8), tuple(scores))
    assert decision.interval[0] <= decision.ratio <= decision.interval[1]


def test_a_stricter_threshold_is_less_likely() -> None:
    scores = [96.0, 98.0, 97.0, 99.0]
    strict, lax = (decide((0.9, 0.0), scores, DENSE, 0.0, Rule(threshold)) for threshold in (0.99, 0.95))
    assert strict.probability < 0.5 < lax.probability
    assert strict.ratio == lax.ratio


def test_the_score_of_random_counts() -> None:
    """97 of 100 is 97 % of the way from 0, but half of the way from 94."""
    kept: list[Decision] = [decide((0.9, 0.0), [97.0] * 4, [100.0] * 4, random, Rule()) for random in (0.0, 94.0)]
    assert [one.ratio for one in kept] == pytest.approx([0.97, 0.5])
    assert kept[1].verdict == "reject"
