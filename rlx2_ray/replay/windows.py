"""n-step windows out of lanes, as batches. What a window is stands in `kernels.windows`, which does the work.

A batch's arrays are views: the windows lie side by side in memory, so `batch.observations.T` is C-contiguous, and so is
every other array whose first axis is moved to the end. That is what a compiled learner reads.
"""

from __future__ import annotations

import numpy as np

from rlx2_ray.kernels.windows import LiveRows, Windows
from rlx2_ray.replay.lane import Lane
from rlx2_ray.types import Batch


def make_windows(batch_size: int, n_step: int, every_step: bool, observation_size: int, action_size: int) -> Windows:
    """Room for windows of up to `n_step` steps.

    `every_step` False: `next_observations` has only the one that the target bootstraps from (K = 1), else K = n_step.
    """
    return Windows(
        inputs=np.empty((observation_size + action_size, batch_size), np.float32),
        rewards=np.empty((n_step, batch_size), np.float32),
        next_observations=np.empty((n_step if every_step else 1, observation_size, batch_size), np.float32),
        lengths=np.empty(batch_size, np.int64),
        terminated=np.empty(batch_size, np.bool_),
    )


def live_rows(lane: Lane, first: int) -> LiveRows:
    """The live rows of `lane`, numbered from `first` on."""
    return LiveRows(lane.packed, lane.columns.flag, lane.tail % lane.rows, first, lane.head - lane.tail)


def as_batch(windows: Windows) -> Batch:
    inputs, rewards, next_observations, lengths, terminated = windows
    observation_size = next_observations.shape[1]
    return Batch(
        observations=inputs[:observation_size].T,
        actions=inputs[observation_size:].T,
        rewards=rewards.T,
        next_observations=next_observations.transpose(2, 0, 1),
        lengths=lengths,
        terminated=terminated,
    )
