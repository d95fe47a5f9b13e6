"""The 2-D search: each axis, then the walk; and what holds for any scores in any order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlx2_ray.search.decision import Pair
from rlx2_ray.search.ledger import Request
from rlx2_ray.search.plane import PlaneSearch
from rlx2_ray.types import RunFailed
from tests.search.searches import DENSE, PATIENT, noisy, plane_search, play, size


def pairs_of(requests: list[Request], purpose: str) -> list[Pair]:
    pairs = [(one.policy_sparsity, one.critic_sparsity) for one in requests if one.purpose == purpose]
    return list(dict.fromkeys(pairs))


def test_each_axis_is_searched_with_the_other_dense() -> None:
    search = plane_search()
    asked = play(search, noisy(lambda pair: pair[0] > 0.95 or pair[1] > 0.8, 0.02))
    axes = [pair for pair in pairs_of(asked, "search") if 0.0 in pair]
    assert {pair[0] for pair in axes} > {0.0}
    assert {pair[1] for pair in axes} > {0.0}
    ultimate = search.ultimate()
    assert ultimate is not None
    assert (ultimate.pair, ultimate.verdict) == ((0.95, 0.8), "accept")
    assert search.runs < 60


def test_from_the_pair_it_backs_off_where_that_costs_least() -> None:
    """Alone each may be 0.95, together one has to be less: 0.9 for the policy, which is the smaller network."""
    search = plane_search()
    asked = play(search, noisy(lambda pair: max(pair) > 0.95 or min(pair) > 0.9, 0.0))
    ultimate = search.ultimate()
    assert ultimate is not None
    assert (ultimate.pair, ultimate.verdict) == ((0.9, 0.95), "accept")
    walk = [pair for pair in pairs_of(asked, "search") if 0.0 not in pair]
    assert walk.index((0.95, 0.95)) < walk.index((0.9, 0.95))
    assert size((0.9, 0.95)) < size((0.95, 0.9))


def test_what_is_accepted_has_fresh_seeds_alone() -> None:
    search = plane_search()
    play(search, noisy(lambda pair: max(pair) > 0.8, 0.02))
    ultimate = search.ultimate()
    assert ultimate is not None
    fresh = [told.score for told in search.tells if told.request.arm == ((*ultimate.pair,), "confirm")]
    assert list(ultimate.scores) == fresh


def test_where_nothing_keeps_the_return_it_ends_at_the_dense_network() -> None:
    search = plane_search(max_runs=300)
    play(search, noisy(lambda pair: pair != (0.0, 0.0), 0.0))
    assert search.is_finished
    assert search.runs < 60
    assert search.ultimate() is None


def test_sparser_neighbours_are_tried_after_an_accepted_pair() -> None:
    """Above 0.8 each axis alone collapses, but the two together do not: the walk finds what the axes hid."""
    search = plane_search()
    play(search, noisy(lambda pair: 0.0 in pair and max(pair) > 0.8, 0.0), most=96)
    ultimate = search.ultimate()
    assert ultimate is not None
    assert min(ultimate.pair) >= 0.8
    assert max(ultimate.pair) > 0.8


cases = st.fixed_dictionaries(
    {
        "noise": st.sampled_from([0.0, 0.05, 0.3]),
        "failures": st.sampled_from([0.0, 0.05, 0.4]),
        "at": st.sampled_from([0.5, 0.8, 0.95, 1.0]),
        "concurrency": st.integers(1, 9),
        "max_runs": st.integers(12, 96),
        "seed": st.integers(0, 1000),
    }
)


def begin(case: dict[str, float]) -> PlaneSearch:
    return plane_search(concurrency=int(case["concurrency"]), max_runs=int(case["max_runs"]))


@settings(deadline=None, max_examples=40)
@given(cases, st.integers(0, 90))
def test_it_ends_and_restored_it_goes_on_as_it_would_have(case: dict[str, float], stop: int) -> None:
    score = noisy(lambda pair: max(pair) > case["at"], case["noise"], case["failures"], int(case["seed"]))
    original, restored = begin(case), begin(case)
    try:
        asked = play(original, score, random.Random(int(case["seed"])), most=stop)
        restored.restore(original.tells, original.pending)
        assert restored.ultimate() == original.ultimate()
        assert restored.remaining() == original.remaining()
        again = [restored.ask() for _ in original.pending]
        assert again == ([None] * len(again) if restored.is_finished else original.pending)
        asked += play(original, score)
        play(restored, score)
    except RunFailed:
        return
    assert len(set(asked)) == len(asked) == original.runs <= case["max_runs"]
    assert (restored.tells, restored.decisions()) == (original.tells, original.decisions())
    assert original.is_finished
    assert original.ask() is None


@pytest.mark.parametrize("options", [{}, PATIENT], ids=["usual", "patient"])
def test_what_remains_is_about_what_follows(options: dict[str, object]) -> None:
    expected, runs = plane_search(**options).remaining(), []
    for seed in range(20):
        search = plane_search(**options)
        play(search, noisy(lambda pair: pair[0] > 0.9 or pair[1] > 0.8, 0.09, seed=seed))
        runs.append(search.runs)
    assert 0.75 < expected / (sum(runs) / len(runs)) < 1.35


def test_beliefs_are_of_a_line_only() -> None:
    search = plane_search()
    play(search, lambda request: DENSE, most=20)
    assert search.beliefs == []
