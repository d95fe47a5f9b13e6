"""A replay batch as compiled updates read it, and its way into a model's workspace, LANES samples at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rlx2_ray.kernels.compiled import compiled
from rlx2_ray.kernels.vectors import LANES
from rlx2_ray.types import Batch, Bools, Floats, Indices


class FeatureMajor(NamedTuple):
    """The fields of `types.Batch` with the batch as last axis, each array contiguous."""

    observations: Floats  # (O, B)
    actions: Floats  # (A, B)
    rewards: Floats  # (n, B)
    next_observations: Floats  # (K, O, B)
    lengths: Indices  # (B,)
    terminated: Bools  # (B,)


def feature_major(batch: Batch) -> FeatureMajor:
    """Without a copy where the replay buffer already gathered it so."""
    return FeatureMajor(
        np.ascontiguousarray(batch.observations.T),
        np.ascontiguousarray(batch.actions.T),
        np.ascontiguousarray(batch.rewards.T),
        np.ascontiguousarray(batch.next_observations.transpose(1, 2, 0)),
        batch.lengths,
        batch.terminated,
    )


@compiled
def lanes_from(first: int, size: int) -> int:
    """How many lanes of the piece that begins at sample `first` hold samples of a batch of `size`."""
    return min(LANES, size - first)


@compiled
def load(values: Floats, first: int, workspace: Floats, row: int) -> None:
    """Copy samples from `first` on of (units, B) into the workspace from `row` on; lanes beyond B keep what they held.

    What those hold is finite, and has no effect: their deltas are zero.
    """
    count = lanes_from(first, values.shape[1])
    for unit in range(values.shape[0]):
        for lane in range(count):
            workspace[row + unit, lane] = values[unit, first + lane]


@compiled
def discounted_rewards(batch: FeatureMajor, first: int, discount: np.float32, targets: Floats) -> None:
    """(LANES,) targets: sum over k of discount^k * rewards[k]."""
    count = lanes_from(first, batch.lengths.size)
    for lane in range(count):
        targets[lane] = batch.rewards[0, first + lane]
    factor = np.float32(1)
    for step in range(1, batch.rewards.shape[0]):
        factor *= discount
        for lane in range(count):
            targets[lane] += factor * batch.rewards[step, first + lane]


@compiled
def bootstrap(batch: FeatureMajor, sample: int, discount: np.float32) -> np.float32:
    """discount^m where the window of a sample has m steps, or 0 where it ends in a terminal state."""
    return np.float32(0) if batch.terminated[sample] else discount ** batch.lengths[sample]
