"""Statistics of few seeds: against scipy, against rliable's own numbers, and worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rlx2_ray.search.statistics import Statistic, arm_interval, estimate_ratio, probability_above, statistic_of
from rlx2_ray.types import RunFailed

SCORES = [3012.5, 2890.0, 3301.25, 514.0, 3155.5, 2987.75, 3220.0, 3098.5]
DENSE = [3100.0, 3010.5, 2890.25, 3205.0, 3055.0, 2975.5, 3150.0, 3020.75]


@pytest.mark.parametrize(
    ("scores", "by_hand"),
    [
        ([5.0], 5.0),
        ([1.0, 2.0], 1.5),
        ([1.0, 2.0, 6.0], 3.0),
        ([0.0, 10.0, 12.0, 99.0], 11.0),
        ([9.0, 1.0, 2.0, 3.0, 4.0, -50.0, 5.0, 6.0], 3.5),
    ],
)
def test_interquartile_mean_by_hand(scores: list[float], by_hand: float) -> None:
    assert statistic_of(scores) == by_hand


@pytest.mark.parametrize(("count", "of_rliable"), [(8, 3063.5625), (5, 3019.3333333333335), (3, 3067.9166666666665)])
def test_interquartile_mean_is_rliables(count: int, of_rliable: float) -> None:
    """`rliable.metrics.aggregate_iqm` 1.2.0; it cannot be installed beside pandas 3."""
    assert statistic_of(SCORES[:count]) == pytest.approx(of_rliable, rel=1e-12)


def test_bootstrap_is_rliables_stretched() -> None:
    """rliable 1.2.0, `StratifiedIndependentBootstrap` of both arms with `aggregate_iqm`, 20 000 resamples."""
    interval, ratio_interval, probability = (2351.06, 3193.81), (0.7713, 1.0566), 0.8677
    stretch = np.sqrt(8 / 7)
    center = statistic_of(SCORES)
    assert arm_interval(SCORES) == pytest.approx(center + stretch * (np.array(interval) - center), abs=15)
    estimate = estimate_ratio(SCORES, DENSE, 20.0)
    assert estimate.ratio == pytest.approx(1.0056169334, abs=1e-9)
    assert estimate.probability == pytest.approx(probability, abs=0.03)
    stretched = estimate.ratio + stretch * (np.array(ratio_interval) - estimate.ratio)
    assert estimate.interval == pytest.approx(stretched, abs=0.01)


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=40))
def test_interquartile_mean_is_scipys(scores: list[float]) -> None:
    assert statistic_of(scores) == pytest.approx(stats.trim_mean(scores, 0.25), abs=1e-9)
    assert statistic_of(scores, "mean") == pytest.approx(np.mean(scores), abs=1e-9)


@pytest.mark.parametrize("statistic", ["iqm", "mean"])
def test_interval_is_scipys_stretched(statistic: Statistic) -> None:
    def of_rows(rows: np.ndarray, axis: int) -> np.ndarray:
        return stats.trim_mean(rows, 0.25 if statistic == "iqm" else 0, axis=axis)

    scores = np.random.default_rng(3).normal(3000, 300, 12)
    theirs = stats.bootstrap(
        (scores,), of_rows, n_resamples=20000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    center = statistic_of(scores, statistic)
    expected = center + np.sqrt(12 / 11) * (np.array(theirs) - center)
    assert arm_interval(scores, statistic) == pytest.approx(expected, abs=20)  # of an interval some 350 wide


def test_ratio_by_hand() -> None:
    estimate = estimate_ratio([19.0] * 4, [20.0] * 8, random=10.0)
    assert estimate.ratio == pytest.approx(0.9)
    assert estimate.interval == pytest.approx((0.9, 0.9))
    assert estimate.probability == 0
    assert estimate_ratio([19.0] * 4, [20.0] * 8, random=10.0, threshold=0.9).probability == 1


def test_probability_is_that_of_the_normal_for_many_seeds() -> None:
    rng = np.random.default_rng(0)
    dense, sparse = rng.normal(100, 10, 400), rng.normal(98, 10, 400)
    error = np.hypot(0.97 * dense.std(ddof=1), sparse.std(ddof=1)) / 20
    expected = stats.norm.cdf((sparse.mean() - 0.97 * dense.mean()) / error)
    assert 0.7 < expected < 0.97
    assert estimate_ratio(sparse, dense, 0.0, statistic="mean").probability == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("seeds", [4, 8, 16])
def test_at_the_threshold_a_tenth_is_accepted(seeds: int) -> None:
    """Networks with exactly R = 0.97: a single look accepts, and rejects, about one in ten."""
    rng = np.random.default_rng(seeds)
    probabilities = np.array(
        [estimate_ratio(rng.normal(0.97, 0.09, seeds), rng.normal(1, 0.09, 8), 0.0).probability for _ in range(400)]
    )
    assert 0.03 < np.mean(probabilities >= 0.9) < 0.15
    assert 0.03 < np.mean(probabilities <= 0.1) < 0.15


def test_one_collapsed_seed_of_eight_does_not_move_the_verdict() -> None:
    dense = [2900.0, 3000.0, 3100.0, 3050.0, 2950.0, 3010.0, 2990.0, 3020.0]
    fine = estimate_ratio([one + 60 for one in dense], dense, 20.0)
    collapsed = estimate_ratio([*(one + 60 for one in dense[:-1]), 30.0], dense, 20.0)
    assert fine.probability > 0.9
    assert collapsed.probability > 0.9
    assert collapsed.ratio == pytest.approx(fine.ratio, abs=0.01)


@given(
    st.lists(st.floats(-100, 100), min_size=2, max_size=10),
    st.lists(st.floats(50, 100), min_size=2, max_size=10),
    st.floats(0.1, 100),
    st.floats(-1000, 1000),
)
def test_units_do_not_matter(sparse: list[float], dense: list[float], scale: float, offset: float) -> None:
    one = estimate_ratio(sparse, dense, 0.0)
    other = estimate_ratio(
        [scale * score + offset for score in sparse], [scale * score + offset for score in dense], offset
    )
    assert other.ratio == pytest.approx(one.ratio, abs=1e-6)
    assert other.interval == pytest.approx(one.interval, abs=1e-5)
    assert one.interval[0] <= one.interval[1]


def test_probability_above_by_hand() -> None:
    """[0, 4] resamples to 2 (1/2) and 2 +- 2 sqrt 2 (1/4 each), [2, 4] to 3 and 3 +- sqrt 2: 1/4 + 1/2 * 1/4."""
    assert probability_above([0.0, 4.0], [2.0, 4.0]) == pytest.approx(0.375, abs=0.03)
    assert probability_above([2.0, 4.0], [0.0, 4.0]) == pytest.approx(0.625, abs=0.03)


def test_arms_that_are_alike_are_even() -> None:
    assert probability_above([7.0, 7.0], [7.0, 7.0, 7.0]) == 0.5


@pytest.mark.parametrize("random", [3100.0, 5000.0])
def test_a_dense_arm_that_learned_nothing_is_said(random: float) -> None:
    with pytest.raises(RunFailed, match="no better than a random policy"):
        estimate_ratio(SCORES, SCORES, random)


@pytest.mark.parametrize(("sparse", "dense"), [([1.0], [1.0, 2.0]), ([1.0, 2.0], [1.0])])
def test_one_seed_has_no_spread(sparse: list[float], dense: list[float]) -> None:
    with pytest.raises(ValueError, match="1 seeds have no spread"):
        estimate_ratio(sparse, dense, 0.0)
