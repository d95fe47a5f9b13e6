"""Fresh masks, whose count is exact whatever the weights are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlx2_ray.sparse import masks

WEIGHTS = np.array([[0.1, -0.9, 0.5], [-0.5, 0.0, 0.3]], np.float32)


@pytest.mark.parametrize(
    ("count", "active"),
    [
        (0, []),
        (1, [1]),
        (2, [1, 2]),  # of the two 0.5 the first
        (3, [1, 2, 3]),
        (5, [0, 1, 2, 3, 5]),
        (6, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_largest(count: int, active: list[int]) -> None:
    assert np.flatnonzero(masks.largest(WEIGHTS, count)).tolist() == active


def test_of_many_equals_the_first_are_kept() -> None:
    weights = np.random.default_rng(0).integers(0, 4, 1000).astype(np.float32)
    first = sorted(range(1000), key=lambda place: -weights[place])[:400]  # Python's sort is stable
    assert np.flatnonzero(masks.largest(weights.reshape(20, 50), 400)).tolist() == sorted(first)


@given(st.integers(1, 8), st.integers(1, 8), st.data())
def test_counts_are_exact(outputs: int, inputs: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, outputs * inputs))
    generator = np.random.default_rng(data.draw(st.integers(0, 99)))
    tied = generator.integers(-1, 2, (outputs, inputs)).astype(np.float32)
    for mask in (masks.largest(tied, count), masks.uniform((outputs, inputs), count, generator)):
        assert mask.shape == (outputs, inputs)
        assert mask.sum() == count


def test_uniform_reaches_every_place_equally_often() -> None:
    generator = np.random.default_rng(0)
    hits = sum(masks.uniform((2, 3), 2, generator).astype(int) for _ in range(3000))
    assert np.abs(hits - 1000).max() < 130  # five standard deviations of a binomial(3000, 1/3)
