"""The belief over the threshold: what curves are named, what one seed tells, and when it is settled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlx2_ray.search.threshold import (
    initial_posterior,
    is_settled,
    keeps,
    log_student,
    make_hypotheses,
    quantile_level,
)

DENSE = (0.95, 1.05, 1.0, 1.02, 0.98, 1.0, 1.1, 0.9)
THRESHOLD = 0.97


def test_curves_are_named_by_their_threshold() -> None:
    """The sparsest level that still keeps the return, -1 where none does."""
    thresholds, curves, lost, log_prior = make_hypotheses(16, THRESHOLD)
    counted = (curves >= THRESHOLD).sum(axis=1) - 1
    assert counted.tolist() == thresholds.tolist()
    assert set(thresholds) == set(range(-1, 16))
    assert np.all(np.diff(curves, axis=1) <= 0)
    assert ((lost >= 0) & (lost <= 1)).all()
    assert np.exp(log_prior).sum() == pytest.approx(1)


@pytest.mark.parametrize("threshold", [0.8, 0.95, 0.97, 1.0, 1.05])
def test_any_threshold_has_its_curves(threshold: float) -> None:
    thresholds, curves, *_ = make_hypotheses(5, threshold)
    assert ((curves >= threshold).sum(axis=1) - 1).tolist() == thresholds.tolist()


def test_prior_is_uniform_but_for_none() -> None:
    mass = initial_posterior(16, DENSE, THRESHOLD).mass()
    assert mass.sum() == pytest.approx(1)
    assert mass[1:] == pytest.approx([mass[1]] * 16)
    assert mass[0] == pytest.approx(mass[1] + 0.05)


def test_seeds_that_keep_the_return_rule_out_denser_thresholds() -> None:
    belief = initial_posterior(16, DENSE, THRESHOLD)
    for _ in range(4):
        belief = belief.observe(7, 1.0)
    mass = belief.mass()
    assert keeps(mass)[7] > 0.9
    assert mass[8:].sum() > 0.9  # thresholds 7 and sparser
    collapsed = belief.observe(12, 0.1).observe(12, 0.2).mass()
    assert collapsed[13:].sum() < 0.01
    assert keeps(collapsed)[7] > 0.9


def test_one_collapsed_seed_of_four_does_not_decide() -> None:
    belief = initial_posterior(16, DENSE, THRESHOLD)
    for ratio in (1.0, 0.2, 1.02, 0.98):
        belief = belief.observe(7, ratio)
    assert keeps(belief.mass())[7] > 0.5


@given(st.lists(st.tuples(st.integers(0, 7), st.floats(-0.5, 1.5)), min_size=2, max_size=6))
@settings(deadline=None, max_examples=30)
def test_order_does_not_matter(seeds: list[tuple[int, float]]) -> None:
    there = back = initial_posterior(8, DENSE, THRESHOLD)
    for seed, reverse in zip(seeds, reversed(seeds), strict=True):
        there, back = there.observe(*seed), back.observe(*reverse)
    assert there.mass() == pytest.approx(back.mass())
    assert there.level_mass().sum() == pytest.approx(1)


def test_a_noisy_dense_arm_makes_seeds_tell_less() -> None:
    quiet = initial_posterior(16, [0.99, 1.0, 1.01, 1.0], THRESHOLD).observe(7, 0.9)
    noisy = initial_posterior(16, [0.7, 0.9, 1.1, 1.3], THRESHOLD).observe(7, 0.9)
    assert keeps(quiet.mass())[7] < 0.1 < keeps(noisy.mass())[7]


def test_student_by_hand() -> None:
    """-2.5 ln(1 + (2 / 1)^2 / 4) at two scales, and -ln 2 more at scale 2, where it is one scale."""
    by_hand = [-2.5 * np.log(2), -2.5 * np.log(1.25) - np.log(2)]
    assert log_student(np.array([2.0]), np.array([1.0, 2.0])) == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("mass", "median", "settled", "kept"),
    [
        ([0.0, 0.25, 0.25, 0.5, 0.0], 1, True, [1.0, 0.75, 0.5, 0.0]),
        ([0.0, 0.0, 0.0, 0.0, 1.0], 3, True, [1.0, 1.0, 1.0, 1.0]),
        ([1.0, 0.0, 0.0, 0.0, 0.0], 0, True, [0.0, 0.0, 0.0, 0.0]),
        ([0.2, 0.2, 0.2, 0.2, 0.2], 1, False, [0.8, 0.6, 0.4, 0.2]),
        ([0.0, 0.42, 0.15, 0.28, 0.15], 1, True, [1.0, 0.58, 0.43, 0.15]),
    ],
)
def test_what_is_read_off(mass: list[float], median: int, settled: bool, kept: list[float]) -> None:
    """Thresholds -1, 0, 1, 2, 3."""
    shares = np.array(mass)
    assert quantile_level(shares, 0.5) == median
    assert is_settled(shares, 0.85 - 1e-9) == settled
    assert keeps(shares) == pytest.approx(kept)
