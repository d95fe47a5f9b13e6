"""n-step windows gathered out of a ring of rows: compiled, and beside it the same in plain numpy.

A window runs on until the next row is a BOUNDARY. That one test stops it at termination, at truncation and at the
newest stored transition (whose pending observation lies in a row that is flagged BOUNDARY), so it can cross none.

Shapes: R rows of the ring, B windows of up to n steps, O observation, A action, K next observations of a window: all n
of them, or the last alone. Row id i lies at place i % R. In what is gathered the windows lie side by side, along the
last axis; so the compiled learner reads them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from rlx2_ray.types import Bools, Floats, Indices

Flags = NDArray[np.uint8]

# What a row is. Beside their readers, for numba compiles a cached function anew only when its own file changes.
STEP: Final = 0  # a transition whose episode goes on
TERMINATED: Final = 1  # a transition into a terminal state
TRUNCATED: Final = 2  # the last transition of an episode that was cut short
BOUNDARY: Final = 3  # no transition: the observation after the last transition of an episode, or after the newest one

CACHE_LINE: Final = 16  # float32 numbers


@njit(cache=True)
def gather_windows(
    packed: Floats,
    flag: Flags,
    starts: Indices,
    inputs: Floats,
    rewards: Floats,
    next_observations: Floats,
    lengths: Indices,
    terminated: Bools,
) -> None:
    """Fill the last five arrays with the windows that begin at the transitions with row ids `starts` (B,).

    Args:
        packed: (R, O + A + 1), observation, action and reward of every row.
        flag: (R,).
        inputs: (O + A, B), observations and actions.
        rewards: (n, B).
        next_observations: (K, O, B).
        lengths, terminated: (B,).
    """
    rows, n_step, kept = len(flag), len(rewards), len(next_observations)
    places = starts % rows
    for window, place in enumerate(places):
        length = _window_length(flag, place, n_step)
        lengths[window] = length
        terminated[window] = flag[_wrap(place + length - 1, rows)] == TERMINATED
        for step in range(n_step):
            rewards[step, window] = packed[_wrap(place + step, rows), -1] if step < length else 0.0
    _gather_rows(packed, places, inputs)
    next_places = np.empty_like(places)
    for index in range(kept):
        steps = n_step - kept + index + 1
        for window, place in enumerate(places):
            next_places[window] = _wrap(place + min(steps, lengths[window]), rows)
        _gather_rows(packed, next_places, next_observations[index])


def gather_windows_reference(
    packed: Floats,
    flag: Flags,
    starts: Indices,
    inputs: Floats,
    rewards: Floats,
    next_observations: Floats,
    lengths: Indices,
    terminated: Bools,
) -> None:
    """What `gather_windows` must agree with."""
    rows, n_step, kept = len(flag), len(rewards), len(next_observations)
    places = (starts[:, None] + np.arange(n_step)) % rows
    # Does the window have its step 1, 2, ... n - 1? False once, false for ever after.
    goes_on = np.logical_and.accumulate(flag[places[:, 1:]] != BOUNDARY, axis=1)
    lengths[:] = 1 + goes_on.sum(axis=1)
    terminated[:] = flag[(starts + lengths - 1) % rows] == TERMINATED
    rewards[:] = packed[places, -1].T
    rewards[1:][~goes_on.T] = 0.0
    inputs[:] = packed[places[:, 0], : len(inputs)].T
    steps = np.minimum(np.arange(n_step - kept, n_step)[:, None] + 1, lengths)
    following = packed[(starts + steps) % rows, : next_observations.shape[1]]
    next_observations[:] = following.transpose(0, 2, 1)


@njit(cache=True)
def find_boundaries(flag: Flags, ids: Indices) -> Indices:
    """The indices of those of `ids` (N,) that name a BOUNDARY row."""
    found = np.empty_like(ids)
    count = 0
    for index, place in enumerate(ids % len(flag)):
        if flag[place] == BOUNDARY:
            found[count] = index
            count += 1
    return found[:count]


@njit(cache=True)
def _window_length(flag: Flags, place: int, n_step: int) -> int:
    length = 1
    while length < n_step and flag[_wrap(place + length, len(flag))] != BOUNDARY:
        length += 1
    return length


@njit(cache=True)
def _wrap(place: int, rows: int) -> int:
    """`place` % `rows`, of a place that is beyond the end by less than a round."""
    return place - rows if place >= rows else place


@njit(cache=True)
def _gather_rows(source: Floats, places: Indices, target: Floats) -> None:
    """target[f, b] = source[places[b], f]; written by whole cache lines, which would else be evicted half full."""
    whole = len(places) // CACHE_LINE * CACHE_LINE
    for first in range(0, whole, CACHE_LINE):
        for feature in range(len(target)):
            for index in range(first, first + CACHE_LINE):
                target[feature, index] = source[places[index], feature]
    for index in range(whole, len(places)):
        for feature in range(len(target)):
            target[feature, index] = source[places[index], feature]
