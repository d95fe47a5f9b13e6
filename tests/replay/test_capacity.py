"""The dynamic-capacity rule, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from rlx2_ray.replay.capacity import policy_distance, should_shrink, shrink_count


def test_policy_distance_by_hand() -> None:
    current = np.array([[1.0, 0.0], [0.5, -1.0]], np.float32)
    stored = np.array([[0.0, 0.0], [0.5, 1.0]], np.float32)
    # Squares 1, 0, 0, 4; their mean is 1.25.
    assert policy_distance(current, stored) == 0.625


def test_policy_distance_refuses_to_broadcast() -> None:
    with pytest.raises(ValueError, match=r"\(2, 1\) against \(2, 3\)"):
        policy_distance(np.zeros((2, 1), np.float32), np.zeros((2, 3), np.float32))


@pytest.mark.parametrize(
    ("distance", "size", "shrinks"),
    [
        (0.625, 200_000, True),
        (0.2, 200_000, False),  # not beyond the threshold
        (0.625, 100_000, False),  # not beyond the minimum
        (0.625, 100_001, True),  # may go below it: the rule is taken literally
    ],
)
def test_should_shrink(distance: float, size: int, shrinks: bool) -> None:
    assert should_shrink(distance, size, threshold=0.2, min_capacity=100_000) is shrinks


@pytest.mark.parametrize(("size", "dropped"), [(1_000_000, 100_000), (200_019, 20_001), (30, 3), (9, 0)])
def test_a_tenth_is_dropped(size: int, dropped: int) -> None:
    assert shrink_count(size) == dropped
