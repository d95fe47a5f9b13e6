"""The made-up experience, and the flat ring that our replay is measured against."""

from __future__ import annotations

import numpy as np
import pytest

from rlx2_ray.bench.experience import EPISODE_STEPS, FRAGMENT_STEPS, Experience
from rlx2_ray.bench.flat_buffer import FlatBuffer
from rlx2_ray.bench.replay import buffer_bytes
from rlx2_ray.distributed.supervisor import CALL_STEPS
from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.types import Spaces

SPACES = Spaces(3, 2, (-1.0,) * 2, (1.0,) * 2)


def test_fragments_are_as_long_as_a_rollout_s() -> None:
    assert FRAGMENT_STEPS == CALL_STEPS
    assert EPISODE_STEPS % FRAGMENT_STEPS == 0


@pytest.mark.parametrize("steps", [1, FRAGMENT_STEPS])
def test_experience_is_whole_episodes_without_a_gap(steps: int) -> None:
    lanes, episodes = 2, 4
    experience = Experience(SPACES, range(lanes))
    buffer = ReplayBuffer(*SPACES[:2], range(lanes), 10**6, np.random.default_rng(0))
    for _ in range(lanes * episodes * EPISODE_STEPS // steps):
        buffer.insert(experience.next(steps))
    buffer.check_valid()
    assert buffer.size == buffer.inserted == experience.time == lanes * episodes * EPISODE_STEPS
    for lane in buffer.lanes.values():
        assert lane.head == episodes * (EPISODE_STEPS + 1), "a boundary row an episode, and no other"
    lengths = buffer.sample(5_000, 2, False).lengths
    assert np.mean(lengths == 1) == pytest.approx(1 / EPISODE_STEPS, abs=0.01)


def test_flat_ring_holds_the_newest_transitions_as_they_were() -> None:
    capacity = 600  # the ring's end lies within a fragment
    experience, flat = Experience(SPACES, [0]), FlatBuffer(*SPACES[:2], capacity, np.random.default_rng(0))
    fragments = [experience.next() for _ in range(28)]
    for fragment in fragments:
        flat.insert(fragment)
    assert flat.size == capacity
    stored = {
        before.tobytes(): (action, reward, after, terminated)
        for fragment in fragments
        for before, action, reward, after, terminated in zip(
            fragment.observations[:-1],
            fragment.actions,
            fragment.rewards,
            fragment.observations[1:],
            [False] * (FRAGMENT_STEPS - 1) + [fragment.terminated],
            strict=True,
        )
    }
    newest = list(stored)[-capacity:]
    batch = flat.sample(10_000)
    for before, *rest in zip(*batch, strict=True):
        assert before.tobytes() in newest
        for value, expected in zip(rest, stored[before.tobytes()], strict=True):
            assert np.array_equal(value, expected)
    assert {before.tobytes() for before in batch.observations} == set(newest)
    assert len({before.tobytes() for before in batch.observations[batch.terminated == 1]}) == 1, "and one cut short"


def test_bytes_of_a_transition() -> None:
    flat = FlatBuffer(*SPACES[:2], 100, np.random.default_rng(0))
    assert flat.bytes_per_transition == 4 * (2 * 3 + 2 + 1 + 1 + 1)
    buffer, experience = ReplayBuffer(*SPACES[:2], [0], 10**6, np.random.default_rng(0)), Experience(SPACES, [0])
    for _ in range(100):
        buffer.insert(experience.next())
    row = 4 * (3 + 2 + 1) + 4 * 2 + 1 + 8  # what a window copies, the policy's action, a flag, a time
    memory = buffer_bytes(buffer)
    assert memory.allocated == row * buffer.lanes[0].rows
    assert memory.used == row * (3_200 + 3_200 // EPISODE_STEPS + 1)  # and the open row
