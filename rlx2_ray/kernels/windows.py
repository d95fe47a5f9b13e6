"""n-step windows gathered out of rings of rows: compiled, and beside it the same in plain numpy.

A window runs on until the next row is a BOUNDARY. That one test stops it at termination, at truncation and at the
newest stored transition (whose pending observation lies in a row that is flagged BOUNDARY), so it can cross none.

Shapes: R rows of a ring, B windows of up to n steps, O observation, A action, K next observations of a window: all n of
them, or the last alone.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.kernels.compiled import compiled, entry_point
from rlx2_ray.types import Batch, Bools, Floats, Indices

Flags = NDArray[np.uint8]

# What a row is.
STEP: Final = 0  # a transition whose episode goes on
TERMINATED: Final = 1  # a transition into a terminal state
TRUNCATED: Final = 2  # the last transition of an episode that was cut short
BOUNDARY: Final = 3  # no transition: the observation after the last transition of an episode, or after the newest one

CACHE_LINE: Final = 16  # float32 numbers


class LiveRows(NamedTuple):
    """The live rows of one lane's ring. Those of all lanes are numbered through, lane by lane, oldest first."""

    packed: Floats  # (R, O + A + 1): observation, action, reward
    flag: Flags  # (R,)
    tail: int  # place of the oldest live row
    first: int  # its number
    size: int  # how many they are


# Both functions take the fields of the tuples one by one: numba is slow to unpack a tuple that comes from Python.


@entry_point
def mark_boundaries(
    packed: Floats, flag: Flags, tail: int, first: int, size: int, numbers: Indices, is_boundary: Bools
) -> int:
    """Write (B,) which of those `numbers` (B,) that are in the given rows name a BOUNDARY row; returns how many do."""
    places, found = _find(LiveRows(packed, flag, tail, first, size), numbers)
    boundaries = 0
    for index in range(len(found)):
        is_boundary[found[index]] = flag[places[index]] == BOUNDARY
        boundaries += is_boundary[found[index]]
    return boundaries


@entry_point
def gather_windows(
    packed: Floats,
    flag: Flags,
    tail: int,
    first: int,
    size: int,
    numbers: Indices,
    observations: Floats,
    actions: Floats,
    rewards: Floats,
    next_observations: Floats,
    lengths: Indices,
    terminated: Bools,
) -> None:
    """Fill in those windows b of a batch that begin in the given rows, at the transition number `numbers[b]`."""
    rows = LiveRows(packed, flag, tail, first, size)
    batch = Batch(observations, actions, rewards, next_observations, lengths, terminated)
    places, found = _find(rows, numbers)
    for index in range(len(found)):
        _follow(rows, places[index], batch, found[index])
    _gather(packed, 0, places, found, observations)
    _gather(packed, len(observations), places, found, actions)
    next_places = np.empty_like(places)
    for step in range(len(next_observations)):
        steps = len(rewards) - len(next_observations) + step + 1
        for index in range(len(found)):
            next_places[index] = _wrap(rows, places[index] + min(steps, lengths[found[index]]))
        _gather(packed, 0, next_places, found, next_observations[step])


def gather_windows_reference(rows: LiveRows, numbers: Indices, batch: Batch) -> None:
    """What `gather_windows(*rows, numbers, *batch)` must agree with."""
    n_step, kept, ring = len(batch.rewards), len(batch.next_observations), len(rows.flag)
    observation_size = len(batch.observations)
    found = np.flatnonzero((rows.first <= numbers) & (numbers < rows.first + rows.size))
    starts = rows.tail + numbers[found] - rows.first
    places = (starts + np.arange(n_step)[:, None]) % ring
    # Does the window have its step 1, 2, ... n - 1? False once, false for ever after.
    goes_on = np.logical_and.accumulate(rows.flag[places[1:]] != BOUNDARY, axis=0)
    lengths = 1 + goes_on.sum(axis=0)
    rewards = rows.packed[places, -1]
    rewards[1:][~goes_on] = 0.0
    offsets = np.minimum(np.arange(n_step - kept, n_step)[:, None] + 1, lengths)
    following = rows.packed[(starts + offsets) % ring, :observation_size]
    batch.observations[:, found] = rows.packed[places[0], :observation_size].T
    batch.actions[:, found] = rows.packed[places[0], observation_size:-1].T
    batch.rewards[:, found] = rewards
    batch.next_observations[:, :, found] = following.transpose(0, 2, 1)
    batch.lengths[found] = lengths
    batch.terminated[found] = rows.flag[(starts + lengths - 1) % ring] == TERMINATED


@compiled
def _find(rows: LiveRows, numbers: Indices) -> tuple[Indices, Indices]:
    """(places in the ring, indices in `numbers`) of those of `numbers` that are in `rows`."""
    places, found = np.empty_like(numbers), np.empty_like(numbers)
    count = 0
    for index in range(len(numbers)):
        offset = numbers[index] - rows.first
        if 0 <= offset < rows.size:
            places[count], found[count] = _wrap(rows, rows.tail + offset), index
            count += 1
    return places[:count], found[:count]


@compiled
def _follow(rows: LiveRows, place: int, batch: Batch, window: int) -> None:
    """Write length, rewards and ending of the window that begins at `place`."""
    n_step = len(batch.rewards)
    length = 1
    while length < n_step and rows.flag[_wrap(rows, place + length)] != BOUNDARY:
        length += 1
    batch.lengths[window] = length
    batch.terminated[window] = rows.flag[_wrap(rows, place + length - 1)] == TERMINATED
    for step in range(n_step):
        batch.rewards[step, window] = rows.packed[_wrap(rows, place + step), -1] if step < length else np.float32(0)


@compiled
def _wrap(rows: LiveRows, place: int) -> int:
    """`place` of a row that may lie beyond the end of the ring, by less than its length."""
    return place - len(rows.flag) if place >= len(rows.flag) else place


@compiled
def _gather(source: Floats, column: int, places: Indices, found: Indices, target: Floats) -> None:
    """target[f, found[i]] = source[places[i], column + f] for as many features as `target` has.

    A cache line of `target` at a time: feature by feature, or window by window, one of the two would leave the cache
    before it is done with. Where all windows are found, whole lines are compiled into vectors.
    """
    whole = len(found) // CACHE_LINE * CACHE_LINE if len(found) == target.shape[1] else 0
    for start in range(0, whole, CACHE_LINE):
        for feature in range(len(target)):
            for window in range(start, start + CACHE_LINE):
                target[feature, window] = source[places[window], column + feature]
    for start in range(whole, len(found), CACHE_LINE):
        for feature in range(len(target)):
            for index in range(start, min(start + CACHE_LINE, len(found))):
                target[feature, found[index]] = source[places[index], column + feature]
