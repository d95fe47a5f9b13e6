"""Running moments of observations: by hand, in pieces, far from zero, and what is normalised by them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlx2_ray.networks.moments import Moments
from rlx2_ray.networks.policy_reader import CLIP, LARGEST_SCALE
from rlx2_ray.types import Floats


def rows(*values: list[float]) -> Floats:
    return np.array(values, np.float32)


def test_by_hand() -> None:
    # 1, 3, 8: mean 4, squares 9 + 1 + 16; 10, 10, 10: constant; joined to 0, 4: mean 16/5 and 2*2 + ...
    first, second = Moments.of(rows([1, 10], [3, 10], [8, 10])), Moments.of(rows([0, 10], [4, 10]))
    assert (first.number, first.mean.tolist(), first.squares.tolist()) == (3, [4, 10], [26, 0])
    assert (second.number, second.mean.tolist(), second.squares.tolist()) == (2, [2, 10], [8, 0])
    joined = first.joined(second)
    # (1-3.2)^2 + (3-3.2)^2 + (8-3.2)^2 + (0-3.2)^2 + (4-3.2)^2 = 4.84 + 0.04 + 23.04 + 10.24 + 0.64 = 38.8
    assert joined.number == 5
    assert joined.mean.tolist() == pytest.approx([3.2, 10])
    assert joined.squares.tolist() == pytest.approx([38.8, 0])


def test_what_is_normalised_by_hand() -> None:
    # mean 2, variance 4: (x - 2) / 2
    normalization = Moments.of(rows([0, 7], [4, 7])).normalization()
    given = rows([2, 7], [4, 7.5], [-1, 6], [1000, 7], [-1000, 7])
    assert normalization.apply(given).tolist() == [[0, 0], [1, 0.5], [-1.5, -1], [CLIP, 0], [-CLIP, 0]]
    assert normalization.apply(given[1]).tolist() == [1, 0.5]
    assert normalization.apply(given).dtype == np.float32


def test_nothing_is_changed_before_anything_was_observed() -> None:
    values = rows([1.5, -3])
    assert Moments.none(2).normalization().apply(values).tolist() == values.tolist()
    none = Moments.none(2)
    assert none.joined(none) == none
    one = Moments.of(values)
    assert none.joined(one).mean.tolist() == one.mean.tolist()
    assert none.joined(one).normalization().apply(values).tolist() == [[0, 0]]


@given(
    st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=2), min_size=1, max_size=30),
    st.lists(st.integers(0, 30), max_size=5),
)
def test_pieces_come_to_the_whole(values: list[list[float]], cuts: list[int]) -> None:
    whole = np.array(values, np.float32)
    pieces = [piece for piece in np.split(whole, sorted(min(cut, len(whole)) for cut in cuts)) if len(piece)]
    joined = Moments.none(2)
    for piece in pieces:
        joined = joined.joined(Moments.of(piece))
    assert joined.number == len(whole)
    assert np.allclose(joined.mean, whole.mean(axis=0, dtype=np.float64), rtol=1e-9, atol=1e-6)
    assert np.allclose(joined.squares / len(whole), whole.var(axis=0, dtype=np.float64), rtol=1e-6, atol=1e-3)


def test_a_pressure_far_from_zero_keeps_its_deviation() -> None:
    observed = Moments.none(1)
    values = (101_325 + np.random.default_rng(0).standard_normal((2000, 1))).astype(np.float32)
    for value in values:
        observed = observed.joined(Moments.of(value[None]))
    normalized = observed.normalization().apply(values)
    assert abs(float(normalized.mean())) < 0.01
    assert float(normalized.std()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("constant", [0.0, 0.1, -101_325.7, 1e18])
def test_a_constant_does_no_harm(constant: float) -> None:
    values = np.full((1000, 1), constant, np.float32)
    observed = Moments.none(1)
    for value in values:
        observed = observed.joined(Moments.of(value[None]))
    normalization = observed.normalization()
    assert float(normalization.scale[0]) == 1
    assert abs(float(normalization.apply(values[0])[0])) <= 1e-6 * abs(constant)
    # A little another in a later episode: no jump of CLIP deviations.
    assert float(normalization.apply(values[0] + np.float32(0.5))[0]) == pytest.approx(0.5, abs=0.01 + abs(constant))


@given(st.floats(0, 1e18), st.integers(2, 1000))
def test_scales_are_within_what_files_may_have(spread: float, count: int) -> None:
    scale = Moments(count, np.zeros(1), np.full(1, spread**2 * count)).normalization().scale
    assert 0 < scale[0] <= LARGEST_SCALE
