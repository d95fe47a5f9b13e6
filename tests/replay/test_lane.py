"""The ring of one lane: flags, cutting, growth, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from rlx2_ray.kernels.windows import BOUNDARY, STEP, TERMINATED, TRUNCATED
from rlx2_ray.replay.lane import Lane
from tests.replay.streams import ACTION_SIZE, OBSERVATION_SIZE, FragmentSource


def make_lane() -> Lane:
    return Lane(OBSERVATION_SIZE, ACTION_SIZE)


def live_flags(lane: Lane) -> list[int]:
    return [int(lane.columns.flag[row % lane.rows]) for row in range(lane.tail, lane.head)]


def test_flags_of_ended_and_open_episodes() -> None:
    lane, source = make_lane(), FragmentSource()
    lane.insert(source.make(2, "terminated"))
    lane.insert(source.make(1, "truncated"))
    lane.insert(source.make(2, "open"))
    assert live_flags(lane) == [STEP, TERMINATED, BOUNDARY, TRUNCATED, BOUNDARY, STEP, STEP]
    assert (lane.size, lane.is_open) == (5, True)


def test_new_episode_cuts_the_open_one() -> None:
    lane, source = make_lane(), FragmentSource()
    lane.insert(source.make(2))
    lane.insert(source.make(1, arrival="cuts"))
    assert live_flags(lane) == [STEP, TRUNCATED, BOUNDARY, STEP]
    lane.check_valid()


def test_cutting_an_episode_that_is_all_evicted_leaves_nothing_of_it() -> None:
    lane, source = make_lane(), FragmentSource()
    lane.insert(source.make(2))
    lane.evict_oldest(2)
    lane.insert(source.make(1, arrival="cuts"))
    assert live_flags(lane) == [STEP]
    lane.check_valid()


@pytest.mark.parametrize("late", [0, 1, 2])
def test_fragment_that_is_here_already_or_comes_late_is_passed_over(late: int) -> None:
    lane, source = make_lane(), FragmentSource()
    fragments = [source.make(2), source.make(2, "terminated"), source.make(1)]
    for fragment in fragments:
        lane.insert(fragment)
    before = lane.counters()
    lane.insert(fragments[late])
    assert lane.counters() == before
    assert live_flags(lane) == [STEP, STEP, STEP, TERMINATED, BOUNDARY, STEP]


def test_fragment_after_a_gap_begins_anew() -> None:
    lane, source = make_lane(), FragmentSource()
    lane.insert(source.make(2))
    source.make(2)  # lost
    lane.insert(source.make(2))
    assert live_flags(lane) == [STEP, TRUNCATED, BOUNDARY, STEP, STEP]
    assert (lane.size, lane.inserted) == (4, 4)
    lane.check_valid()


def test_lane_counts_all_that_was_inserted() -> None:
    lane, source = make_lane(), FragmentSource()
    lane.insert(source.make(5))
    lane.evict_oldest(3)
    lane.insert(source.make(2))
    assert (lane.size, lane.inserted) == (4, 7)


@pytest.mark.parametrize(("time", "count"), [(0, 0), (10, 0), (11, 1), (13, 3), (20, 3), (21, 4), (99, 5)])
def test_count_before_a_time(time: int, count: int) -> None:
    lane, source = make_lane(), FragmentSource()
    lane.insert(source.make(3)._replace(time=10))
    lane.insert(source.make(2, "terminated")._replace(time=20))
    assert lane.count_before(time) == count


def test_each_observation_is_stored_once() -> None:
    lane, source = make_lane(), FragmentSource()
    lane.insert(source.make(3))
    lane.insert(source.make(2, "terminated"))
    stored = lane.columns.observation[: lane.head]
    assert len(stored) == 5 + 1
    assert len(np.unique(stored)) == stored.size


def test_evicting_moves_the_tail_over_the_boundary() -> None:
    lane, source = make_lane(), FragmentSource()
    lane.insert(source.make(2, "terminated"))
    lane.insert(source.make(2))
    lane.evict_oldest(2)
    assert (lane.tail, lane.head, lane.size) == (3, 5, 2)


def test_memory_follows_use() -> None:
    lane, source = make_lane(), FragmentSource()
    lane.insert(source.make(1))
    assert lane.rows == 2
    for _ in range(100):
        lane.insert(source.make(1))
        lane.evict_oldest(lane.size - 10)
    assert 12 <= lane.rows <= 18


def test_time_that_lags_behind_keeps_the_order() -> None:
    lane, source = make_lane(), FragmentSource()
    lane.insert(source.make(3)._replace(time=100))
    lane.insert(source.make(2)._replace(time=50))
    assert lane.columns.time[lane.oldest(5) % lane.rows].tolist() == [100, 101, 102, 103, 104]
