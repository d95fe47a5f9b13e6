"""The row layout of a lane: plain arrays with one entry per row, and the flag that says what a row is.

A transition needs two rows: its own, and the next one, whose observation is its next observation. So each observation
is stored once, and whatever ends an episode is followed by a BOUNDARY row that holds only the final observation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.kernels.windows import BOUNDARY, TERMINATED, TRUNCATED
from rlx2_ray.types import Floats, Indices


class Columns(NamedTuple):
    """Arrays over the same R rows.

    In a BOUNDARY row only `observation` and `flag` mean something.
    """

    observation: Floats  # (R, observation_size)
    action: Floats  # (R, action_size), in [-1, 1], as executed
    policy_action: Floats  # (R, action_size), noise-free action at collection
    reward: Floats  # (R,)
    flag: NDArray[np.uint8]  # (R,), one of STEP, TERMINATED, TRUNCATED, BOUNDARY of `kernels.windows`
    time: Indices  # (R,), env steps taken by the whole run before this transition


class Ring(NamedTuple):
    """The memory of R rows; row id i lies at place i % R.

    All that a window copies of a row lies side by side: sampling is random access, so it costs what memory it touches.
    """

    packed: Floats  # (R, observation_size + action_size + 1): observation, action and reward
    columns: Columns  # of which those three are views of `packed`


def make_ring(rows: int, observation_size: int, action_size: int) -> Ring:
    """Zeroed rows; the system gives memory to the pages only once they are written."""
    packed = np.zeros((rows, observation_size + action_size + 1), np.float32)
    columns = Columns(
        observation=packed[:, :observation_size],
        action=packed[:, observation_size:-1],
        policy_action=np.zeros((rows, action_size), np.float32),
        reward=packed[:, -1],
        flag=np.zeros(rows, np.uint8),
        time=np.zeros(rows, np.int64),
    )
    return Ring(packed, columns)


def map_columns(function: Callable[[NDArray[Any]], NDArray[Any]], columns: Columns) -> Columns:
    """Returns `function` of every column; it must keep their dtypes."""
    results: list[Any] = [function(column) for column in columns]
    return Columns(*results)


def is_finite(column: NDArray[Any]) -> bool:
    """Whether all numbers are."""
    return column.dtype.kind != "f" or bool(np.isfinite(column).all())


def are_in_order(flag: NDArray[np.uint8], time: Indices) -> bool:
    """Whether BOUNDARY rows follow ended episodes and nothing else, and times of transitions (from 0) only grow."""
    is_boundary = flag == BOUNDARY
    ends = (flag == TERMINATED) | (flag == TRUNCATED)
    times = time[~is_boundary]
    return (
        np.array_equal(is_boundary[1:], ends[:-1])
        and bool((times[1:] > times[:-1]).all())
        and bool((times[:1] >= 0).all())
    )


def skip_rows(columns: Columns, count: int) -> Columns:
    """All rows but the first `count`."""
    return map_columns(lambda column: column[count:], columns)


def read_rows(columns: Columns, ids: Indices) -> Columns:
    """Copies of the rows `ids` (N,), in that order."""
    places = ids % len(columns.flag)
    return map_columns(lambda column: column[places], columns)


def write_rows(columns: Columns, ids: Indices, rows: Columns) -> None:
    """Write the rows `ids` (N,): the inverse of `read_rows`."""
    places = ids % len(columns.flag)
    targets: tuple[NDArray[Any], ...] = columns
    for column, values in zip(targets, rows, strict=True):
        column[places] = values
