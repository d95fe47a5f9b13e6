"""The row layout of a lane: plain arrays with one entry per row, and the flag that says what a row is.

A transition needs two rows: its own, and the next one, whose observation is its next observation. So each observation
is stored once, and whatever ends an episode is followed by a BOUNDARY row that holds only the final observation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.types import Floats, Indices

STEP: Final = 0  # a transition whose episode goes on
TERMINATED: Final = 1  # a transition into a terminal state
TRUNCATED: Final = 2  # the last transition of an episode that was cut short
BOUNDARY: Final = 3  # no transition: the observation after the last transition of an episode, or after the newest one


class Columns(NamedTuple):
    """C-contiguous arrays over the same R physical rows; row id i lies at place i % R.

    In a BOUNDARY row only `observation` and `flag` mean something.
    """

    observation: Floats  # (R, observation_size)
    action: Floats  # (R, action_size), in [-1, 1], as executed
    policy_action: Floats  # (R, action_size), noise-free action at collection
    reward: Floats  # (R,)
    flag: NDArray[np.uint8]  # (R,), one of STEP, TERMINATED, TRUNCATED, BOUNDARY
    time: Indices  # (R,), env steps taken by the whole run before this transition


def make_columns(rows: int, observation_size: int, action_size: int) -> Columns:
    """Zeroed columns; the system gives memory to the pages only once they are written."""
    return Columns(
        observation=np.zeros((rows, observation_size), np.float32),
        action=np.zeros((rows, action_size), np.float32),
        policy_action=np.zeros((rows, action_size), np.float32),
        reward=np.zeros(rows, np.float32),
        flag=np.zeros(rows, np.uint8),
        time=np.zeros(rows, np.int64),
    )


def map_columns(function: Callable[[NDArray[Any]], NDArray[Any]], columns: Columns) -> Columns:
    """`function` of every column; it must keep their dtypes."""
    results: list[Any] = [function(column) for column in columns]
    return Columns(*results)


def read_rows(columns: Columns, ids: Indices) -> Columns:
    """Copies of the rows `ids` (N,), in that order."""
    places = ids % len(columns.flag)
    return map_columns(lambda column: column.take(places, axis=0), columns)


def write_rows(columns: Columns, ids: Indices, rows: Columns) -> None:
    """The inverse of `read_rows`."""
    places = ids % len(columns.flag)
    targets: tuple[NDArray[Any], ...] = columns
    for column, values in zip(targets, rows, strict=True):
        column[places] = values
