"""What record, table and screen say of a search."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from rlx2_ray.report.record.file import to_json
from rlx2_ray.report.record.record import DenseByOther, DenseSeed, RatioByOther, Record, SizedDecision, Ultimate
from rlx2_ray.search.belief import Belief
from rlx2_ray.search.decision import Decision
from rlx2_ray.search.ledger import Request
from rlx2_ray.search.search import Search
from rlx2_ray.sweep.compression.describe import TABLE, decisions_table, describe_decision, describe_dense
from rlx2_ray.sweep.compression.other_score import OtherScore
from rlx2_ray.sweep.compression.policy import best_trial
from rlx2_ray.sweep.compression.words import (
    Cost,
    belief_phrase,
    best_phrase,
    cost_sentence,
    dense_sentence,
    duration,
    lacking_sentence,
    verdict_sentence,
)
from tests.search.searches import LINE, RANDOM, line_search, noisy, play

KEPT = LINE[3]
BY_DEPLOYED = RatioByOther("deployed", (2.0, 3.0, 4.0, 5.0), 1.02, (0.97, 1.08), 0.97)
DECISION = Decision(0.9, 0.8, (1.0, 2.0, 3.0, 4.0), 0.985, (0.94, 1.03), 0.93, "accept")


def tell_dense(search: Search, scores: list[float], cached: int = 0) -> dict[int, DenseSeed]:
    """`cached`: so many of the first are known from before."""
    known = {}
    for seed, score in enumerate(scores):
        search.tell(Request(0.0, 0.0, seed, "dense"), score)
        known[seed] = DenseSeed(seed, score, ((100, score),), cached=seed < cached)
    return known


NONE = OtherScore("deployed", lambda request: None)  # no run has been played


def described(decision: Decision, size: float) -> SizedDecision:
    return describe_decision(decision, line_search(), NONE, size)


def test_dense_arm_before_its_first_seed() -> None:
    assert describe_dense(line_search(), {}, NONE) is None
    known = {0: DenseSeed(0, 1.0, (), cached=True)}
    assert describe_dense(line_search(), known, NONE) is None, "known, but not told yet"


def in_file(**values: Any) -> dict[str, Any]:
    """The content of record.json."""
    content: dict[str, Any] = json.loads(to_json(Record("compress", "x", "running", **values)))
    return content


def test_dense_arm_of_one_seed_has_no_interval() -> None:
    search = line_search()
    arm = describe_dense(search, tell_dense(search, [50.0]), NONE)
    assert arm is not None
    assert in_file(dense=arm)["dense"] == {
        "seeds": [{"seed": 0, "score": 50.0, "curve": [[100, 50.0]], "cached": False}],
        "statistic": 50.0,
        "interval": None,
        "random": RANDOM,
    }
    assert dense_sentence(arm, "final") == (
        "dense score 50.0, 1 seed (0 known from before); deployed score not known of 1 of them; random actions 20.0"
    )


def test_dense_arm_of_several_seeds() -> None:
    """Of four, the interquartile mean leaves the lowest and the highest out."""
    search = line_search()
    arm = describe_dense(search, tell_dense(search, [100.0, 50.0, 60.0, 0.0], cached=2), NONE)
    assert arm is not None
    assert [(seed.seed, seed.cached) for seed in arm.seeds] == [(0, True), (1, True), (2, False), (3, False)]
    assert arm.statistic == 55.0
    assert arm.interval is not None
    assert arm.interval[0] < 55 < arm.interval[1]
    played = replace(arm, other=DenseByOther("deployed", 60.0, (55.0, 66.0)))
    words = "4 seeds (2 known from before); deployed score 60.0 [55.0, 66.0]; random actions 20.0"
    assert dense_sentence(played, "final").endswith(words)
    by_deployed = dense_sentence(replace(played, other=DenseByOther("final", 50.0, None)), "deployed")
    assert by_deployed.startswith("dense deployed score 55.0 [")
    assert by_deployed.endswith("(2 known from before); score 50.0; random actions 20.0")


def test_decision_is_its_fields_and_its_size() -> None:
    assert in_file(decisions=(described(DECISION, 0.16),))["decisions"] == [
        {
            "policy_sparsity": 0.9,
            "critic_sparsity": 0.8,
            "scores": [1.0, 2.0, 3.0, 4.0],
            "ratio": 0.985,
            "interval": [0.94, 1.03],
            "probability": 0.93,
            "verdict": "accept",
            "basis": "bootstrap",
            "own_probability": None,
            "fresh": None,
            "surprise": None,
            "seeds": 4,
            "size_ratio": 0.16,
            "compression": 6.25,
        }
    ]


def test_ultimate_says_where_its_policy_is_once_it_has_one() -> None:
    ultimate = Ultimate(**vars(described(DECISION, 0.16)), trial="p")
    assert in_file(ultimate=ultimate)["ultimate"].keys() - vars(DECISION).keys() == {
        "seeds", "size_ratio", "compression", "trial",
    }  # fmt: skip
    assert in_file(ultimate=replace(ultimate, policy="a", model_version="3"))["ultimate"]["model_version"] == "3"
    assert in_file()["ultimate"] is None


def test_table_has_a_row_a_decision() -> None:
    other = replace(DECISION, ratio=0.5)
    table = decisions_table([described(DECISION, 0.16), described(other, 0.5)])
    assert tuple(table) == TABLE
    assert table["ratio"] == [0.985, 0.5]
    assert (table["low"], table["high"], table["compression"]) == ([0.94, 0.94], [1.03, 1.03], [6.25, 2.0])
    assert table["other_ratio"] == [None, None]
    known = replace(described(DECISION, 0.16), other=BY_DEPLOYED)
    also = {name: values for name, values in decisions_table([known]).items() if name.startswith("other_")}
    assert also == {
        "other_score": ["deployed"], "other_ratio": [1.02], "other_low": [0.97], "other_high": [1.08],
        "other_probability": [0.97],
    }  # fmt: skip


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
def test_believed_are_the_median_and_the_middle_four_fifths(mass: list[float], expected: tuple[float, ...]) -> None:
    belief = Belief(9, (0.6, 0.7, 0.8, 0.9), tuple(mass))
    assert (belief.quantile(0.5), *belief.credible_interval(0.8)) == expected
    median, low, high = expected
    assert belief_phrase(belief, "policy") == f"policy can be {median:.1%} sparse [{low:.1%}, {high:.1%}]"


def test_best_trial_is_the_best_of_the_networks_own() -> None:
    search = line_search()
    play(search, noisy(lambda pair: pair[0] > KEPT[0], 0.01))
    tells = [tell for tell in search.tells if tell.request.arm.pair == KEPT]
    best = max(tells, key=lambda tell: tell.score or 0)
    assert best_trial(search, KEPT) == f"p{KEPT[0]:.4f}-c0.0000-s{best.request.seed}"


def test_best_trial_of_a_negative_return() -> None:
    search = line_search(random=-900.0)
    tell_dense(search, [-100.0 - seed for seed in range(8)])
    for seed, score in enumerate([-300.0, -200.0]):
        search.tell(Request(*KEPT, seed, "search"), score)
    search.fail(Request(*KEPT, 2, "search"))
    assert best_trial(search, KEPT) == f"p{KEPT[0]:.4f}-c0.0000-s1"
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
    assert cost_sentence(cost, 8, 5).endswith("8 dense runs known from an earlier compression or the archive.")


def test_cost_of_fewer_runs_than_the_dense_arm() -> None:
    assert Cost(3, 3, 100, dense_s=10, sparse_s=1, dense_runs=8, at_a_time=1).seconds == 30


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.1, "1 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 hours"), (90_000, "25.0 hours")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_verdict_in_a_sentence() -> None:
    known = replace(described(DECISION, 0.16), other=BY_DEPLOYED)
    assert verdict_sentence(known, "final") == (
        "policy 90.00% / critics 80.00% sparse: accepted, keeps 98.5% [94.0%, 103.0%] of the dense return by 4 seeds, "
        "Pr 0.93 by its fresh seeds alone; by the deployed score 102.0% [97.0%, 108.0%], Pr 0.97"
    )
    assert "rejected" in verdict_sentence(replace(known, verdict="reject"), "final")
    unknown = verdict_sentence(replace(known, other=None), "deployed")
    assert unknown.endswith("fresh seeds alone; final score not known of all runs")


def test_dense_runs_without_the_score_that_decides() -> None:
    assert lacking_sentence(1) == (
        "1 dense run known from before has no deployed score, which decides here: it does not count."
    )
    assert lacking_sentence(8).endswith("have no deployed score, which decides here: they do not count.")


def test_best_so_far() -> None:
    undecided = described(replace(DECISION, verdict="inconclusive"), 0.16)
    assert best_phrase(None) == "none yet"
    assert best_phrase(undecided) == "6.2x smaller, inconclusive"
