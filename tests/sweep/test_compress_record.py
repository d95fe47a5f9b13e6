"""What record, table and screen say of a search."""

from __future__ import annotations

import json

import pytest

from rlx2_ray.search.decision import Decision
from rlx2_ray.search.ledger import Request
from rlx2_ray.search.search import Search
from rlx2_ray.sweep.compression.dense_cache import Outcome
from rlx2_ray.sweep.compression.policy import best_trial
from rlx2_ray.sweep.compression.record import TABLE, decisions_table, describe_decision, describe_dense
from rlx2_ray.sweep.compression.words import (
    Cost,
    believed_range,
    best_phrase,
    cost_sentence,
    dense_sentence,
    duration,
    verdict_sentence,
)
from tests.search.searches import RANDOM, line_search, noisy, play

DECISION = Decision(0.9, 0.8, (1.0, 2.0, 3.0, 4.0), 0.985, (0.94, 1.03), 0.93, "accept")


def tell_dense(search: Search, scores: list[float]) -> dict[int, Outcome]:
    outcomes = {}
    for seed, score in enumerate(scores):
        search.tell(Request(0.0, 0.0, seed, "dense"), score)
        outcomes[seed] = Outcome(score, [(100, score)])
    return outcomes


def test_dense_arm_before_its_first_seed() -> None:
    assert describe_dense(line_search(), {}, set()) is None
    assert describe_dense(line_search(), {0: Outcome(1.0, [])}, {0}) is None, "known, but not told yet"


def test_dense_arm_of_one_seed_has_no_interval() -> None:
    search = line_search()
    content = describe_dense(search, tell_dense(search, [50.0]), set())
    assert content == {
        "seeds": [{"seed": 0, "score": 50.0, "curve": [(100, 50.0)], "cached": False}],
        "statistic": 50.0,
        "interval": None,
        "random": RANDOM,
    }
    assert dense_sentence(content) == "dense score 50.0, 1 seed (0 known from before); random actions 20.0"


def test_dense_arm_of_several_seeds() -> None:
    """Of four, the interquartile mean leaves the lowest and the highest out."""
    search = line_search()
    content = describe_dense(search, tell_dense(search, [100.0, 50.0, 60.0, 0.0]), {1, 2})
    assert content is not None
    assert [(seed["seed"], seed["cached"]) for seed in content["seeds"]] == [
        (0, False),
        (1, True),
        (2, True),
        (3, False),
    ]
    assert content["statistic"] == 55.0
    low, high = content["interval"]
    assert low < 55 < high
    assert dense_sentence(content).endswith("4 seeds (2 known from before); random actions 20.0")


def test_decision_is_its_fields_and_its_size() -> None:
    content = json.loads(json.dumps(describe_decision(DECISION, 0.16)))
    assert content == {
        "policy_sparsity": 0.9,
        "critic_sparsity": 0.8,
        "scores": [1.0, 2.0, 3.0, 4.0],
        "ratio": 0.985,
        "interval": [0.94, 1.03],
        "probability": 0.93,
        "verdict": "accept",
        "seeds": 4,
        "size_ratio": 0.16,
        "compression": 6.25,
    }


def test_table_has_a_row_a_decision() -> None:
    table = decisions_table([describe_decision(DECISION, 0.16), describe_decision(DECISION._replace(ratio=0.5), 0.5)])
    assert tuple(table) == TABLE
    assert table["ratio"] == [0.985, 0.5]
    assert (table["low"], table["high"], table["compression"]) == ([0.94, 0.94], [1.03, 1.03], [6.25, 2.0])


@pytest.mark.parametrize(
    ("mass", "expected"),
    [
        ([0.0, 0.0, 1.0, 0.0], (0.8, 0.8, 0.8)),
        ([0.25, 0.25, 0.25, 0.25], (0.7, 0.6, 0.9)),
        ([0.1, 0.4, 0.45, 0.05], (0.7, 0.6, 0.8)),  # a tenth below, a tenth above
        ([0.05, 0.05, 0.05, 0.85], (0.9, 0.7, 0.9)),
        ([0.1, 0.2, 0.3, 0.3999], (0.8, 0.6, 0.9)),  # rounded
    ],
)
def test_believed_range_is_median_and_middle_four_fifths(mass: list[float], expected: tuple[float, ...]) -> None:
    assert believed_range({"levels": [0.6, 0.7, 0.8, 0.9], "mass": mass}) == expected


def test_best_trial_is_the_best_of_the_fresh_seeds() -> None:
    search = line_search()
    play(search, noisy(lambda pair: pair[0] > 0.92, 0.05))
    tells = [tell for tell in search.tells if tell.request.arm.pair == (0.9, 0.0) and tell.request.purpose == "confirm"]
    best = max(tells, key=lambda tell: tell.score or 0)
    assert best_trial(search, (0.9, 0.0)) == f"p0.9000-c0.0000-s{best.request.seed}"


def test_best_trial_of_a_negative_return() -> None:
    search = line_search(random=-900.0)
    tell_dense(search, [-100.0 - seed for seed in range(8)])
    for seed, score in enumerate([-300.0, -200.0]):
        search.tell(Request(0.9, 0.0, seed, "search"), score)
    search.fail(Request(0.9, 0.0, 2, "search"))
    assert best_trial(search, (0.9, 0.0)) == "p0.9000-c0.0000-s1"
    assert best_trial(search, (0.5, 0.0)) is None


def test_cost_in_a_sentence() -> None:
    cost = Cost(runs=40, most_runs=67, steps=20_000, dense_s=120, sparse_s=30, dense_runs=8, at_a_time=2)
    assert (cost.env_steps, cost.seconds) == (800_000, (8 * 120 + 32 * 30) / 2)
    assert cost_sentence(cost, 0) == (
        "Expected: about 40 runs (at most 67) of 20,000 env steps, 2 at a time, in about 16 min (dense run 2 min, "
        "sparse run 30 s)."
    )
    assert cost_sentence(cost, 1).endswith("30 s); 1 dense run known from an earlier compression.")
    assert cost_sentence(cost, 8).endswith("30 s); 8 dense runs known from an earlier compression.")


def test_cost_of_fewer_runs_than_the_dense_arm() -> None:
    assert Cost(3, 3, 100, dense_s=10, sparse_s=1, dense_runs=8, at_a_time=1).seconds == 30


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.1, "1 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 hours"), (90_000, "25.0 hours")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_verdict_in_a_sentence() -> None:
    assert verdict_sentence(DECISION) == (
        "policy 90.00% / critics 80.00% sparse: accepted, keeps 98.5% [94.0%, 103.0%] of the dense return, Pr 0.93, "
        "4 seeds"
    )
    assert "rejected" in verdict_sentence(DECISION._replace(verdict="reject"))


def test_best_so_far() -> None:
    assert best_phrase(None) == "none yet"
    assert best_phrase({"compression": 6.25, "verdict": "inconclusive"}) == "6.2x smaller, inconclusive"
