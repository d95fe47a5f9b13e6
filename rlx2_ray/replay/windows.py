"""n-step windows out of lanes, as batches. What a window is stands in `kernels.windows`, which does the work.

A batch's arrays are views: the windows lie side by side in memory, so `batch.observations.T` is C-contiguous, and so is
every other array whose first axis is moved to the end. That is what a compiled learner reads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlx2_ray.kernels.cache import compile_once
from rlx2_ray.kernels.windows import LiveRows, Windows, gather_windows, mark_boundaries
from rlx2_ray.replay.lane import Lane
from rlx2_ray.types import Batch, Indices


def live_rows(lane: Lane, first: int) -> LiveRows:
    """The live rows of `lane`, numbered from `first` on."""
    return LiveRows(lane.packed, lane.columns.flag, lane.tail % lane.rows, first, lane.head - lane.tail)


def gather_batch(
    lanes: Sequence[LiveRows], numbers: Indices, n_step: int, every_step: bool, observation_size: int
) -> Batch:
    """The windows of up to `n_step` steps that begin at the transitions with the numbers `numbers` (B,)."""
    windows = make_windows(len(numbers), n_step, every_step, observation_size, lanes[0].packed.shape[1] - 1)
    gather(lanes, numbers, windows)
    return as_batch(windows, observation_size)


def gather(lanes: Sequence[LiveRows], numbers: Indices, windows: Windows) -> None:
    """Fill in `windows` with those that begin at the transitions with the numbers `numbers` (B,)."""
    for rows in lanes:
        gather_windows(*rows, numbers, *windows)


def as_batch(windows: Windows, observation_size: int) -> Batch:
    inputs, rewards, next_observations, lengths, terminated = windows
    observations, actions = inputs[:observation_size], inputs[observation_size:]
    return Batch(observations.T, actions.T, rewards.T, next_observations.transpose(2, 0, 1), lengths, terminated)


def make_windows(count: int, n_step: int, every_step: bool, observation_size: int, input_size: int) -> Windows:
    """Room for `count` windows; `input_size` of observation and action together.

    `every_step` False: `next_observations` has only the one that the target bootstraps from (K = 1), else K = n_step.
    """
    return Windows(
        np.empty((input_size, count), np.float32),
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
    gather_batch([rows], number, n_step=1, every_step=False, observation_size=1)
