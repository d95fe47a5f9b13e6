"""The dynamic-capacity rules, worked by hand and against popping one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlx2_ray.replay.capacity import (
    Distances,
    half_squared_distances,
    norm_distances,
    pop_count,
    shrink_count,
    sliding_means,
)
from rlx2_ray.types import Floats

CURRENT = np.array([[1.0, 0.0], [0.5, -1.0], [0.25, -0.5], [1.0, 0.5]], np.float32)
STORED = np.array([[0.0, 0.0], [0.5, 1.0], [0.25, -0.5], [0.25, -0.5]], np.float32)


@pytest.mark.parametrize(
    ("measure", "distances"),
    [
        (half_squared_distances, [1 / 4, 4 / 4, 0, (9 / 16 + 1) / 4]),
        (norm_distances, [1, 2, 0, 5 / 4]),
    ],
)
def test_distances_by_hand(measure: Callable[[Floats, Floats], Distances], distances: list[float]) -> None:
    # The differences are (1, 0), (0, -2), (0, 0) and (3/4, 1).
    assert measure(CURRENT, STORED).tolist() == distances


@pytest.mark.parametrize("measure", [half_squared_distances, norm_distances])
def test_distances_refuse_to_broadcast(measure: Callable[[Floats, Floats], Distances]) -> None:
    with pytest.raises(ValueError, match=r"\(2, 1\) against \(2, 3\)"):
        measure(np.zeros((2, 1), np.float32), np.zeros((2, 3), np.float32))


@pytest.mark.parametrize(
    ("distance", "size", "dropped"),
    [
        (0.625, 1_000_000, 100_000),
        (0.625, 200_019, 20_001),
        (0.2, 200_000, 0),  # not beyond the threshold
        (0.625, 100_000, 0),  # not beyond the minimum
        (0.625, 100_001, 10_000),  # goes below it: the rule is taken literally
    ],
)
def test_a_tenth_is_dropped(distance: float, size: int, dropped: int) -> None:
    assert shrink_count(distance, size, threshold=0.2, min_capacity=100_000) == dropped


def test_a_tenth_of_few_is_none() -> None:
    assert [shrink_count(1.0, size, threshold=0.2, min_capacity=1) for size in (9, 10, 30)] == [0, 1, 3]


@pytest.mark.parametrize(
    ("distances", "means"),
    [
        ([4, 2, 0, 0], [3, 1]),  # the oldest 2 x 2 of more
        ([4, 2, 6], [3, 4]),
        ([4, 2], [3, 2]),  # the second alone: there is no third
        ([4], [4]),
        ([], []),
    ],
)
def test_sliding_means_by_hand(distances: list[float], means: list[float]) -> None:
    assert sliding_means(np.array(distances, np.float64), width=2).tolist() == means


@pytest.mark.parametrize(
    ("means", "size", "popped"),
    [
        ([3, 2, 1, 4], 100, 2),  # 1 is not above the threshold of 1, and ends it though 4 is
        ([1, 2, 2, 2], 100, 0),
        ([2, 2, 2, 2], 100, 4),  # none is close
        ([2, 2, 2, 2], 12, 2),  # down to the minimum of 10
        ([2, 2, 2, 2], 10, 0),
        ([2, 2, 2, 2], 7, 0),  # the minimum was never reached
        ([np.nan, 2, 2, 2], 100, 0),  # a policy that has diverged is no reason to forget
    ],
)
def test_pops_by_hand(means: list[float], size: int, popped: int) -> None:
    assert pop_count(np.array(means, np.float64), size, threshold=1, min_capacity=10) == popped


# Eighths add up without rounding, so that a mean may equal the threshold to the bit.
eighths = st.integers(0, 8).map(lambda number: number / 8)


def pops_one_by_one(distances: list[float], width: int, threshold: float, min_capacity: int) -> int:
    left = list(distances)
    while len(left) > min_capacity and sum(left[:width]) / len(left[:width]) > threshold:
        left.pop(0)
    return len(distances) - len(left)


@given(st.lists(eighths, min_size=1, max_size=40), st.integers(1, 12), eighths, st.integers(1, 45))
def test_one_look_pops_as_one_by_one(distances: list[float], width: int, threshold: float, min_capacity: int) -> None:
    means = sliding_means(np.array(distances[: 2 * width]), width)
    literal = pops_one_by_one(distances, width, threshold, min_capacity)
    assert pop_count(means, len(distances), threshold, min_capacity) == min(literal, len(means))
