"""The replay of every slot on the device: rings of rows as in `replay/lane.py`, windows as in `replay/windows.py`.

A row is a transition, or a BOUNDARY: the observation after an episode's last transition, or after the newest one.
Row ids of a slot count up for ever and row id lies at place id % R; rows tail <= id < head are live, and while an
episode is unfinished row `head` is flagged BOUNDARY and holds the observation after the newest transition. So each
observation is stored once, and a window ends just before a BOUNDARY row, which is why none crosses an episode's end or
the ring's head.

Where a lane draws rows until one is a transition, here `start` knows the place of each transition: a draw needs no
second try, whose number would depend on values. The counters are on the host, the rows on the device.

A member has one environment, so the time of a transition is its number: as many env steps were begun before it.

Shapes: P slots, R rows of a ring, O observation, A action, B windows of a slot's batch, n steps of a window.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlx2_ray.agents.population.windows import Windows
from rlx2_ray.kernels.windows import BOUNDARY, STEP, TERMINATED, TRUNCATED
from rlx2_ray.types import Bools, Floats, Indices

GROWTH = 1.25
START_BYTES, FLAG_BYTES, FLOAT_BYTES = 4, 1, 4


class Transitions(NamedTuple):
    """One of each of N slots, which are all different."""

    slots: Indices  # (N,)
    observations: Floats  # (N, O)
    actions: Floats  # (N, A), in [-1, 1], as executed
    policy_actions: Floats  # (N, A), noise-free
    rewards: Floats  # (N,)
    next_observations: Floats  # (N, O), the final one where the episode ended
    terminated: Bools  # (N,)
    truncated: Bools  # (N,)
    episodes: Indices  # (N,), numbers of the member's episodes
    steps: Indices  # (N,), taken in the episode before


class Rows(NamedTuple):
    """The rows of one slot from its tail on, the open one at the head among them; as `replay/columns.py` has them."""

    observation: Floats
    action: Floats
    policy_action: Floats
    reward: Floats
    flag: NDArray[np.uint8]


class Counters(NamedTuple):
    """Of one slot, as in `replay.lane.LaneCounters`."""

    tail: int
    head: int
    size: int
    is_open: bool
    episode: int
    next_step: int
    inserted: int


def row_bytes(observation_size: int, action_size: int) -> int:
    """What a row takes on the device."""
    return FLOAT_BYTES * (observation_size + 2 * action_size + 1) + FLAG_BYTES + START_BYTES


class Replays:
    """Rings of P slots. `capacity` (P,) of transitions may be set; the other counters are public to read."""

    def __init__(self, slots: int, rows: int, observation_size: int, action_size: int, device: str) -> None:
        self.rows, self._sizes, self._device = rows, (observation_size, action_size), device
        self._make(slots, rows)
        zeros = [np.zeros(slots, np.int64) for _ in range(7)]
        self.capacity, self.tail, self.head, self.size, self.inserted, self.episode, self.next_step = zeros
        self.is_open = np.zeros(slots, np.bool_)

    def _make(self, slots: int, rows: int) -> None:
        observation_size, action_size = self._sizes
        width = observation_size + action_size + 1
        self.packed = torch.zeros(slots, rows, width, device=self._device)  # observation, action, reward
        self.policy_action = torch.zeros(slots, rows, action_size, device=self._device)
        self.flag = torch.full((slots, rows), BOUNDARY, dtype=torch.uint8, device=self._device)
        self.start = torch.zeros(slots, rows, dtype=torch.int32, device=self._device)  # of transition k at k % R
        self._host_flag = np.full((slots, rows), BOUNDARY, np.uint8)  # `flag`, for whoever forgets
        self._firsts = torch.arange(slots, device=self._device).unsqueeze(1) * rows  # of each slot, in all rows

    def insert(self, new: Transitions) -> None:
        """Append one transition to each slot, then forget the oldest beyond the capacity."""
        slots = new.slots
        while (self.head[slots] + 2 - self.tail[slots] > self.rows).any():
            self._grow()
        places = self.head[slots] % self.rows
        ends = new.terminated | new.truncated
        flags = np.where(new.terminated, TERMINATED, np.where(new.truncated, TRUNCATED, STEP)).astype(np.uint8)
        self._write(new, places, flags)
        self._host_flag[slots, places] = flags
        self._host_flag[slots, (places + 1) % self.rows] = BOUNDARY
        self.inserted[slots] += 1
        self.size[slots] += 1
        self.head[slots] += 1 + ends
        self.is_open[slots] = ~ends
        self.episode[slots], self.next_step[slots] = new.episodes, new.steps + 1
        for slot in slots[self.size[slots] > self.capacity[slots]]:
            self.evict_oldest(int(slot), int(self.size[slot] - self.capacity[slot]))

    def _write(self, new: Transitions, places: Indices, flags: NDArray[np.uint8]) -> None:
        """What came to the device: a row and the next one of each slot."""
        observation_size, action_size = self._sizes
        count = len(places)
        values = np.zeros((2 * count, observation_size + 2 * action_size + 1), np.float32)
        values[:count] = np.hstack([new.observations, new.actions, new.rewards[:, np.newaxis], new.policy_actions])
        values[count:, :observation_size] = new.next_observations
        first, number = new.slots * self.rows, self.inserted[new.slots]
        in_slot = [places, (places + 1) % self.rows, number % self.rows]
        at = np.concatenate([first + each for each in in_slot])
        where, written = torch.from_numpy(at).to(self._device), torch.from_numpy(values).to(self._device)
        both = where[: 2 * count]
        self.packed.flatten(0, 1)[both] = written[:, : observation_size + action_size + 1]
        self.policy_action.flatten(0, 1)[both[:count]] = written[:count, observation_size + action_size + 1 :]
        flag = np.concatenate([flags, np.full(count, BOUNDARY, np.uint8)])
        self.flag.flatten()[both] = torch.from_numpy(flag).to(self._device)
        self.start.flatten()[where[2 * count :]] = torch.from_numpy(places.astype(np.int32)).to(self._device)

    def evict_oldest(self, slot: int, count: int) -> None:
        """Forget the oldest min(count, size) transitions."""
        count = min(count, int(self.size[slot]))
        if count <= 0:
            return
        self.size[slot] -= count
        tail = 1 + (int(self.tail[slot]) if count == 1 else int(self._oldest(slot, count)[-1]))
        if tail < self.head[slot] and self._host_flag[slot, tail % self.rows] == BOUNDARY:
            tail += 1
        self.tail[slot] = tail

    def oldest(self, slot: int, count: int) -> tuple[Floats, Floats, Indices]:
        """Observations, policy actions and times (N, ...) of the N = min(count, size) oldest transitions."""
        places = torch.from_numpy(self._oldest(slot, count) % self.rows).to(self._device)
        observations = self.packed[slot, places, : self._sizes[0]].cpu().numpy()
        first = int(self.inserted[slot] - self.size[slot])
        return observations, self.policy_action[slot, places].cpu().numpy(), first + np.arange(len(places))

    def _oldest(self, slot: int, count: int) -> Indices:
        """Ids of the oldest min(count, size) transitions; two BOUNDARY rows are never neighbours."""
        tail, head = int(self.tail[slot]), int(self.head[slot])
        ids = np.arange(tail, min(tail + 2 * count, head))
        transitions: Indices = ids[self._host_flag[slot, ids % self.rows] != BOUNDARY]
        return transitions[:count]

    def sample(self, numbers: Tensor, oldest: Tensor, n_step: Tensor, longest: int, every_step: bool) -> Windows:
        """The windows (P, B) that begin at transitions `numbers` (P, B) of each slot, counted from its oldest.

        Args:
            oldest: (P,), how many transitions a slot has forgotten.
            n_step: (P,), the steps that windows of a slot have at most.
            longest: the greatest of them that there can be: the n of `Windows`.
            every_step: whether all next observations are given, K = n, or the last alone, K = 1.
        """
        slots = torch.arange(len(numbers), device=numbers.device).unsqueeze(1)
        places = self.start[slots, (oldest.unsqueeze(1) + numbers) % self.rows].long()
        return self.windows(places, n_step, longest, every_step)

    def windows(self, places: Tensor, n_step: Tensor, longest: int, every_step: bool) -> Windows:
        """The same of the transitions that lie at `places` (P, B)."""
        observation_size = self._sizes[0]
        packed, flag = self.packed.flatten(0, 1), self.flag.flatten()
        first = self._firsts.unsqueeze(2)
        offsets = torch.arange(longest, device=places.device)
        steps = first + (places.unsqueeze(2) + offsets) % self.rows  # (P, B, n)
        goes_on = (flag[steps] != BOUNDARY) & (offsets < n_step.view(-1, 1, 1))
        goes_on[:, :, 0] = True  # also in a slot that has nothing, whose windows nobody uses
        lives = goes_on.to(torch.int64).cumprod(2)
        lengths = lives.sum(2)
        rewards = packed[steps, -1] * lives
        last = (self._firsts + (places + lengths - 1) % self.rows).flatten()
        following = torch.minimum(offsets + 1, lengths.unsqueeze(2)) if every_step else lengths.unsqueeze(2)
        nexts = first + (places.unsqueeze(2) + following) % self.rows
        here = packed[self._firsts + places]
        return Windows(
            here[..., :observation_size],
            here[..., observation_size:-1],
            rewards,
            packed[nexts][..., :observation_size],
            lengths,
            (flag[last] == TERMINATED).view_as(lengths),
        )

    def read(self, slot: int) -> tuple[Rows, Counters]:
        """A copy of a slot's live rows, the open one among them."""
        counters = self.counters(slot)
        ids = np.arange(counters.tail, counters.head + counters.is_open)
        places = torch.from_numpy(ids % self.rows).to(self._device)
        packed, observation_size = self.packed[slot, places].cpu().numpy(), self._sizes[0]
        return Rows(
            packed[:, :observation_size],
            packed[:, observation_size:-1],
            self.policy_action[slot, places].cpu().numpy(),
            packed[:, -1],
            self._host_flag[slot, ids % self.rows],
        ), counters

    def counters(self, slot: int) -> Counters:
        names = [name for name in Counters._fields if name != "is_open"]
        return Counters(is_open=bool(self.is_open[slot]), **{name: int(getattr(self, name)[slot]) for name in names})

    def write(self, slot: int, rows: Rows, counters: Counters) -> None:
        """The inverse of `read`."""
        while counters.head + 2 - counters.tail > self.rows:
            self._grow()
        for name, value in counters._asdict().items():
            getattr(self, name)[slot] = value
        ids = np.arange(counters.tail, counters.head + counters.is_open)
        places = torch.from_numpy(ids % self.rows).to(self._device)
        packed = np.hstack([rows.observation, rows.action, rows.reward[:, np.newaxis]])
        self.packed[slot, places] = torch.from_numpy(packed).to(self._device)
        self.policy_action[slot, places] = torch.from_numpy(np.ascontiguousarray(rows.policy_action)).to(self._device)
        flags = np.full(self.rows, BOUNDARY, np.uint8)
        flags[ids % self.rows] = rows.flag
        self._host_flag[slot] = flags
        self.flag[slot] = torch.from_numpy(flags).to(self._device)
        transitions = ids[rows.flag != BOUNDARY]
        numbers = np.arange(counters.inserted - counters.size, counters.inserted)
        starts = np.zeros(self.rows, np.int32)
        starts[numbers % self.rows] = transitions % self.rows
        self.start[slot] = torch.from_numpy(starts).to(self._device)

    def clear(self, slot: int) -> None:
        """Forget all of a slot, as before its first transition."""
        none = np.zeros((0, 1), np.float32)
        observation_size, action_size = self._sizes
        rows = Rows(
            none.reshape(0, observation_size),
            none.reshape(0, action_size),
            none.reshape(0, action_size),
            none.reshape(0),
            np.zeros(0, np.uint8),
        )
        self.write(slot, rows, Counters(0, 0, 0, False, 0, 0, 0))

    def _grow(self) -> None:
        """Make longer rings of all slots: many short episodes have many BOUNDARY rows."""
        kept = [self.read(slot) for slot in range(len(self.capacity))]
        self.rows = max(self.rows + 2, int(GROWTH * self.rows))
        self._make(len(kept), self.rows)
        for slot, (rows, counters) in enumerate(kept):
            self.write(slot, rows, counters)


class Ring:
    """The replay of one slot, as a capacity rule sees it."""

    def __init__(self, replays: Replays, slot: int) -> None:
        self._replays, self._slot = replays, slot

    @property
    def size(self) -> int:
        return int(self._replays.size[self._slot])

    def oldest(self, count: int) -> tuple[Floats, Floats, Indices]:
        return self._replays.oldest(self._slot, count)

    def evict_oldest(self, count: int) -> None:
        self._replays.evict_oldest(self._slot, count)
