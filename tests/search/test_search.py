"""The search: a noiseless one step by step, and what holds for any scores in any order, in 1-D and 2-D."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlx2_ray.search.ledger import Request
from rlx2_ray.search.levels import line, sparsities
from rlx2_ray.search.search import Search
from rlx2_ray.types import RunFailed
from tests.search.searches import (
    DENSE,
    LEVELS,
    LINE,
    PATIENT,
    RANDOM,
    ScoreOf,
    line_search,
    make_options,
    noisy,
    plane_search,
    play,
    report,
)

KEPT = LEVELS[3]  # the sparsest that keeps the return in most tests
POLICY, CRITIC = LEVELS[4], LEVELS[2]  # that of each axis in 2-D


def test_without_noise_it_finds_the_sparsest_that_keeps_the_return() -> None:
    search = line_search()
    asked = play(search, noisy(lambda pair: pair[0] > KEPT, 0.0))
    assert asked[:8] == [Request(0.0, 0.0, seed, "dense") for seed in range(8)]
    assert asked[8].purpose == "search"
    fresh = [request for request in asked if request.purpose == "confirm"]
    assert fresh == [Request(KEPT, 0.0, seed, "confirm") for seed in range(1000, 1004)]
    ultimate = search.ultimate()
    assert ultimate is not None
    assert (ultimate.pair, ultimate.ratio, ultimate.verdict) == ((KEPT, 0.0), 1.0, "accept")
    assert (ultimate.basis, ultimate.fresh, ultimate.own_probability) == ("posterior", 4, 1.0)
    assert ultimate.probability >= 0.95
    assert search.runs < 30


def test_dense_seeds_that_are_known_are_asked_for_first_and_all_of_them() -> None:
    asked = play(line_search(dense_seeds=3, known_dense=(5, 9)), noisy(lambda pair: False, 0.0), most=4)
    assert [request.seed for request in asked if request.purpose == "dense"] == [5, 9, 0]
    search = line_search(dense_seeds=2, known_dense=(1, 5, 9))
    asked = play(search, noisy(lambda pair: False, 0.0), most=4)
    assert [(request.purpose, request.seed) for request in asked[:3]] == [("dense", 1), ("dense", 5), ("dense", 9)]
    assert asked[3].purpose == "search"
    assert len(search.dense_scores()) == 3


@pytest.mark.parametrize(("make", "most"), [(line_search, 20), (plane_search, 40)])
def test_where_nothing_keeps_the_return_nothing_is_stated(make: Callable[..., Search], most: int) -> None:
    search = make()
    play(search, noisy(lambda pair: pair != (0.0, 0.0), 0.02))
    assert search.is_finished
    assert search.runs < most
    assert search.ultimate() is None
    assert search.decisions()[-1].verdict == "reject"


def test_where_all_keep_it_the_sparsest_is_accepted() -> None:
    search = line_search()
    play(search, noisy(lambda pair: False, 0.0))
    ultimate = search.ultimate()
    assert ultimate is not None
    assert (ultimate.pair, ultimate.verdict) == (LINE[-1], "accept")


def test_fresh_seeds_that_contradict_all_others_decide() -> None:
    """Search seeds are all fine, fresh ones are not above KEPT: what it would accept there is rejected each time."""
    search = line_search()

    def score(request: Request) -> float:
        return RANDOM if request.purpose == "confirm" and request.policy_sparsity > KEPT else DENSE

    play(search, score)
    contradicted = [one for one in search.decisions() if one.basis == "bootstrap"]
    assert contradicted
    assert {one.verdict for one in contradicted} == {"reject"}
    assert all(one.policy_sparsity > KEPT and set(one.scores) == {RANDOM} for one in contradicted)
    ultimate = search.ultimate()
    assert ultimate is not None
    assert ultimate.policy_sparsity <= KEPT


def test_seeds_that_differ_too_much_are_not_accepted_for_what_was_expected() -> None:
    """That the densest network keeps the return is likely before any run; half of its seeds do not learn."""
    search = line_search(max_runs=40)
    play(search, lambda request: DENSE * (0.3 if request.purpose != "dense" and request.seed % 2 else 1.0))
    ultimate = search.ultimate()
    assert ultimate is None or ultimate.verdict == "inconclusive"


def test_the_dense_arm_grows_where_it_tells_more_to_its_cap() -> None:
    search = line_search(max_dense_seeds=12)
    play(search, noisy(lambda pair: pair[0] > KEPT, 0.09))
    assert len(search.dense_scores()) == 12


def test_a_cached_dense_arm_is_not_run() -> None:
    search = line_search()
    for seed in range(8):
        search.tell(Request(0.0, 0.0, seed, "dense"), DENSE)
    assert play(search, noisy(lambda pair: pair[0] > KEPT, 0.0))[0].purpose == "search"


def test_sparse_runs_begin_beside_the_last_dense_ones() -> None:
    search = line_search(concurrency=2)
    for _ in range(7):
        request = search.ask()
        assert request is not None
        search.tell(request, DENSE)
    last, beside = search.ask(), search.ask()
    assert last is not None
    assert beside is not None
    assert (last.purpose, beside.purpose) == ("dense", "search")
    search.tell(beside, DENSE)  # before the dense arm is known
    search.tell(last, DENSE)
    assert search.beliefs[-1].runs == 9


def test_belief_is_of_all_sparse_seeds_that_ended_before_the_last_dense_one() -> None:
    """Once for the two of them, and as if they had come one after the other."""
    together, apart = line_search(concurrency=3), line_search(concurrency=3)
    dense = [Request(0.0, 0.0, seed, "dense") for seed in range(8)]
    sparse = [Request(LEVELS[2], 0.0, seed, "search") for seed in (0, 1)]
    for search, order in ((together, [*dense[:7], *sparse, dense[7]]), (apart, [*dense, *sparse])):
        for request in order:
            search.tell(request, DENSE)
    assert [belief.runs for belief in together.beliefs] == [10]
    assert [belief.runs for belief in apart.beliefs] == [9, 10]
    assert together.beliefs[-1] == apart.beliefs[-1]


def test_a_failed_run_is_replaced_once() -> None:
    """Runs above KEPT always fail: each such network gets a second chance, and later runs count as no return."""
    search = line_search()
    play(search, lambda request: None if request.policy_sparsity > KEPT else DENSE)
    ultimate = search.ultimate()
    assert ultimate is not None
    assert (ultimate.policy_sparsity, ultimate.verdict) == (KEPT, "accept")
    failed = [decision for decision in search.decisions() if decision.policy_sparsity > KEPT]
    assert all(set(decision.scores) == {RANDOM} for decision in failed)


def test_failing_dense_runs_end_it() -> None:
    search = line_search()
    with pytest.raises(RunFailed, match="5 runs of the dense arm"):
        play(search, lambda request: None)


def test_a_dense_arm_that_learned_nothing_ends_it() -> None:
    with pytest.raises(RunFailed, match="no better than a random policy"):
        play(line_search(), lambda request: RANDOM)


def test_a_restored_run_that_is_told_at_once_is_not_handed_out() -> None:
    first, second = line_search(), line_search()
    requests = [first.ask() for _ in range(3)]
    second.restore(first.tells, first.pending)
    told = requests[1]
    assert told is not None
    second.tell(told, DENSE)
    assert [second.ask() for _ in range(2)] == [requests[0], requests[2]]


def test_a_run_is_told_once() -> None:
    search = line_search()
    request = search.ask()
    assert request is not None
    search.tell(request, DENSE)
    with pytest.raises(ValueError, match="told before"):
        search.tell(request, DENSE)


@pytest.mark.parametrize("most", range(0, 60, 3))
def test_a_budget_may_end_it_at_any_time(most: int) -> None:
    search = line_search()
    play(search, noisy(lambda pair: pair[0] > KEPT, 0.09), most=most)
    ultimate = search.ultimate()
    if most >= 8:
        assert len(search.decisions()) <= len(LINE)
    assert ultimate is None or ultimate in [replace(one, verdict=ultimate.verdict) for one in search.decisions()]
    assert search.remaining() >= (0 if search.is_finished else 1)


@pytest.mark.parametrize("options", [{}, PATIENT], ids=["usual", "patient"])
@pytest.mark.parametrize("make", [line_search, plane_search])
def test_what_remains_is_about_what_follows(options: dict[str, object], make: Callable[..., Search]) -> None:
    expected, runs = make(**options).remaining(), []
    for seed in range(8):
        search = make(**options)
        play(search, noisy(lambda pair: max(pair) > KEPT, 0.12, seed=seed))
        runs.append(search.runs)
    assert 0.75 < expected / (sum(runs) / len(runs)) < 1.35


searches = st.fixed_dictionaries(
    {
        "noise": st.sampled_from([0.0, 0.05, 0.3]),
        "failures": st.sampled_from([0.0, 0.05, 0.4]),
        "plane": st.booleans(),
        "at": st.sampled_from([0.0, LEVELS[0], LEVELS[2], LEVELS[5], 1.0]),
        "concurrency": st.integers(1, 9),
        "dense_seeds": st.integers(2, 8),
        "max_runs": st.integers(12, 60),
        "seed": st.integers(0, 1000),
    }
)


def outcome(search: Search) -> tuple[object, ...]:
    return search.tells, search.decisions(), search.ultimate(), search.beliefs, search.is_finished, search.remaining()


def begin(case: dict[str, float]) -> Search:
    keys = ("concurrency", "dense_seeds", "max_runs")
    make = plane_search if case["plane"] else line_search
    return make(**{key: int(case[key]) for key in keys})


def scores(case: dict[str, float]) -> ScoreOf:
    return noisy(lambda pair: max(pair) > case["at"], case["noise"], case["failures"], int(case["seed"]))


@settings(deadline=None, max_examples=40)
@given(searches)
def test_it_ends_within_its_runs_and_asks_for_each_once(case: dict[str, float]) -> None:
    search = begin(case)
    try:
        asked = play(search, scores(case), random.Random(int(case["seed"])))
    except RunFailed:
        return
    assert len(set(asked)) == len(asked) == search.runs <= case["max_runs"]
    assert search.is_finished
    assert search.ask() is None
    assert all(sum(belief.mass) == pytest.approx(1) for belief in search.beliefs)


@settings(deadline=None, max_examples=40)
@given(searches, st.integers(0, 60))
def test_restored_it_goes_on_as_it_would_have(case: dict[str, float], stop: int) -> None:
    original, restored = begin(case), begin(case)
    try:
        play(original, scores(case), random.Random(int(case["seed"])), most=stop)
        pending = original.pending
        restored.restore(original.tells, pending)
        assert outcome(restored) == outcome(original)
        assert [restored.ask() for _ in pending] == pending
        play(original, scores(case), most=10**6)
        play(restored, scores(case), most=10**6)
    except RunFailed:
        return
    assert outcome(restored) == outcome(original)


def test_levels() -> None:
    levels = sparsities(16, 0.5, 0.995)
    assert (len(levels), levels[0], levels[-1]) == (16, 0.5, 0.995)
    densities = [1 - level for level in levels]
    steps = [one / next_one for one, next_one in itertools.pairwise(densities)]
    assert steps == pytest.approx([100 ** (1 / 15)] * 15, rel=0.02)
    assert line("critic", (0.5, 0.9), 2.5) == ((0.0, 0.5), (0.0, 0.9))
    assert line("tied", (0.5, 0.98), 2.5) == ((0.5, 0.0), (0.98, 0.95))


def test_reports_are_the_searchs_own() -> None:
    search = line_search()
    request = search.ask()
    assert request is not None
    report(search, request, None)
    assert search.tells == [(request, None)]
    assert search.options == make_options()


# In 2-D


def test_in_2_d_it_finds_the_smallest_pair() -> None:
    search = plane_search()
    play(search, noisy(lambda pair: pair[0] > POLICY or pair[1] > CRITIC, 0.02))
    ultimate = search.ultimate()
    assert ultimate is not None
    assert (ultimate.pair, ultimate.verdict) == ((POLICY, CRITIC), "accept")
    assert search.runs < 70


def test_in_2_d_both_together_may_cost_more_than_each_alone() -> None:
    """Each may be as sparse as POLICY alone, together one has to be denser, which the product of curves cannot say."""
    search = plane_search()
    play(search, noisy(lambda pair: max(pair) > POLICY or min(pair) > CRITIC, 0.0))
    ultimate = search.ultimate()
    assert ultimate is not None
    assert ultimate.verdict == "accept"
    assert ultimate.pair in ((POLICY, CRITIC), (CRITIC, POLICY))


def test_beliefs_are_of_a_line_only() -> None:
    search = plane_search()
    play(search, lambda request: DENSE, most=20)
    assert search.beliefs == []


# Many at a time


@pytest.mark.parametrize("noise", [0.0, 0.09])
def test_many_at_a_time_take_a_tenth_of_the_rounds_and_hardly_more_runs(noise: float) -> None:
    score = noisy(lambda pair: pair[0] > KEPT, noise)
    one = line_search()
    play(one, score)
    many, rounds = line_search(concurrency=64), 0
    while not many.is_finished:
        asked = list(iter(many.ask, None))
        assert asked, "neither finished nor anything to do"
        for request in asked:
            report(many, request, score(request))
        rounds += 1
    assert many.runs <= 1.5 * one.runs
    assert rounds <= max(one.runs / 7, 6)
    best, of_many = one.ultimate(), many.ultimate()
    assert best is not None
    assert of_many is not None
