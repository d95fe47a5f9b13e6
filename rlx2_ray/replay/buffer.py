"""The replay buffer: the union of lanes under one capacity, sampled uniformly and forgotten oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.kernels.windows import BOUNDARY, find_boundaries
from rlx2_ray.replay.lane import Lane
from rlx2_ray.replay.windows import gather_windows, join_batches, reorder_batch
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
        self.observation_size = observation_size
        self.action_size = action_size
        self.capacity = capacity
        self.generator = generator
        self.lanes = {lane: Lane(observation_size, action_size) for lane in lanes}

    @property
    def size(self) -> int:
        """Live transitions of all lanes."""
        return sum(lane.size for lane in self.lanes.values())

    def insert(self, fragment: Fragment) -> None:
        """Store `fragment`, then forget the oldest transitions beyond the capacity."""
        self.lanes[fragment.lane].insert(fragment)
        excess = self.size - self.capacity
        if excess > 0:
            self.evict_oldest(excess)

    def sample(self, batch_size: int, n_step: int, every_step: bool) -> Batch:
        """Windows that start at `batch_size` transitions, drawn uniformly and with replacement.

        `n_step` and `every_step` as in `windows.gather_windows`.
        """
        if self.size == 0:
            raise ValueError("cannot sample from an empty replay buffer")
        if len(self.lanes) == 1:
            (lane,) = self.lanes.values()
            return gather_windows(lane, self._draw_ids(lane, batch_size), n_step, every_step)
        lane_indices, ids = self._draw(batch_size)
        batches = [
            gather_windows(lane, ids[lane_indices == index], n_step, every_step)
            for index, lane in enumerate(self.lanes.values())
        ]
        return _interleave(batches, lane_indices)

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
        lane_indices, _ = self._oldest_rows(count)
        counts = np.bincount(lane_indices, minlength=len(self.lanes))
        for lane, lane_count in zip(self.lanes.values(), counts.tolist(), strict=True):
            lane.evict_oldest(lane_count)

    def check_valid(self) -> None:
        """Assert every invariant; slow, for tests."""
        assert self.size <= self.capacity
        for lane in self.lanes.values():
            lane.check_valid()

    def _draw_ids(self, lane: Lane, count: int) -> Indices:
        """Row ids (count,) of uniformly drawn transitions of `lane`, which is the only one."""
        ids = self.generator.integers(lane.tail, lane.head, size=count)
        while len(missing := find_boundaries(lane.columns.flag, ids)):
            ids[missing] = self.generator.integers(lane.tail, lane.head, size=len(missing))
        return ids

    def _draw(self, count: int) -> tuple[Indices, Indices]:
        """Lane indices and row ids (count,) of uniformly drawn transitions."""
        lane_indices, ids = np.empty(count, np.int64), np.empty(count, np.int64)
        missing = np.arange(count)
        while missing.size:
            lane_indices[missing], ids[missing] = self._draw_rows(missing.size)
            is_boundary = self._gather("flag", lane_indices[missing], ids[missing]) == BOUNDARY
            missing = missing[is_boundary]
        return lane_indices, ids

    def _draw_rows(self, count: int) -> tuple[Indices, Indices]:
        """Lane indices and row ids (count,) of uniformly drawn live rows, BOUNDARY rows among them."""
        lanes = self.lanes.values()
        ends = np.cumsum([lane.head - lane.tail for lane in lanes])
        draws = self.generator.integers(ends[-1], size=count)
        lane_indices = np.searchsorted(ends, draws, side="right")
        # Number `ends[i] - 1` of all live rows is lane i's newest, whose id is head - 1.
        offsets = np.array([lane.head for lane in lanes]) - ends
        return lane_indices, draws + offsets[lane_indices]

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


def _interleave(batches: Sequence[Batch], lane_indices: Indices) -> Batch:
    """One batch in the order drawn, so that a batch's position says nothing about its lane."""
    places = np.argsort(np.argsort(lane_indices, kind="stable"), kind="stable")
    return reorder_batch(join_batches(batches), places)
