"""A search over methods: each has its curve, all share one dense arm and one budget, and the cheapest wins."""

from __future__ import annotations

import random

import pytest

from rlx2_ray.search.decision import Decision
from rlx2_ray.search.ledger import Request, Tell
from rlx2_ray.search.methods import Methods, MethodSearch
from rlx2_ray.search.search import Search
from tests.search.searches import DENSE, LINE, ScoreOf, line_search, noisy, play

KEEPS = {"good": 0.96, "bad": 0.6}  # up to which sparsity of the policy


def score_of(request: Request) -> float:
    if request.purpose == "dense":
        return DENSE + request.seed
    assert request.method is not None
    collapses = noisy(lambda pair: pair[0] > KEEPS[request.method or ""], 0.01)
    score = collapses(request)
    assert score is not None
    return score


def cost(decision: Decision) -> float:
    """Of "bad" a tenth of what it is of "good"."""
    return (1 - decision.policy_sparsity) * (0.1 if decision.method == "bad" else 1.0)


def methods_search(max_runs: int = 126, concurrency: int = 1, names: tuple[str, ...] = ("good", "bad")) -> MethodSearch:
    def make(name: str, most: int) -> Search:
        return line_search(max_runs=most, concurrency=concurrency)

    return MethodSearch(Methods(names, cost, max_runs, 8), make)


def played(search: MethodSearch, order: random.Random | None = None, score: ScoreOf = score_of) -> list[Request]:
    return play(search, score, order)  # type: ignore[arg-type]


@pytest.mark.parametrize("concurrency", [1, 4])
def test_each_method_has_its_own_best_and_the_cheapest_wins(concurrency: int) -> None:
    search = methods_search(concurrency=concurrency)
    asked = played(search, random.Random(1))
    accepted = [decision for decision in search.decisions() if decision.verdict == "accept"]
    best = {name: max(each.policy_sparsity for each in accepted if each.method == name) for name in KEEPS}
    assert best == {name: max(pair[0] for pair in LINE if pair[0] <= most) for name, most in KEEPS.items()}
    ultimate = search.ultimate()
    assert ultimate is not None
    assert (ultimate.method, ultimate.policy_sparsity) == ("bad", best["bad"])
    assert len(set(asked)) == len(asked) == search.runs, "no run is asked for twice, dense ones neither"
    assert search.is_finished
    assert search.remaining() == 0


def test_one_after_the_other_with_the_dense_arm_of_the_first() -> None:
    search = methods_search()
    order = [request.method for request in played(search) if request.purpose != "dense"]
    assert order == sorted(order, key=["good", "bad"].index)
    dense = [tell.request.seed for tell in search.tells if tell.request.purpose == "dense"]
    assert len(search.dense_scores()) == len(dense) == len(set(dense))


@pytest.mark.parametrize("max_runs", [20, 41])
def test_one_budget_of_which_each_has_its_part(max_runs: int) -> None:
    search = methods_search(max_runs)
    played(search)
    assert len(search.tells) <= max_runs
    own = {name: sum(tell.request.method == name for tell in search.tells) for name in KEEPS}
    assert 0 < own["good"] <= (max_runs - 8) // 2
    assert own["bad"] > 0
    assert own["bad"] <= max_runs - 8 - own["good"]


def test_one_method_is_the_search_that_it_was() -> None:
    alone = line_search()

    def score(request: Request) -> float:
        return score_of(request._replace(method="good") if request.purpose != "dense" else request)

    expected = play(alone, score)
    search = methods_search(alone.options.max_runs, names=("good",))
    asked = played(search, score=score)
    assert [request._replace(method=None) for request in asked] == expected
    stated = [vars(decision) | {"method": None} for decision in search.decisions()]
    assert stated == [vars(decision) for decision in alone.decisions()]


@pytest.mark.parametrize("told", [3, 9, 30, 45, 60])
def test_restored_search_goes_on_as_it_was(told: int) -> None:
    """From any moment, with what was under way handed out first."""
    whole = methods_search(concurrency=3)
    asked: list[Request] = []
    under_way: list[Request] = []
    while not whole.is_finished and len(whole.tells) < told:
        while len(under_way) < 3 and (request := whole.ask()) is not None:
            asked.append(request)
            under_way.append(request)
        request = under_way.pop(0)
        whole.tell(request, score_of(request))
    again = methods_search(concurrency=3)
    again.restore(whole.tells, whole.pending)
    assert [again.ask() for _ in under_way] == under_way
    assert again.ask() == whole.ask()
    assert again.decisions() == whole.decisions()
    assert again.ultimate() == whole.ultimate()
    assert (again.runs, again.remaining(), again.is_finished) == (whole.runs, whole.remaining(), whole.is_finished)


def test_more_runs_go_to_all_that_are_not_sure_yet() -> None:
    """A search that goes on with a greater budget comes back to the methods before."""
    first = methods_search(24)
    played(first)
    more = methods_search(126)
    more.restore(first.tells)
    played(more)
    assert all(any((each.method, each.verdict) == (name, "accept") for each in more.decisions()) for name in KEEPS)
    seeds = [request for request, _ in more.tells]
    assert len(set(seeds)) == len(seeds)


def test_method_of_a_run_whose_turn_has_not_come_begins_with_it() -> None:
    """As where the record is lost, and runs are told in the order in which they ended."""
    search = methods_search()
    late = Request(*LINE[0], 0, "search", "bad")
    search.restore([Tell(late, DENSE), *(Tell(Request(0, 0, seed, "dense"), DENSE + seed) for seed in range(8))])
    assert len(search.dense_scores()) == 8
    request = search.ask()
    assert request is not None
    assert request.method == "good"
