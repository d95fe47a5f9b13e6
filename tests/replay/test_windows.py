"""Windows against a table worked by hand, and against the blackboard reference on random streams."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlx2_ray.kernels.windows import (
    BOUNDARY,
    gather_windows,
    gather_windows_reference,
    mark_boundaries,
)
from rlx2_ray.replay.lane import Lane
from rlx2_ray.replay.windows import empty_batch, gather, live_rows
from rlx2_ray.types import Batch, Fragment
from tests.replay.reference import ReferenceBuffer, Window
from tests.replay.streams import (
    ACTION_SIZE,
    LANES,
    OBSERVATION_SIZE,
    FragmentSource,
    Operation,
    make_buffer,
    operations,
    perform,
    windows_at,
)


def counting_fragment(time: int, steps: int, episode: int, terminated: bool, truncated: bool) -> Fragment:
    """Observation i is i, action i is -i, and transition i is rewarded with 10 ** i, i being the time."""
    times = np.arange(time, time + steps + 1, dtype=np.float32)[:, None]
    actions = -times[:-1]
    rewards = np.float32(10) ** times[:-1, 0]
    return Fragment(0, time, episode, 0, times, actions, actions, rewards, terminated, truncated)


# (ending of the four-step episode) x (start) -> rewards, next observations of every step, length, terminated
TABLE = [
    ("terminated", 1, [10, 100, 1000], [2, 3, 4], 3, True),
    ("terminated", 2, [100, 1000, 0], [3, 4, 4], 2, True),
    ("truncated", 0, [1, 10, 100], [1, 2, 3], 3, False),
    ("truncated", 2, [100, 1000, 0], [3, 4, 4], 2, False),
    ("open", 2, [100, 1000, 0], [3, 4, 4], 2, False),
    ("open", 3, [1000, 0, 0], [4, 4, 4], 1, False),
]


@pytest.mark.parametrize(("ending", "start", "rewards", "next_observations", "length", "terminated"), TABLE)
def test_three_step_window_by_hand(
    ending: str, start: int, rewards: list[int], next_observations: list[int], length: int, terminated: bool
) -> None:
    lane = Lane(1, 1)
    lane.insert(counting_fragment(0, 4, 0, ending == "terminated", ending == "truncated"))
    if ending != "open":  # what comes after must not be seen
        lane.insert(counting_fragment(5, 3, 1, False, False))
    batch = windows_at(lane, np.array([start]), n_step=3, every_step=True)
    assert batch.observations.tolist() == [[start]]
    assert batch.actions.tolist() == [[-start]]
    assert batch.rewards.tolist() == [rewards]
    assert batch.next_observations.tolist() == [[[value] for value in next_observations]]
    assert (batch.lengths.tolist(), batch.terminated.tolist()) == ([length], [terminated])


def assert_window(batch: Batch, index: int, expected: Window, n_step: int) -> None:
    length = len(expected.rewards)
    padding = n_step - length
    assert batch.lengths[index] == length
    assert batch.terminated[index] == expected.terminated
    assert batch.rewards[index].tolist() == expected.rewards + [0.0] * padding
    np.testing.assert_array_equal(batch.observations[index], expected.observation)
    np.testing.assert_array_equal(batch.actions[index], expected.action)
    padded = expected.next_observations + expected.next_observations[-1:] * padding
    np.testing.assert_array_equal(batch.next_observations[index], padded)


@settings(max_examples=150, deadline=None)
@given(operations, st.integers(1, 5), st.integers(1, 40))
def test_every_window_equals_the_reference(stream: list[Operation], n_step: int, capacity: int) -> None:
    buffer, reference, source = make_buffer(capacity), ReferenceBuffer(LANES, capacity), FragmentSource()
    for operation in stream:
        perform(operation, source, buffer, reference)
    for number, lane in buffer.lanes.items():
        batch = windows_at(lane, lane.oldest(lane.size), n_step, every_step=True)
        expected = reference.windows(number, n_step)
        assert len(batch.lengths) == len(expected)
        for index, window in enumerate(expected):
            assert_window(batch, index, window, n_step)


@settings(max_examples=50, deadline=None)
@given(operations, st.integers(1, 5))
def test_bootstrap_observation_alone_is_the_last_of_every_step(stream: list[Operation], n_step: int) -> None:
    buffer, source = make_buffer(capacity=100), FragmentSource()
    for operation in stream:
        perform(operation, source, buffer)
    for lane in buffer.lanes.values():
        starts = lane.oldest(lane.size)
        whole = windows_at(lane, starts, n_step, every_step=True)
        short = windows_at(lane, starts, n_step, every_step=False)
        np.testing.assert_array_equal(short.next_observations, whole.next_observations[:, -1:])


def blank_batch(count: int, n_step: int, every_step: bool) -> Batch:
    """Room in which every number shows that it was not written."""
    batch = empty_batch(count, n_step, every_step, OBSERVATION_SIZE, ACTION_SIZE)
    for array in batch:
        array.fill(-1)
    return batch


def assert_same_windows(left: Batch, right: Batch) -> None:
    for name, one, other in zip(Batch._fields, left, right, strict=True):
        np.testing.assert_array_equal(one, other, name)


@settings(max_examples=150, deadline=None)
@given(operations, st.integers(1, 5), st.booleans(), st.integers(1, 60), st.integers(0, 2**32))
def test_compiled_gather_equals_its_plain_reference(
    stream: list[Operation], n_step: int, every_step: bool, capacity: int, seed: int
) -> None:
    """For numbers of several lanes mixed, and some that are nobody's, whose windows are to stay as they are."""
    buffer, source, generator = make_buffer(capacity), FragmentSource(), np.random.default_rng(seed)
    for operation in stream:
        perform(operation, source, buffer)
    first = int(generator.integers(10))
    numbers, lanes = [np.arange(first)], []
    for lane in buffer.lanes.values():
        lanes.append(live_rows(lane, first))
        numbers.append(lane.oldest(lane.size) - lane.tail + first)
        first += lanes[-1].size
    mixed = generator.permutation(np.concatenate(numbers))
    ours, plain = (blank_batch(len(mixed), n_step, every_step) for _ in range(2))
    for rows in lanes:
        gather([rows], mixed, ours)
        gather_windows_reference(rows, mixed, plain)
    assert_same_windows(ours, plain)
    assert np.count_nonzero(ours.lengths > 0) == buffer.size


@settings(max_examples=50, deadline=None)
@given(operations, st.integers(1, 60))
def test_boundaries_are_marked_in_every_lane(stream: list[Operation], capacity: int) -> None:
    buffer, source = make_buffer(capacity), FragmentSource()
    for operation in stream:
        perform(operation, source, buffer)
    first, expected = 0, []
    lanes = []
    for lane in buffer.lanes.values():
        lanes.append(live_rows(lane, first))
        first += lanes[-1].size
        expected += [lane.columns.flag[row % lane.rows] == BOUNDARY for row in range(lane.tail, lane.head)]
    is_boundary = np.empty(first, np.bool_)
    counts = [mark_boundaries(*rows, np.arange(first), is_boundary) for rows in lanes]
    assert is_boundary.tolist() == expected
    assert counts == [rows.size - lane.size for rows, lane in zip(lanes, buffer.lanes.values(), strict=True)]


@pytest.mark.parametrize("count", [1, 15, 16, 17, 256])
def test_wide_batches_of_a_long_ring_that_wraps_round(count: int) -> None:
    lane, source = Lane(OBSERVATION_SIZE, ACTION_SIZE), FragmentSource()
    for length in (300, 40, 1, 260, 90, 80):
        lane.insert(source.make(length, "terminated"))
        lane.evict_oldest(lane.size - 330)
    assert lane.head // lane.rows > lane.tail // lane.rows
    rows = live_rows(lane, first=0)
    numbers = np.random.default_rng(0).integers(rows.size, size=count)
    ours, plain = (blank_batch(count, 3, True) for _ in range(2))
    gather([rows], numbers, ours)
    gather_windows_reference(rows, numbers, plain)
    assert_same_windows(ours, plain)


def test_windows_of_a_batch_lie_side_by_side() -> None:
    buffer = make_buffer(100)
    buffer.insert(FragmentSource().make(20))
    batch = buffer.sample(8, 3, every_step=True)
    assert batch.observations.shape == (OBSERVATION_SIZE, 8)
    assert batch.next_observations.shape == (3, OBSERVATION_SIZE, 8)
    for array in batch:
        assert array.flags.c_contiguous


def test_every_number_of_windows_has_one_compiled_form() -> None:
    """Another would be compiled in the middle of a run."""
    for lanes, n_step, every_step in ((1, 1, False), (1, 3, True), (2, 3, False), (3, 1, True)):
        buffer, source = make_buffer(100, lanes), FragmentSource()
        for lane in range(lanes):
            buffer.insert(source.make(9, lane=lane))
        buffer.sample(5, n_step, every_step)
    assert len(gather_windows.signatures) == 1
