"""The families of curves: where they cross, what collapses, and what a statistic keeps of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rlx2_ray.search.hypotheses import FALLEN_RATIO, Hypotheses, kept_by, line_hypotheses, plane_hypotheses
from rlx2_ray.search.statistics import Statistic, statistic_of

THRESHOLD = 0.97


def crossings(family: Hypotheses, threshold: float) -> list[int]:
    """The sparsest level that keeps the return by each curve, -1 where none does."""
    counted: list[int] = ((family.ratios >= threshold).sum(axis=1) - 1).tolist()
    return counted


@pytest.mark.parametrize("threshold", [0.8, 0.95, 0.97, 1.0, 1.05])
@pytest.mark.parametrize("statistic", ["iqm", "mean"])
def test_curves_cross_everywhere_and_never_rise(threshold: float, statistic: Statistic) -> None:
    family = line_hypotheses(5, threshold, statistic)
    assert set(crossings(family, threshold)) == set(range(-1, 5))
    assert np.all(np.diff(family.ratios, axis=1) <= 1e-12)
    assert family.prior.sum() == pytest.approx(1)
    for shares in (family.fallen, family.lost):
        assert ((shares >= 0) & (shares <= 1)).all()


def test_prior_of_the_sparsest_that_keeps_the_return_is_uniform_but_for_none() -> None:
    family = line_hypotheses(16, THRESHOLD)
    mass = np.bincount(np.array(crossings(family, THRESHOLD)) + 1, weights=family.prior)
    assert mass[1:] == pytest.approx([mass[1]] * 16)
    assert mass[0] == pytest.approx(mass[1] + 0.015)


def test_what_collapses_by_decay_loses_return_and_by_falls_loses_seeds() -> None:
    family = line_hypotheses(16, THRESHOLD)
    falls = family.fallen.any(axis=1)
    assert not family.lost[falls].any()
    assert (family.modes[falls] == family.modes[falls, :1]).all()
    assert (family.ratios[~falls] == family.modes[~falls]).all()
    assert 0.1 < family.prior[falls].sum() < 0.3


@pytest.mark.parametrize(
    ("statistic", "fallen", "kept"),
    [
        ("iqm", 0.25, 1.0),  # a quarter is cut away
        ("iqm", 0.5, 1 - 0.65 / 2),  # half of what is left
        ("iqm", 0.75, 0.35),
        ("mean", 0.1, 1 - 0.065),
        ("mean", 1.0, 0.35),
    ],
)
def test_what_a_statistic_keeps_by_hand(statistic: Statistic, fallen: float, kept: float) -> None:
    assert kept_by(np.array([fallen]), statistic) == pytest.approx([kept])


@given(st.integers(0, 400), st.sampled_from(["iqm", "mean"]))
@settings(deadline=None, max_examples=40)
def test_what_a_statistic_keeps_is_that_of_so_many_seeds(fallen: int, statistic: Statistic) -> None:
    seeds = np.where(np.arange(400) < fallen, FALLEN_RATIO, 1.0)
    assert kept_by(np.array([fallen / 400]), statistic)[0] == pytest.approx(statistic_of(seeds, statistic), abs=1e-9)


def test_surfaces_keep_the_product_of_what_each_axis_keeps() -> None:
    family = plane_hypotheses(4, 3, THRESHOLD)
    surfaces = np.insert(family.ratios, 0, family.ratios.max(axis=1), axis=1).reshape(-1, 5, 4)
    assert family.ratios.shape[1] == 5 * 4 - 1
    flat = family.ratios[family.ratios.min(axis=1) > 0.9 * family.ratios.max(axis=1)]
    assert len(flat)  # some never collapse
    inner = surfaces[:, 1:, 1:]
    plateau = surfaces[:, 1:, :1] * surfaces[:, :1, 1:] / np.where(inner > 0, inner, 1)
    shown = inner > 1e-6
    spread = [stats.variation(plateau[i][shown[i]]) for i in range(len(inner)) if shown[i].sum() > 1]
    assert max(spread) < 1e-6
    assert np.all(np.diff(surfaces[:, 1:, 1:], axis=1) <= 1e-12)
    assert np.all(np.diff(surfaces[:, 1:, 1:], axis=2) <= 1e-12)


def test_surfaces_say_both_that_none_keeps_the_return_and_that_all_do() -> None:
    family = plane_hypotheses(9, 9, THRESHOLD)
    kept = (family.ratios >= THRESHOLD).sum(axis=1)
    assert kept.min() == 0
    assert kept.max() == 99
    assert family.prior.sum() == pytest.approx(1)
