"""What the runs of a decision say by the score that does not decide it; the scores are made by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rlx2_ray.search.decision import Decision
from rlx2_ray.search.ledger import Request, Tell
from rlx2_ray.search.search import Search
from rlx2_ray.search.statistics import arm_interval, estimate_ratio
from rlx2_ray.sweep.compression.other_score import OtherScore, counted_tells
from tests.search.searches import LINE, RANDOM, line_search

PAIR = LINE[3]
DENSE = [100.0, 110.0, 90.0, 100.0, 104.0, 96.0, 101.0, 99.0]
SPARSE = [98.0, 103.0, 95.0, 101.0]


def lifted(request: Request, score: float) -> float:
    """The deployed gain is twice the other one, and a sparse run's three times."""
    return RANDOM + (2 if request.purpose == "dense" else 3) * (score - RANDOM)


def told(sparse: list[tuple[str, float | None]]) -> tuple[Search, dict[Request, float]]:
    """A search that was told of the dense arm and of these runs; and the deployed scores of all."""
    search, deployed = line_search(), {}
    runs = [(Request(0.0, 0.0, seed, "dense"), score) for seed, score in enumerate(DENSE)]
    runs += [(Request(*PAIR, 1000 * (purpose == "confirm") + k, purpose), score) for k, (purpose, score) in
             enumerate(sparse)]  # type: ignore[arg-type]  # fmt: skip
    for request, score in runs:
        if score is None:
            search.fail(request)
        else:
            search.tell(request, score)
            deployed[request] = lifted(request, score)
    return search, deployed


def decision_of(scores: list[float]) -> Decision:
    return Decision(*PAIR, tuple(scores), 0.99, (0.9, 1.1), 0.8, "inconclusive")


def other(score_of: Callable[[Request], float | None]) -> OtherScore:
    return OtherScore("deployed", score_of)


def test_ratio_is_that_of_the_same_runs() -> None:
    search, deployed = told([("confirm", score) for score in SPARSE])
    found = other(deployed.get).of_decision(search, decision_of(SPARSE))
    dense = [RANDOM + 2 * (score - RANDOM) for score in DENSE]
    sparse = [RANDOM + 3 * (score - RANDOM) for score in SPARSE]
    assert found is not None
    assert (found.score, found.scores) == ("deployed", tuple(sparse))
    assert (found.ratio, found.interval, found.probability) == estimate_ratio(sparse, dense, RANDOM)
    assert found.ratio == pytest.approx(1.5 * estimate_ratio(SPARSE, DENSE, RANDOM).ratio)


def test_dense_arm_by_the_other_score() -> None:
    search, deployed = told([])
    found = other(deployed.get).of_dense(search)
    scores = [RANDOM + 2 * (score - RANDOM) for score in DENSE]
    assert found is not None
    assert found.statistic == pytest.approx(RANDOM + 2 * (100.0 - RANDOM))
    assert found.interval == arm_interval(scores)


@pytest.mark.parametrize("missing", [Request(0.0, 0.0, 3, "dense"), Request(*PAIR, 1002, "confirm")])
def test_one_run_without_it_leaves_nothing_to_state(missing: Request) -> None:
    """No score of another kind stands in for it."""
    search, deployed = told([("confirm", score) for score in SPARSE])
    del deployed[missing]
    assert other(deployed.get).of_decision(search, decision_of(SPARSE)) is None
    assert (other(deployed.get).of_dense(search) is None) == (missing.purpose == "dense")


def test_dense_arm_that_is_no_better_than_random_by_it() -> None:
    search, deployed = told([("confirm", score) for score in SPARSE])
    flat = {request: RANDOM if request.purpose == "dense" else score for request, score in deployed.items()}
    assert other(flat.get).of_decision(search, decision_of(SPARSE)) is None


def test_before_the_first_run() -> None:
    assert other(lambda request: 1.0).of_dense(line_search()) is None


def tells_of(*runs: tuple[str, float | None]) -> list[Tell]:
    return [Tell(Request(*PAIR, k, purpose), score) for k, (purpose, score) in enumerate(runs)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("runs", "scores", "seeds"),
    [
        ([("search", 1.0), ("search", 2.0), ("confirm", 3.0), ("confirm", 4.0)], [3.0, 4.0], [2, 3]),
        ([("search", 1.0), ("search", 2.0), ("confirm", 3.0)], [1.0, 2.0], [0, 1]),
        ([("search", 5.0), ("confirm", 5.0), ("confirm", 5.0)], [5.0, 5.0], [1, 2]),  # fresh seeds before others
        ([("search", 1.0), ("confirm", 3.0)], [3.0, 1.0], [0, 1]),  # of both, where the rule weighs all
        ([("confirm", 3.0), ("confirm", 4.0), ("confirm", 9.0)], [3.0, 4.0], [0, 1]),  # one came after the verdict
        ([("confirm", None), ("confirm", 3.0), ("confirm", None)], [3.0, RANDOM], [0, 1]),  # counts as no return
        ([("confirm", 3.0)], [3.0, 7.0], []),  # not to be told
    ],
)
def test_runs_of_a_decision_are_found_by_their_scores(
    runs: list[tuple[str, float | None]], scores: list[float], seeds: list[int]
) -> None:
    found = counted_tells([*tells_of(*runs), Tell(Request(0.5, 0.0, 9, "confirm"), 3.0)], decision_of(scores), RANDOM)
    assert sorted(tell.request.seed for tell in found) == seeds
