"""The ring of rows of one lane (one environment instance). It grows with use; who owns it decides on eviction.

Row ids count up for ever, so an id never comes to mean another row. Rows tail <= id < head are live. While an episode
is unfinished, row `head` is open: it already holds the observation after the newest transition, and its flag is
BOUNDARY until the next fragment turns it into a transition. Hence the one rule that every reader relies on:
a run of transitions always ends just before a BOUNDARY row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.kernels.windows import BOUNDARY, STEP, TERMINATED, TRUNCATED
from rlx2_ray.replay.columns import are_in_order, make_ring, read_rows, write_rows
from rlx2_ray.types import Fragment, Indices

INITIAL_ROWS = 4096
GROWTH = 1.5  # half as much again: few copies, and at most a third of the rows unused


class LaneCounters(NamedTuple):
    """Everything of a lane that is not in its columns."""

    rows: int  # physical rows
    tail: int  # id of the oldest live row
    head: int  # id after the newest live row
    size: int  # live transitions
    is_open: bool  # an episode is unfinished, so row `head` holds its pending observation
    next_time: int  # the least time that the next transition may have
    episode: int  # of the newest transition
    next_step: int  # of that episode
    inserted: int  # transitions, in all


class Lane:
    """A ring of rows. `packed`, `columns` (see `Ring`) and the counters are public to read, not to write."""

    def __init__(self, observation_size: int, action_size: int) -> None:
        self.packed, self.columns = make_ring(INITIAL_ROWS, observation_size, action_size)
        self.rows = INITIAL_ROWS  # as in LaneCounters, these nine
        self.tail = 0
        self.head = 0
        self.size = 0
        self.is_open = False
        self.next_time = 0
        self.episode = 0
        self.next_step = 0
        self.inserted = 0

    def insert(self, fragment: Fragment) -> None:
        """Append the T transitions of `fragment`.

        Whatever died on the way, rows stay in order and no window joins what does not belong together: a fragment that
        is here already, or comes late from a process that was replaced, is passed over; one that leaves a gap begins a
        new run of transitions.
        """
        position, expected = (fragment.episode, fragment.step), (self.episode, self.next_step)
        if position < expected:
            return
        if position > expected:
            self._cut_open_episode()
        count = len(fragment.rewards)
        self._reserve(count + 1)
        self._write(fragment, count)
        self.episode, self.next_step = fragment.episode, fragment.step + count
        self.size += count
        self.inserted += count
        self.is_open = not (fragment.terminated or fragment.truncated)
        self.head += count if self.is_open else count + 1

    @property
    def oldest_time(self) -> int:
        """The time of the oldest transition, which there must be."""
        return int(self.columns.time[self.tail % self.rows])

    def oldest(self, count: int) -> Indices:
        """Ids of the oldest min(count, size) transitions, oldest first."""
        # Two BOUNDARY rows are never neighbours and the tail is none, so twice as many rows hold enough transitions.
        ids = np.arange(self.tail, min(self.tail + 2 * count, self.head))
        transitions: Indices = ids[self.columns.flag[ids % self.rows] != BOUNDARY]
        return transitions[:count]

    def evict_oldest(self, count: int) -> None:
        """Forget the oldest min(count, size) transitions."""
        count = min(count, self.size)
        if count <= 0:
            return
        self.size -= count
        # Row `tail` is a transition: nothing needs to be searched for the usual count.
        self.tail = 1 + (self.tail if count == 1 else int(self.oldest(count)[-1]))
        if self.tail < self.head and self.columns.flag[self.tail % self.rows] == BOUNDARY:
            self.tail += 1

    def count_before(self, time: int) -> int:
        """How many transitions are older than `time`."""
        if not self.size or self.oldest_time >= time:
            return 0
        ids = self.oldest(min(self.size, time - self.oldest_time))  # times grow by at least 1 a transition
        return int(np.searchsorted(self.columns.time[ids % self.rows], time))

    def counters(self) -> LaneCounters:
        """The counters, to be stored beside the rows."""
        return LaneCounters(*(getattr(self, name) for name in LaneCounters._fields))

    def restore(self, counters: LaneCounters) -> None:
        """Take over `counters` with empty columns; the rows are to be filled with `columns.write_rows`."""
        observation_size, action_size = self.columns.observation.shape[1], self.columns.action.shape[1]
        self.packed, self.columns = make_ring(counters.rows, observation_size, action_size)
        for name, value in counters._asdict().items():
            setattr(self, name, value)

    def check_valid(self) -> None:
        """Assert every invariant; slow, for tests."""
        assert self.packed.flags.c_contiguous
        assert all(len(column) == self.rows for column in (self.packed, *self.columns))
        assert 0 <= self.tail <= self.head
        assert self.head + self.is_open - self.tail <= self.rows
        assert self.has_valid_rows()

    def has_valid_rows(self) -> bool:
        """Whether the live rows are in order, and those that the counters speak of."""
        first, count = self.tail % self.rows, self.head - self.tail
        flag, time = (_read_ring(column, first, count) for column in (self.columns.flag, self.columns.time))
        is_boundary, pending = flag == BOUNDARY, self.columns.flag[self.head % self.rows]
        ends_well = pending == BOUNDARY and (flag[-1:] == STEP).all() if self.is_open else is_boundary[-1:].all()
        return (
            are_in_order(flag, time)
            and self.size == np.count_nonzero(~is_boundary)
            and not is_boundary[:1].any()  # the tail is a transition
            and bool(ends_well)
            and bool((time[~is_boundary][-1:] < self.next_time).all())
        )

    def _cut_open_episode(self) -> None:
        """End the open episode, if there is one, because what comes next does not join on to it."""
        if not self.is_open:
            return
        self.is_open = False
        if self.tail < self.head:
            self.columns.flag[(self.head - 1) % self.rows] = TRUNCATED
            self.head += 1
        else:  # all its transitions are evicted, so its pending observation belongs to nothing
            self.head = self.tail = self.head + 1

    def _reserve(self, count: int) -> None:
        """Make room for `count` rows from `head` on."""
        needed = self.head + count - self.tail
        if needed <= self.rows:
            return
        ids = np.arange(self.tail, self.head + self.is_open)
        live = read_rows(self.columns, ids)
        self.rows = max(needed, int(GROWTH * self.rows))
        self.packed, self.columns = make_ring(self.rows, live.observation.shape[1], live.action.shape[1])
        write_rows(self.columns, ids, live)

    def _write(self, fragment: Fragment, count: int) -> None:
        """Fill the rows head ... head + count; the last of them gets only an observation and a flag."""
        # A lane's rows are in order of age by themselves; a stamp that lags behind must not turn that order round.
        time = max(fragment.time, self.next_time)
        self.next_time = time + count
        place = self.head % self.rows
        if count == 1 and place + 1 < self.rows:
            self._write_one(fragment, place, time)
            return
        columns = self.columns
        _write_ring(columns.observation, place, fragment.observations)
        _write_ring(columns.action, place, fragment.actions)
        _write_ring(columns.policy_action, place, fragment.policy_actions)
        _write_ring(columns.reward, place, fragment.rewards)
        _write_ring(columns.flag, place, [STEP] * (count - 1) + [_last_flag(fragment), BOUNDARY])
        _write_ring(columns.time, place, range(time, time + count))

    def _write_one(self, fragment: Fragment, place: int, time: int) -> None:
        """The same for one transition and within the ring, as nearly all are inline, in half the time."""
        columns = self.columns
        columns.observation[place : place + 2] = fragment.observations
        columns.action[place] = fragment.actions[0]
        columns.policy_action[place] = fragment.policy_actions[0]
        columns.reward[place] = fragment.rewards[0]
        columns.flag[place] = _last_flag(fragment)
        columns.flag[place + 1] = BOUNDARY
        columns.time[place] = time


def _last_flag(fragment: Fragment) -> int:
    """Of the last transition."""
    return TERMINATED if fragment.terminated else TRUNCATED if fragment.truncated else STEP


def _read_ring(column: NDArray[Any], place: int, count: int) -> NDArray[Any]:
    """The `count` values from `place` on."""
    end = place + count
    return column[place:end] if end <= len(column) else np.concatenate([column[place:], column[: end - len(column)]])


def _write_ring(column: NDArray[Any], place: int, values: Sequence[Any] | NDArray[Any]) -> None:
    """Write `values` from `place` on; two slices, because they are several times cheaper than indices."""
    end, rows = place + len(values), len(column)
    if end <= rows:
        column[place:end] = values
    else:
        column[place:] = values[: rows - place]
        column[: end - rows] = values[rows - place :]
