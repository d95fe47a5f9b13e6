"""The union of lanes: capacity, order of eviction, and uniform, repeatable sampling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlx2_ray.replay.buffer import ReplayBuffer
from tests.replay.reference import ReferenceBuffer
from tests.replay.streams import LANES, FragmentSource, Insert, Operation, make_buffer, operations, perform
from tests.support.batches import by_window

SOMETHING_TO_SAMPLE = Insert(lane=1, steps=3, ending="open", arrival="next", shares_time=False)


@settings(max_examples=150, deadline=None)
@given(operations, st.integers(1, 40), st.integers(0, 12))
def test_contents_equal_the_reference(stream: list[Operation], capacity: int, count: int) -> None:
    buffer, reference, source = make_buffer(capacity), ReferenceBuffer(LANES, capacity), FragmentSource()
    for operation in stream:
        perform(operation, source, buffer, reference)
        buffer.check_valid()
        assert buffer.size == reference.size
        assert [lane.is_open for lane in buffer.lanes.values()] == [reference.is_open(lane) for lane in range(LANES)]
        assert_oldest(buffer, reference, count)


def assert_oldest(buffer: ReplayBuffer, reference: ReferenceBuffer, count: int) -> None:
    observations, policy_actions, times = buffer.oldest(count)
    expected = reference.oldest(count)
    assert times.tolist() == [transition.time for transition in expected]
    assert observations.tolist() == [transition.observation.tolist() for transition in expected]
    assert policy_actions.tolist() == [transition.policy_action.tolist() for transition in expected]


@settings(max_examples=50, deadline=None)
@given(operations, st.integers(1, 5))
def test_sampled_windows_are_windows_of_the_reference(stream: list[Operation], n_step: int) -> None:
    buffer, reference, source = make_buffer(30), ReferenceBuffer(LANES, 30), FragmentSource()
    for operation in [*stream, SOMETHING_TO_SAMPLE]:
        perform(operation, source, buffer, reference)
    windows = [window for lane in range(LANES) for window in reference.windows(lane, n_step)]
    by_observation = {window.observation.tobytes(): window for window in windows}
    batch = by_window(buffer.sample(20, n_step, every_step=False))
    for index, observation in enumerate(batch.observations):
        window = by_observation[observation.tobytes()]
        assert batch.rewards[index, : batch.lengths[index]].tolist() == window.rewards
        assert batch.actions[index].tolist() == window.action.tolist()
        assert batch.next_observations[index].tolist() == [window.next_observations[-1].tolist()]
        assert batch.terminated[index] == window.terminated


def test_sampling_is_uniform_over_unequal_lanes() -> None:
    buffer, source = make_buffer(capacity=1000), FragmentSource()
    for lane, lengths in ((0, [1] * 20), (1, [60]), (2, [7, 3, 50, 60])):  # every other row of lane 0 is no start
        for length in lengths:
            buffer.insert(source.make(length, "terminated", lane))
    draws = 200 * buffer.size
    _, counts = np.unique(buffer.sample(draws, 1, every_step=False).observations[0], return_counts=True)
    assert len(counts) == buffer.size == 200
    chi_square = np.sum(np.square(counts - 200) / 200)
    assert abs(chi_square - 199) < 4 * np.sqrt(2 * 199)  # mean and deviation of chi-square with 199 degrees


def test_same_generator_same_samples() -> None:
    first, second = make_buffer(50, seed=3), make_buffer(50, seed=3)
    fragment = FragmentSource().make(40)
    for buffer in (first, second):
        buffer.insert(fragment)
    for left, right in zip(first.sample(30, 3, True), second.sample(30, 3, True), strict=True):
        np.testing.assert_array_equal(left, right)


def test_samples_keep_no_memory_of_the_lane_in_their_order() -> None:
    buffer, source = make_buffer(100, lanes=2), FragmentSource()
    for lane in range(2):
        buffer.insert(source.make(20, lane=lane))
    is_second_lane = buffer.sample(200, 1, every_step=False).observations[0] > 100
    assert 60 < np.count_nonzero(np.diff(is_second_lane)) < 140


def test_equal_times_leave_in_the_order_of_the_lanes() -> None:
    buffer, source = make_buffer(100, lanes=2), FragmentSource()
    for lane in range(2):
        buffer.insert(source.make(4, lane=lane, shares_time=True))
    buffer.evict_oldest(3)
    assert [lane.size for lane in buffer.lanes.values()] == [2, 3]


def test_empty_buffer_cannot_be_sampled() -> None:
    with pytest.raises(ValueError, match="empty"):
        make_buffer(10).sample(1, 1, every_step=False)


@pytest.mark.parametrize(("lanes", "capacity"), [(0, 10), (1, 0)])
def test_useless_sizes_are_refused(lanes: int, capacity: int) -> None:
    with pytest.raises(ValueError, match="needs a lane and a capacity"):
        make_buffer(capacity, lanes)
