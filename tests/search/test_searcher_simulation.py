"""The fast version of benchmarks/searcher: the floors that the search has to keep, on fewer searches."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from benchmarks.searcher.grid import RUNS
from benchmarks.searcher.play import Outcome, play_line, play_plane
from benchmarks.searcher.truth import LINE, THRESHOLD, line_world, plane_world

SEARCHES = 40
PLANES = 3


@lru_cache
def lines(noise: float) -> list[Outcome]:
    return [play_line(noise, seed) for seed in range(SEARCHES)]


@lru_cache
def planes(noise: float) -> list[Outcome]:
    return [play_plane(noise, seed) for seed in range(PLANES)]


def share(outcomes: list[Outcome], verdict: str) -> float:
    return float(np.mean([one.verdict == verdict for one in outcomes]))


@pytest.mark.parametrize("noise", [0.05, 0.09])
def test_at_most_one_in_twenty_is_a_bad_pick(noise: float) -> None:
    """Of all that is stated, the inconclusive candidates too."""
    assert sum(one.is_bad for one in lines(noise)) <= SEARCHES / 20


@pytest.mark.slow
def test_in_2_d_no_pick_is_bad_and_runs_are_under_a_hundred() -> None:
    assert not any(one.is_bad for one in planes(0.09))
    assert max(one.runs for one in planes(0.09)) < 100
    assert share(planes(0.09), "accept") >= 0.6


@pytest.mark.parametrize("noise", [0.05, 0.09])
def test_runs_are_under_half_of_the_grid(noise: float) -> None:
    assert RUNS == 136
    assert max(one.runs for one in lines(noise)) < RUNS / 2


@pytest.mark.parametrize(("noise", "accepted"), [(0.05, 0.75), (0.09, 0.7)])
def test_it_does_come_to_a_verdict(noise: float, accepted: float) -> None:
    assert share(lines(noise), "accept") > accepted


def test_what_is_accepted_is_nearly_as_small_as_can_be() -> None:
    oversize = [one.oversize for one in lines(0.05) if one.verdict == "accept"]
    assert np.exp(np.mean(np.log(oversize))) < 1.4  # a level is a factor of 1.36


def test_beliefs_are_true_about_as_often_as_they_say() -> None:
    stated = [one for noise in (0.05, 0.09) for outcome in lines(noise) for one in outcome.beliefs]
    for low, high in [(0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1)]:
        within = [one for one in stated if low <= one.probability <= high]
        expected = np.mean([one.probability for one in within])
        assert np.mean([one.keeps for one in within]) == pytest.approx(expected, abs=0.2)


def test_the_same_seed_is_the_same_search() -> None:
    assert play_line(0.09, 3)[:5] == lines(0.09)[3][:5]


def test_worlds_are_flat_then_collapse() -> None:
    rng = np.random.default_rng(0)
    ratios = np.array([list(line_world(0.05, rng).ratios.values()) for _ in range(300)])
    assert np.all(np.diff(ratios, axis=1) <= 0)
    kept = (ratios >= THRESHOLD).sum(axis=1)
    assert set(kept) == set(range(len(LINE) + 1))  # every threshold, and none
    assert len(plane_world(0.05, rng).ratios) == 10 * 10 - 1
