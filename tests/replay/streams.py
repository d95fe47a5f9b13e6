"""Made-up experience: a source of consistent fragments, and a hypothesis strategy of what may happen to a buffer."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from hypothesis import strategies as st

from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.replay.lane import Lane
from rlx2_ray.replay.windows import empty_batch, gather, live_rows
from rlx2_ray.types import Batch, Floats, Fragment, Indices
from tests.replay.reference import ReferenceBuffer
from tests.support.batches import by_window

OBSERVATION_SIZE = 2
ACTION_SIZE = 3
LANES = 3
Ending = Literal["open", "terminated", "truncated"]
Arrival = Literal["next", "cuts", "gap", "again"]


class Insert(NamedTuple):
    lane: int
    steps: int
    ending: Ending
    arrival: Arrival  # "cuts", "gap": see FragmentSource.make; "again": arrives twice, and once more later
    shares_time: bool  # another lane's next fragment gets the same times


class Evict(NamedTuple):
    transitions: int


class EvictBefore(NamedTuple):
    age: int  # counted from the newest time


Operation = Insert | Evict | EvictBefore
inserts = st.builds(
    Insert,
    st.integers(0, LANES - 1),
    st.integers(1, 6),
    st.sampled_from(["open", "terminated", "truncated"]),
    st.sampled_from(["next", "next", "next", "cuts", "gap", "again"]),
    st.booleans(),
)
evictions = st.one_of(st.builds(Evict, st.integers(0, 12)), st.builds(EvictBefore, st.integers(0, 40)))
operations = st.lists(st.one_of(inserts, inserts, inserts, evictions), max_size=25)


class FragmentSource:
    """Makes fragments in which no number occurs twice, so that a misplaced one shows."""

    def __init__(self, observation_size: int = OBSERVATION_SIZE, action_size: int = ACTION_SIZE) -> None:
        self._sizes = observation_size, action_size
        self.time = 0
        self._number = 0
        self._lane_times: dict[int, int] = {}
        self._pending: dict[int, Floats] = {}  # the open lanes' newest observation
        self._positions: dict[int, tuple[int, int]] = {}  # episode and step of the lanes' next transition
        self.made: list[Fragment] = []

    def make(
        self, steps: int, ending: Ending = "open", lane: int = 0, arrival: Arrival = "next", shares_time: bool = False
    ) -> Fragment:
        """The next fragment of a lane.

        "cuts": of a new episode even if one is open, as from a replaced rollout process; "gap": what is before it in
        its episode was lost, as by a shard that went back to its snapshot.
        """
        episode, step = self._positions.get(lane, (0, 0))
        observation_size, action_size = self._sizes
        observations = self._numbers(steps + 1, observation_size)
        if lane not in self._pending or arrival == "cuts":
            episode, step = episode + (lane in self._positions), 0
        elif arrival == "gap":
            step += 3
        else:
            observations[0] = self._pending[lane]
        self._positions[lane] = episode, step + steps
        time = max(self.time, self._lane_times.get(lane, 0))
        self._lane_times[lane] = time + steps
        self.time += 0 if shares_time else steps
        self._pending.pop(lane, None)
        if ending == "open":
            self._pending[lane] = observations[-1]
        self.made.append(
            Fragment(
                lane,
                time,
                episode,
                step,
                observations,
                self._numbers(steps, action_size),
                self._numbers(steps, action_size),
                self._numbers(steps),
                terminated=ending == "terminated",
                truncated=ending == "truncated",
            )
        )
        return self.made[-1]

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
    if isinstance(operation, EvictBefore):
        for buffer in buffers:
            buffer.evict_before(source.time - operation.age)
        return
    lane, steps, ending, arrival, shares_time = operation
    fragments = [source.make(steps, ending, lane, arrival, shares_time)]
    if arrival == "again":
        fragments += [fragments[0], source.made[len(source.made) // 2]]
    for buffer in buffers:
        for fragment in fragments:
            buffer.insert(fragment)


def windows_at(lane: Lane, starts: Indices, n_step: int, every_step: bool) -> Batch:
    """The windows that begin at the transitions with row ids `starts`, windows as first axis."""
    sizes = lane.columns.observation.shape[1], lane.columns.action.shape[1]
    batch = empty_batch(len(starts), n_step, every_step, *sizes)
    gather([live_rows(lane, 0)], starts - lane.tail, batch)
    return by_window(batch)
