"""n-step windows out of lanes, as batches. What a window is stands in `kernels.windows`, which does the work."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlx2_ray.kernels.cache import compile_once
from rlx2_ray.kernels.windows import LiveRows, gather_windows, mark_boundaries
from rlx2_ray.replay.lane import Lane
from rlx2_ray.types import Batch, Indices


def live_rows(lane: Lane, first: int) -> LiveRows:
    """The live rows of `lane`, numbered from `first` on."""
    return LiveRows(lane.packed, lane.columns.flag, lane.tail % lane.rows, first, lane.head - lane.tail)


def gather(lanes: Sequence[LiveRows], numbers: Indices, batch: Batch) -> None:
    """Fill in `batch` with the windows that begin at the transitions with the numbers `numbers` (B,)."""
    for rows in lanes:
        gather_windows(*rows, numbers, *batch)  # type: ignore[arg-type]  # mypy takes both tuples to be as long


def empty_batch(count: int, n_step: int, every_step: bool, observation_size: int, action_size: int) -> Batch:
    """Room for `count` windows of up to `n_step` steps.

    `every_step` False: `next_observations` has only the one that the target bootstraps from (K = 1), else K = n_step.
    """
    return Batch(
        np.empty((observation_size, count), np.float32),
        np.empty((action_size, count), np.float32),
        np.empty((n_step, count), np.float32),
        np.empty((n_step if every_step else 1, observation_size, count), np.float32),
        np.empty(count, np.int64),
        np.empty(count, np.bool_),
    )


def compile_kernels() -> None:
    """Have what sampling needs compiled, where that has not been done on this machine."""
    compile_once("replay", _call_all)


def _call_all() -> None:
    rows = LiveRows(np.zeros((1, 3), np.float32), np.zeros(1, np.uint8), tail=0, first=0, size=1)
    number = np.zeros(1, np.int64)
    mark_boundaries(*rows, number, np.zeros(1, np.bool_))
    gather([rows], number, empty_batch(1, n_step=1, every_step=False, observation_size=1, action_size=1))
