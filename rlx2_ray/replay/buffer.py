"""The replay buffer: the union of lanes under one capacity, sampled uniformly and forgotten oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.kernels.windows import LiveRows, mark_boundaries
from rlx2_ray.replay.lane import Lane
from rlx2_ray.replay.windows import compile_kernels, empty_batch, gather, live_rows
from rlx2_ray.types import Batch, Floats, Fragment, Indices


class ReplayBuffer:
    """Transitions of the lanes numbered `lanes`, at most `capacity` of them over all lanes together.

    `generator` is all the randomness of `sample`; the buffer owns it from now on.
    """

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        lanes: Sequence[int],
        capacity: int,
        generator: np.random.Generator,
    ) -> None:
        if not lanes or capacity < 1:
            raise ValueError(f"a replay buffer needs a lane and a capacity of at least 1, not {lanes} and {capacity}")
        compile_kernels()
        self.observation_size = observation_size
        self.action_size = action_size
        self.capacity = capacity
        self.generator = generator
        self.lanes: dict[int, Lane] = {}
        for lane in lanes:
            self.add_lane(lane)
        self.sealed: dict[str, str] = {}  # checksums of those segments of its past that snapshots hold, by file name

    @property
    def size(self) -> int:
        """The number of live transitions of all lanes."""
        return sum(lane.size for lane in self.lanes.values())

    def add_lane(self, number: int) -> None:
        """Hold lane `number`, too, if that is not so already."""
        self.lanes.setdefault(number, Lane(self.observation_size, self.action_size))

    @property
    def inserted(self) -> int:
        """Transitions that all lanes have ever stored."""
        return sum(lane.inserted for lane in self.lanes.values())

    def insert(self, fragment: Fragment) -> None:
        """Store `fragment`, then forget the oldest transitions beyond the capacity."""
        self.lanes[fragment.lane].insert(fragment)
        excess = self.size - self.capacity
        if excess > 0:
            self.evict_oldest(excess)

    def sample(self, batch_size: int, n_step: int, every_step: bool) -> Batch:
        """Windows that start at `batch_size` transitions, drawn uniformly and with replacement.

        `n_step` and `every_step` as in `windows.empty_batch`.
        """
        batch = empty_batch(batch_size, n_step, every_step, self.observation_size, self.action_size)
        self.sample_into([batch])
        return batch

    def sample_into(self, batches: Sequence[Batch]) -> None:
        """The same into memory that is there, several batches at once."""
        lanes = self._live_rows()
        ends = np.cumsum([len(batch.lengths) for batch in batches])
        numbers = self._draw(lanes, int(ends[-1]))
        for batch, chosen in zip(batches, np.split(numbers, ends[:-1]), strict=True):
            gather(lanes, chosen, batch)

    def oldest(self, count: int) -> tuple[Floats, Floats, Indices]:
        """Observations, policy actions and times (N, ...) of the N = min(count, size) oldest transitions by time."""
        lane_indices, ids = self._oldest_rows(count)
        return (
            self._gather("observation", lane_indices, ids),
            self._gather("policy_action", lane_indices, ids),
            self._gather("time", lane_indices, ids),
        )

    def evict_oldest(self, count: int) -> None:
        """Forget the min(count, size) oldest transitions by time; of equal times the earlier lane's goes first."""
        if count == 1:  # what a full buffer does at every step of an inline run
            self._evict_one()
            return
        lane_indices, _ = self._oldest_rows(count)
        counts = np.bincount(lane_indices, minlength=len(self.lanes))
        for lane, lane_count in zip(self.lanes.values(), counts.tolist(), strict=True):
            lane.evict_oldest(lane_count)

    def evict_before(self, time: int) -> None:
        """Forget every transition older than `time`."""
        for lane in self.lanes.values():
            lane.evict_oldest(lane.count_before(time))

    def _evict_one(self) -> None:
        lanes = [lane for lane in self.lanes.values() if lane.size]
        if lanes:
            min(lanes, key=lambda lane: lane.oldest_time).evict_oldest(1)

    def check_valid(self) -> None:
        """Assert every invariant; slow, for tests."""
        assert self.size <= self.capacity
        for lane in self.lanes.values():
            lane.check_valid()

    def _live_rows(self) -> list[LiveRows]:
        lanes, first = [], 0
        for lane in self.lanes.values():
            lanes.append(live_rows(lane, first))
            first += lane.head - lane.tail
        return lanes

    def _draw(self, lanes: Sequence[LiveRows], count: int) -> Indices:
        """Numbers (count,) of uniformly drawn transitions among the live rows of all lanes."""
        total = lanes[-1].first + lanes[-1].size
        if total == 0:
            raise ValueError("cannot sample from an empty replay buffer")
        numbers, is_boundary = self.generator.integers(total, size=count), np.empty(count, np.bool_)
        while boundaries := sum([mark_boundaries(*rows, numbers, is_boundary) for rows in lanes]):
            numbers[is_boundary] = self.generator.integers(total, size=boundaries)
        return numbers

    def _oldest_rows(self, count: int) -> tuple[Indices, Indices]:
        """Lane indices and row ids of the min(count, size) oldest transitions, oldest first."""
        ids_by_lane = [lane.oldest(count) for lane in self.lanes.values()]
        ids = np.concatenate(ids_by_lane)
        lane_indices = np.repeat(np.arange(len(ids_by_lane)), [len(lane_ids) for lane_ids in ids_by_lane])
        # Stable: equal times stay in the order of the lanes.
        order = np.argsort(self._gather("time", lane_indices, ids), kind="stable")[:count]
        return lane_indices[order], ids[order]

    def _gather(self, column: str, lane_indices: Indices, ids: Indices) -> NDArray[Any]:
        """One column's values (N, ...) at the rows `ids` (N,) of the lanes `lane_indices` (N,)."""
        columns = [getattr(lane.columns, column) for lane in self.lanes.values()]
        values = np.empty((len(ids), *columns[0].shape[1:]), columns[0].dtype)
        for index, source in enumerate(columns):
            chosen = lane_indices == index
            values[chosen] = source[ids[chosen] % len(source)]
        return values
