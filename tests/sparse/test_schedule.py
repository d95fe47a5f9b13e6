"""RigL's schedule as a table: drop fraction 0.5, events every 100 calls, ended at call 400."""

from __future__ import annotations

import math

import pytest

from rlx2_ray.sparse.schedule import TopologySchedule

SCHEDULE = TopologySchedule(interval=100, end_call=400, initial_drop_fraction=0.5)


@pytest.mark.parametrize(
    ("call", "is_update"),
    [(1, False), (99, False), (100, True), (101, False), (200, True), (300, True), (400, False), (500, False)],
)
def test_events(call: int, is_update: bool) -> None:
    assert SCHEDULE.is_update(call) is is_update


@pytest.mark.parametrize(
    ("call", "fraction"),
    [(0, 0.5), (100, 0.25 * (1 + math.sqrt(0.5))), (200, 0.25), (300, 0.25 * (1 - math.sqrt(0.5))), (400, 0)],
)
def test_drop_fraction(call: int, fraction: float) -> None:
    assert SCHEDULE.drop_fraction(call) == pytest.approx(fraction)


def test_a_schedule_that_ends_at_once_has_no_event() -> None:
    assert not any(TopologySchedule(1, 0, 0.5).is_update(call) for call in range(1, 10))
