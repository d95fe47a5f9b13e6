"""Fresh masks, whose count is exact whatever the weights are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlx2_ray.sparse import masks
from rlx2_ray.sparse.densities import group_counts

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


@given(st.integers(1, 8), st.integers(1, 8), st.data())
def test_counts_of_units_are_exact(outputs: int, inputs: int, data: st.DataObject) -> None:
    generator = np.random.default_rng(data.draw(st.integers(0, 99)))
    fan_in = data.draw(st.integers(0, inputs))
    assert masks.uniform_of_units((outputs, inputs), fan_in, generator).sum(axis=1).tolist() == [fan_in] * outputs
    counts = generator.integers(0, inputs + 1, outputs)
    scores = generator.integers(-1, 2, (outputs, inputs)).astype(np.float32)
    mask = masks.top_of_units(scores, counts)
    for unit, count in enumerate(counts):
        first = sorted(range(inputs), key=lambda place: -scores[unit, place])[:count]  # Python's sort is stable
        assert np.flatnonzero(mask[unit]).tolist() == sorted(first)


def test_uniform_reaches_every_place_equally_often() -> None:
    generator = np.random.default_rng(0)
    hits = sum(masks.uniform((2, 3), 2, generator).astype(int) for _ in range(3000))
    assert np.abs(hits - 1000).max() < 130  # five standard deviations of a binomial(3000, 1/3)


GROUPED = np.array([[0.1, -0.9, 0.5, 0.5, 0.5, 0.2, -0.3], [0, 0, 0, 0, 0, 0, 0]], np.float32)


@pytest.mark.parametrize(
    ("group", "active"),
    [
        ((1, 2), [[1, 2, 4, 6], [0, 2, 4, 6]]),  # of equals the first; the seventh input is a group alone
        ((2, 4), [[1, 2, 4, 6], [0, 1, 4, 5]]),  # of the last three inputs two live: 2 * 3 / 4, rounded up
        ((1, 4), [[1, 4], [0, 4]]),
        ((4, 4), [[0, 1, 2, 3, 4, 5, 6]] * 2),
        ((1, 8), [[1], [0]]),
    ],
)
def test_largest_in_groups(group: tuple[int, int], active: list[list[int]]) -> None:
    mask = masks.largest_in_groups(GROUPED, group)
    assert [np.flatnonzero(row).tolist() for row in mask] == active


@given(st.integers(1, 8), st.integers(1, 30), st.integers(1, 8), st.data())
def test_every_whole_group_has_exactly_its_number(outputs: int, inputs: int, size: int, data: st.DataObject) -> None:
    lives = data.draw(st.integers(1, size))
    generator = np.random.default_rng(data.draw(st.integers(0, 99)))
    tied = generator.integers(-1, 2, (outputs, inputs)).astype(np.float32)
    mask = masks.largest_in_groups(tied, (lives, size))
    whole = inputs // size * size
    assert (mask[:, :whole].reshape(outputs, -1, size).sum(axis=2) == lives).all()
    assert (mask[:, whole:].sum(axis=1) == -(-lives * (inputs - whole) // size)).all()
    assert mask.sum() == group_counts([(outputs, inputs)], (lives, size))[0]
