"""Windows against a table worked by hand, and against the blackboard reference on random streams."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlx2_ray.replay.lane import Lane
from rlx2_ray.replay.windows import gather_windows
from rlx2_ray.types import Batch, Fragment
from tests.replay.reference import ReferenceBuffer, Window
from tests.replay.streams import LANES, FragmentSource, Operation, make_buffer, operations, perform


def counting_fragment(time: int, steps: int, starts: bool, terminated: bool, truncated: bool) -> Fragment:
    """Observation i is i, action i is -i, and transition i is rewarded with 10 ** i, i being the time."""
    times = np.arange(time, time + steps + 1, dtype=np.float32)[:, None]
    actions = -times[:-1]
    rewards = np.float32(10) ** times[:-1, 0]
    return Fragment(0, time, starts, times, actions, actions, rewards, terminated, truncated)


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
    lane.insert(counting_fragment(0, 4, True, ending == "terminated", ending == "truncated"))
    if ending != "open":  # what comes after must not be seen
        lane.insert(counting_fragment(5, 3, True, False, False))
    batch = gather_windows(lane, np.array([start]), n_step=3, every_step=True)
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
        batch = gather_windows(lane, lane.oldest(lane.size), n_step, every_step=True)
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
        whole = gather_windows(lane, starts, n_step, every_step=True)
        short = gather_windows(lane, starts, n_step, every_step=False)
        np.testing.assert_array_equal(short.next_observations, whole.next_observations[:, -1:])
