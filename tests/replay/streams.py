"""Made-up experience: a source of consistent fragments, and a hypothesis strategy of what may happen to a buffer."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from hypothesis import strategies as st

from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.replay.lane import Lane
from rlx2_ray.replay.windows import gather_batch, live_rows
from rlx2_ray.types import Batch, Floats, Fragment, Indices
from tests.replay.reference import ReferenceBuffer

OBSERVATION_SIZE = 2
ACTION_SIZE = 3
LANES = 3
Ending = Literal["open", "terminated", "truncated"]


class Insert(NamedTuple):
    lane: int
    steps: int
    ending: Ending
    cuts: bool  # start a new episode even if one is open, as a replaced rollout process does
    shares_time: bool  # another lane's next fragment gets the same times


class Evict(NamedTuple):
    transitions: int


Operation = Insert | Evict
inserts = st.builds(
    Insert,
    st.integers(0, LANES - 1),
    st.integers(1, 6),
    st.sampled_from(["open", "terminated", "truncated"]),
    st.booleans(),
    st.booleans(),
)
operations = st.lists(st.one_of(inserts, inserts, inserts, st.builds(Evict, st.integers(0, 12))), max_size=25)


class FragmentSource:
    """Makes fragments in which no number occurs twice, so that a misplaced one shows."""

    def __init__(self) -> None:
        self.time = 0
        self._number = 0
        self._lane_times: dict[int, int] = {}
        self._pending: dict[int, Floats] = {}  # the open lanes' newest observation

    def make(
        self, steps: int, ending: Ending = "open", lane: int = 0, cuts: bool = False, shares_time: bool = False
    ) -> Fragment:
        starts_episode = cuts or lane not in self._pending
        observations = self._numbers(steps + 1, OBSERVATION_SIZE)
        if not starts_episode:
            observations[0] = self._pending[lane]
        time = max(self.time, self._lane_times.get(lane, 0))
        self._lane_times[lane] = time + steps
        self.time += 0 if shares_time else steps
        self._pending.pop(lane, None)
        if ending == "open":
            self._pending[lane] = observations[-1]
        return Fragment(
            lane,
            time,
            starts_episode,
            observations,
            self._numbers(steps, ACTION_SIZE),
            self._numbers(steps, ACTION_SIZE),
            self._numbers(steps),
            terminated=ending == "terminated",
            truncated=ending == "truncated",
        )

    def _numbers(self, *shape: int) -> Floats:
        first = self._number + 1
        self._number += int(np.prod(shape))
        return np.arange(first, self._number + 1, dtype=np.float32).reshape(shape)


def make_buffer(capacity: int, lanes: int = LANES, seed: int = 0) -> ReplayBuffer:
    return ReplayBuffer(OBSERVATION_SIZE, ACTION_SIZE, range(lanes), capacity, np.random.default_rng(seed))


def perform(operation: Operation, source: FragmentSource, *buffers: ReplayBuffer | ReferenceBuffer) -> None:
    """Do the same to each of `buffers`."""
    if isinstance(operation, Evict):
        for buffer in buffers:
            buffer.evict_oldest(operation.transitions)
        return
    lane, steps, ending, cuts, shares_time = operation
    fragment = source.make(steps, ending, lane, cuts, shares_time)
    for buffer in buffers:
        buffer.insert(fragment)


def windows_at(lane: Lane, starts: Indices, n_step: int, every_step: bool) -> Batch:
    """The windows that begin at the transitions with row ids `starts`."""
    return gather_batch([live_rows(lane, 0)], starts - lane.tail, n_step, every_step, lane.columns.observation.shape[1])
