"""Schedules as tables. RigL's: drop fraction 0.5, events every 100 calls, ended at call 400."""

from __future__ import annotations

import math

import pytest

from rlx2_ray.sparse.schedule import PruningSchedule, TopologySchedule

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


def test_a_constant_schedule_drops_the_same_fraction_at_every_event() -> None:
    schedule = TopologySchedule(interval=100, end_call=400, initial_drop_fraction=0.05, is_annealed=False)
    assert [schedule.drop_fraction(call) for call in (100, 200, 300)] == [0.05] * 3


def test_no_event_before_the_start() -> None:
    schedule = TopologySchedule(interval=100, end_call=400, initial_drop_fraction=0.5, start_call=150)
    assert [call for call in range(1, 500) if schedule.is_update(call)] == [200, 300]


PRUNING = PruningSchedule(interval=30, start_call=100, end_call=200)


def test_pruning_ends_at_its_end_whatever_the_interval() -> None:
    assert [call for call in range(1, 400) if PRUNING.is_update(call)] == [120, 150, 180, 200]


@pytest.mark.parametrize(
    ("call", "fraction"),
    [(0, 0), (100, 0), (120, 1 - 0.8**3), (150, 1 - 0.5**3), (180, 1 - 0.2**3), (200, 1), (300, 1)],
)
def test_pruning_follows_the_cubic(call: int, fraction: float) -> None:
    assert PRUNING.fraction(call) == pytest.approx(fraction)


def test_pruning_that_starts_at_its_end_is_at_once() -> None:
    schedule = PruningSchedule(interval=30, start_call=100, end_call=100)
    assert [schedule.fraction(call) for call in (99, 100)] == [0, 1]
