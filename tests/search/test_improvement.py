"""P(A above B) against scipy, and its interval by what it has to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from rlx2_ray.search.improvement import NORMAL_QUANTILE, improvement

scores = st.lists(st.integers(-3, 3).map(float), min_size=2, max_size=9)


@given(scores, scores)
def test_probability_is_scipys_u_over_the_pairs(ones: list[float], others: list[float]) -> None:
    u = mannwhitneyu(ones, others, method="asymptotic").statistic if {*ones, *others} != {ones[0]} else None
    expected = 0.5 if u is None else u / (len(ones) * len(others))
    assert improvement(ones, others).probability == pytest.approx(expected)


@given(scores, scores)
def test_interval_holds_the_probability_and_turns_with_the_arms(ones: list[float], others: list[float]) -> None:
    found, turned = improvement(ones, others), improvement(others, ones)
    assert found.interval is not None
    assert turned.interval is not None
    low, high = found.interval
    assert 0 <= low <= found.probability <= high <= 1
    assert turned.interval == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize(
    ("ones", "others", "probability", "interval"),
    [
        # By hand, of (1 - x) = z^2 / (mn) x (1 + N ((1 - x)/(2 - x) + x/(1 + x))): at .3855 both sides are .6145.
        ([2.0, 3.0], [0.0, 1.0], 1.0, (0.3855, 1.0)),
        ([2.0, 3.0, 4.0, 5.0], [0.0, 1.0, -1.0, -2.0], 1.0, (0.5823, 1.0)),
        ([1.0, 3.0], [2.0, 4.0], 0.25, None),
        ([7.0], [7.0], 0.5, None),
    ],
)
def test_small_arms(
    ones: list[float], others: list[float], probability: float, interval: tuple[float, float] | None
) -> None:
    found = improvement(ones, others)
    assert found.probability == probability
    if interval is not None:
        assert found.interval == pytest.approx(interval, abs=5e-4)
        x, pairs, mean = found.interval[0], len(ones) * len(others), len(ones) - 1  # type: ignore[index]
        shape = (1 - x) / (2 - x) + x / (1 + x)
        assert (1 - x) ** 2 == pytest.approx(NORMAL_QUANTILE**2 * x * (1 - x) * (1 + mean * shape) / pairs)


def test_interval_covers_where_a_bootstrap_would_not() -> None:
    """Four seeds each of two normal arms, one and a half deviations apart: P = Phi(1.5 / sqrt 2) = 0.8556."""
    generator, truth, covered = np.random.default_rng(0), 0.8556, 0
    for _ in range(400):
        low, high = improvement(generator.normal(1.5, 1, 4), generator.normal(0, 1, 4)).interval  # type: ignore[misc]
        covered += low <= truth <= high
    assert covered / 400 > 0.9
