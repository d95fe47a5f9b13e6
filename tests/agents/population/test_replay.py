"""Rings of slots against the replay buffer of a run: what is stored, what windows of it are, what is forgotten."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlx2_ray.agents.population.philox import below, key_of
from rlx2_ray.agents.population.replay import Replays, Ring, Transitions, row_bytes
from rlx2_ray.kernels.windows import BOUNDARY, gather_windows_reference
from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.replay.windows import empty_batch, live_rows
from rlx2_ray.types import Batch, Fragment

OBSERVATION, ACTION, ROWS = 2, 1, 7
ENDS = st.sampled_from(["goes on", "goes on", "terminated", "truncated"])
STEPS = st.lists(st.tuples(ENDS, ENDS, ENDS, st.booleans()), min_size=1, max_size=40)


class Experience:
    """Slots beside a buffer each, all numbers different; the last slot rests where it is told to."""

    def __init__(self, capacities: list[int], rows: int = ROWS) -> None:
        slots = len(capacities)
        self.replays = Replays(slots, rows, OBSERVATION, ACTION, "cpu")
        self.replays.capacity[:] = capacities
        self.buffers = [
            ReplayBuffer(OBSERVATION, ACTION, [0], capacity, np.random.default_rng(0)) for capacity in capacities
        ]
        self._next = 0
        self._observation = [self._numbers(OBSERVATION) for _ in capacities]
        self._time, self._episode, self._step = (np.zeros(slots, np.int64) for _ in range(3))

    def _numbers(self, count: int) -> Any:
        self._next += count
        return np.arange(self._next - count, self._next, dtype=np.float32)

    def insert(self, ends: tuple[str, ...]) -> None:
        slots = np.arange(len(ends))
        count = len(slots)
        actions, policy_actions = self._numbers(count).reshape(-1, 1), self._numbers(count).reshape(-1, 1)
        rewards, nexts = self._numbers(count), self._numbers(OBSERVATION * count).reshape(-1, OBSERVATION)
        terminated, truncated = (np.array([end == kind for end in ends]) for kind in ("terminated", "truncated"))
        new = Transitions(
            slots,
            np.array([self._observation[slot] for slot in slots]),
            actions,
            policy_actions,
            rewards,
            nexts,
            terminated,
            truncated,
            self._episode[slots].copy(),
            self._step[slots].copy(),
        )
        self.replays.insert(new)
        for slot in slots:
            observations = np.stack([self._observation[slot], nexts[slot]])
            of_slot = (actions[slot : slot + 1], policy_actions[slot : slot + 1], rewards[slot : slot + 1])
            moment = (0, int(self._time[slot]), int(self._episode[slot]), int(self._step[slot]))
            self.buffers[slot].insert(
                Fragment(*moment, observations, *of_slot, bool(terminated[slot]), bool(truncated[slot]))
            )
            ended = terminated[slot] or truncated[slot]
            self._time[slot] += 1
            self._episode[slot] += ended
            self._step[slot] = 0 if ended else self._step[slot] + 1
            self._observation[slot] = self._numbers(OBSERVATION) if ended else nexts[slot]

    def check(self) -> None:
        for slot, buffer in enumerate(self.buffers):
            lane, ours = buffer.lanes[0], self.replays.counters(slot)
            assert (ours.size, ours.inserted, ours.tail, ours.head) == (lane.size, lane.inserted, lane.tail, lane.head)
            assert (ours.is_open, ours.episode, ours.next_step) == (lane.is_open, lane.episode, lane.next_step)
            for mine, theirs in zip(Ring(self.replays, slot).oldest(3), buffer.oldest(3), strict=True):
                assert np.array_equal(mine, theirs)

    def check_windows(self, n_step: int, longest: int, every_step: bool) -> None:
        """Every window of every slot, also where another slot has fewer transitions."""
        sizes, oldest = self.replays.size, self.replays.inserted - self.replays.size
        numbers = np.arange(max(1, sizes.max())) % np.maximum(1, sizes)[:, np.newaxis]
        found = self.replays.sample(
            torch.from_numpy(numbers), torch.from_numpy(oldest), torch.full((len(sizes),), n_step), longest, every_step
        )
        for slot, buffer in enumerate(self.buffers):
            if not buffer.size:
                continue
            lane = buffer.lanes[0]
            rows = live_rows(lane, 0)
            is_transition = [rows.flag[(rows.tail + row) % lane.rows] != BOUNDARY for row in range(rows.size)]
            expected = empty_batch(len(numbers[slot]), n_step, every_step, OBSERVATION, ACTION)
            gather_windows_reference(rows, np.flatnonzero(is_transition)[numbers[slot]], expected)
            check_equal(expected, type(found)(*(each[slot] for each in found)), n_step)


def check_equal(expected: Batch, found: Any, n_step: int) -> None:
    observations, actions, rewards, nexts, lengths, terminated = (each.numpy() for each in found)
    assert np.array_equal(expected.observations.T, observations)
    assert np.array_equal(expected.actions.T, actions)
    assert np.array_equal(expected.rewards.T, rewards[:, :n_step])
    assert not rewards[:, n_step:].any()
    assert np.array_equal(expected.lengths, lengths)
    assert np.array_equal(expected.terminated, terminated)
    steps = len(expected.next_observations)
    assert np.array_equal(expected.next_observations.transpose(2, 0, 1), nexts[:, :steps])
    assert (nexts[:, steps:] == nexts[:, -1:]).all()


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(1, 4), st.integers(0, 3), st.booleans())
def test_windows_cross_neither_ends_nor_the_head_whatever_was_stored(
    steps: list[tuple[str, str, str, bool]], n_step: int, longer: int, every_step: bool
) -> None:
    experience = Experience([3, 8, 100])
    for *ends, looks in steps:
        experience.insert(tuple(ends))
        if looks:
            experience.check()
            experience.check_windows(n_step, n_step + longer, every_step)


@settings(max_examples=40, deadline=None)
@given(STEPS, st.integers(0, 30), st.integers(1, 30))
def test_what_is_forgotten_or_moved_is_as_in_the_buffer(
    steps: list[tuple[str, str, str, bool]], dropped: int, rows: int
) -> None:
    experience = Experience([6, 100], rows)
    for *ends, drops in steps:
        experience.insert(tuple(ends[:2]))
        if drops:
            Ring(experience.replays, 1).evict_oldest(dropped)
            experience.buffers[1].evict_oldest(dropped)
            for slot in (0, 1):  # written elsewhere, it is the same
                read = experience.replays.read(slot)
                experience.replays.clear(slot)
                experience.replays.write(slot, *read)
        experience.check()
    experience.check_windows(3, 3, every_step=True)


def test_transitions_are_drawn_uniformly_and_final_observations_never() -> None:
    experience = Experience([50, 50])
    for step in range(90):
        experience.insert(("terminated" if step % 3 == 0 else "goes on", "goes on"))
    sizes, oldest = experience.replays.size, experience.replays.inserted - experience.replays.size
    keys = torch.from_numpy(np.stack([key_of(seed, "replay") for seed in (0, 1)]))
    numbers = below(keys, torch.tensor([5, 5]), torch.from_numpy(sizes), 20_000)
    windows = experience.replays.sample(numbers, torch.from_numpy(oldest), torch.tensor([1, 1]), 1, False)
    for slot in (0, 1):
        drawn, counts = np.unique(windows.rewards[slot].numpy(), return_counts=True)
        assert len(drawn) == 50
        assert ((counts - 400) ** 2 / 400).sum() < 85.4  # chi-squared, 49 degrees of freedom: p = .001


def test_bytes_of_a_row_are_those_that_are_there() -> None:
    replays = Replays(3, 11, 5, 2, "cpu")
    tensors = (replays.packed, replays.policy_action, replays.flag, replays.start)
    assert sum(each.numel() * each.element_size() for each in tensors) == 3 * 11 * row_bytes(5, 2)
