"""n-step windows out of a lane, as batches; what a window is stands in `kernels.windows`.

The arrays of a batch are views on memory in which the windows lie side by side: `batch.observations.T` is C-contiguous,
and so is every other array with its first axis moved to the end. A compiled learner wants them so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.kernels import windows
from rlx2_ray.replay.lane import Lane
from rlx2_ray.types import Batch, Indices


def gather_windows(lane: Lane, starts: Indices, n_step: int, every_step: bool) -> Batch:
    """The windows of up to `n_step` steps that begin at the transitions with row ids `starts` (B,).

    `every_step` False: `next_observations` has only the one that the target bootstraps from (K = 1), else K = n_step.
    """
    count, observation_size = len(starts), lane.columns.observation.shape[1]
    inputs = np.empty((lane.packed.shape[1] - 1, count), np.float32)
    rewards = np.empty((n_step, count), np.float32)
    next_observations = np.empty((n_step if every_step else 1, observation_size, count), np.float32)
    lengths = np.empty(count, np.int64)
    terminated = np.empty(count, np.bool_)
    windows.gather_windows(
        lane.packed, lane.columns.flag, starts, inputs, rewards, next_observations, lengths, terminated
    )
    observations, actions = inputs[:observation_size], inputs[observation_size:]
    return Batch(observations.T, actions.T, rewards.T, next_observations.transpose(2, 0, 1), lengths, terminated)


def join_batches(batches: Sequence[Batch]) -> Batch:
    """One batch of all their windows, in that order, in fresh memory of the same layout."""
    return Batch(*(_join(arrays) for arrays in zip(*batches, strict=True)))


def reorder_batch(batch: Batch, order: Indices) -> Batch:
    """The batch whose window i is window `order[i]` of `batch`."""
    return Batch(*(_windows_first(_windows_last(array).take(order, axis=-1)) for array in batch))


def _join(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    parts = [_windows_last(array) for array in arrays]
    joined = np.empty((*parts[0].shape[:-1], sum(len(array) for array in arrays)), arrays[0].dtype)
    # Left to itself, numpy would keep the layout of parts that have come out of a pickle with another one.
    return _windows_first(np.concatenate(parts, axis=-1, out=joined))


def _windows_last(array: NDArray[Any]) -> NDArray[Any]:
    return array.transpose(*range(1, array.ndim), 0)


def _windows_first(array: NDArray[Any]) -> NDArray[Any]:
    return array.transpose(array.ndim - 1, *range(array.ndim - 1))
