"""n-step windows gathered out of rings of rows: compiled, and beside it the same in plain numpy.

A window runs on until the next row is a BOUNDARY. That one test stops it at termination, at truncation and at the
newest stored transition (whose pending observation lies in a row that is flagged BOUNDARY), so it can cross none.

Shapes: R rows of a ring, B windows of up to n steps, O observation, A action, K next observations of a window: all n of
them, or the last alone. What is gathered lies feature-major, windows along the last axis, as the compiled learner
reads it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from rlx2_ray.types import Bools, Floats, Indices

Flags = NDArray[np.uint8]

# What a row is. Here, because numba compiles a cached function anew only when the function's own file has changed.
STEP: Final = 0  # a transition whose episode goes on
TERMINATED: Final = 1  # a transition into a terminal state
TRUNCATED: Final = 2  # the last transition of an episode that was cut short
BOUNDARY: Final = 3  # no transition: the observation after the last transition of an episode, or after the newest one

CACHE_LINE: Final = 16  # float32 numbers


class LiveRows(NamedTuple):
    """The live rows of one lane's ring. The live rows of all lanes are numbered through, lane by lane, oldest first."""

    packed: Floats  # (R, O + A + 1): observation, action, reward
    flag: Flags  # (R,)
    tail: int  # place of the oldest live row
    first: int  # its number
    count: int


class Windows(NamedTuple):
    inputs: Floats  # (O + A, B): observations and, below them, actions
    rewards: Floats  # (n, B)
    next_observations: Floats  # (K, O, B)
    lengths: Indices  # (B,)
    terminated: Bools  # (B,)


@njit(error_model="numpy", cache=True)
def gather_windows(
    packed: Floats, flag: Flags, tail: int, first: int, count: int,
    numbers: Indices, slots: Indices,
    inputs: Floats, rewards: Floats, next_observations: Floats, lengths: Indices, terminated: Bools,
) -> int:
    """Window `slots[i]` becomes the one that begins at the row with number `numbers[i]`, for those that are in `rows`.

    None begins at a BOUNDARY row: of such a window only the length is written, 0. Returns how many there are.
    """
    rows = LiveRows(packed, flag, tail, first, count)
    windows = Windows(inputs, rewards, next_observations, lengths, terminated)
    places, filled, boundaries = _find_starts(rows, numbers, slots, windows.lengths)
    for index in range(len(filled)):
        _follow(rows, places[index], filled[index], windows)
    _gather(rows.packed, places, filled, windows.inputs)
    n_step, kept = len(windows.rewards), len(windows.next_observations)
    next_places = np.empty_like(places)
    for step in range(kept):
        for index in range(len(filled)):
            offset = min(n_step - kept + step + 1, windows.lengths[filled[index]])
            next_places[index] = _wrap(rows, places[index] + offset)
        _gather(rows.packed, next_places, filled, windows.next_observations[step])
    return boundaries


def gather_windows_reference(rows: LiveRows, numbers: Indices, slots: Indices, windows: Windows) -> int:
    """What `gather_windows` must agree with."""
    n_step, kept, ring = len(windows.rewards), len(windows.next_observations), len(rows.flag)
    mine = (rows.first <= numbers) & (numbers < rows.first + rows.count)
    starts, slots = rows.tail + numbers[mine] - rows.first, slots[mine]
    begins = rows.flag[starts % ring] != BOUNDARY
    windows.lengths[slots] = 0
    starts, slots = starts[begins], slots[begins]
    places = (starts + np.arange(n_step)[:, None]) % ring
    # Does the window have its step 1, 2, ... n - 1? False once, false for ever after.
    goes_on = np.logical_and.accumulate(rows.flag[places[1:]] != BOUNDARY, axis=0)
    lengths = 1 + goes_on.sum(axis=0)
    rewards = rows.packed[places, -1]
    rewards[1:][~goes_on] = 0.0
    offsets = np.minimum(np.arange(n_step - kept, n_step)[:, None] + 1, lengths)
    following = rows.packed[(starts + offsets) % ring, : windows.next_observations.shape[1]]
    windows.inputs[:, slots] = rows.packed[places[0], :-1].T
    windows.rewards[:, slots] = rewards
    windows.next_observations[:, :, slots] = following.transpose(0, 2, 1)
    windows.lengths[slots] = lengths
    windows.terminated[slots] = rows.flag[(starts + lengths - 1) % ring] == TERMINATED
    return int(np.count_nonzero(~begins))


@njit(error_model="numpy", cache=True)
def _find_starts(rows: LiveRows, numbers: Indices, slots: Indices, lengths: Indices) -> tuple[Indices, Indices, int]:
    """(places where a window begins, their slots, how many of `numbers` in `rows` name a BOUNDARY row)."""
    places, filled = np.empty_like(numbers), np.empty_like(numbers)
    count = boundaries = 0
    for index in range(len(numbers)):
        offset = numbers[index] - rows.first
        if not 0 <= offset < rows.count:
            continue
        place = _wrap(rows, rows.tail + offset)
        if rows.flag[place] == BOUNDARY:
            lengths[slots[index]] = 0
            boundaries += 1
        else:
            places[count], filled[count] = place, slots[index]
            count += 1
    return places[:count], filled[:count], boundaries


@njit(error_model="numpy", cache=True)
def _follow(rows: LiveRows, place: int, window: int, windows: Windows) -> None:
    """Write length, rewards and ending of the window that begins at `place`."""
    n_step = len(windows.rewards)
    length = 1
    while length < n_step and rows.flag[_wrap(rows, place + length)] != BOUNDARY:
        length += 1
    windows.lengths[window] = length
    windows.terminated[window] = rows.flag[_wrap(rows, place + length - 1)] == TERMINATED
    for step in range(n_step):
        windows.rewards[step, window] = rows.packed[_wrap(rows, place + step), -1] if step < length else np.float32(0)


@njit(error_model="numpy", cache=True)
def _wrap(rows: LiveRows, place: int) -> int:
    """`place` of a row that may lie beyond the end of the ring, by less than its length."""
    return place - len(rows.flag) if place >= len(rows.flag) else place


@njit(error_model="numpy", cache=True)
def _gather(source: Floats, places: Indices, slots: Indices, target: Floats) -> None:
    """target[f, slots[i]] = source[places[i], f], as many features as `target` has.

    By blocks of a cache line of `target`: feature by feature, or window by window, one of the two would leave the cache
    before it is done with.
    """
    for start in range(0, len(slots), CACHE_LINE):
        size = min(CACHE_LINE, len(slots) - start)
        block, slot = places[start : start + size], slots[start]
        if size == CACHE_LINE and slots[start + size - 1] == slot + size - 1:
            _gather_line(source, block, target[:, slot : slot + size])
        else:
            for index in range(size):
                for feature in range(len(target)):
                    target[feature, slots[start + index]] = source[block[index], feature]


@njit(error_model="numpy", cache=True)
def _gather_line(source: Floats, places: Indices, target: Floats) -> None:
    """target[f, i] = source[places[i], f]; the loop over i is short and known, so it is compiled into vectors."""
    for feature in range(len(target)):
        for index in range(CACHE_LINE):
            target[feature, index] = source[places[index], feature]
