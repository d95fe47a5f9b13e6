"""The way of a batch into a model's workspace, LANES samples at a time, and its arithmetic there."""

from __future__ import annotations

import numpy as np

from rlx2_ray.kernels.compiled import compiled
from rlx2_ray.kernels.vectors import LANES
from rlx2_ray.types import Batch, Floats


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
def discounted_rewards(batch: Batch, first: int, discount: np.float32, targets: Floats) -> None:
    """Write (LANES,) targets: the sum over k of discount^k * rewards[k]."""
    count = lanes_from(first, batch.lengths.size)
    for lane in range(count):
        targets[lane] = batch.rewards[0, first + lane]
    factor = np.float32(1)
    for step in range(1, batch.rewards.shape[0]):
        factor *= discount
        for lane in range(count):
            targets[lane] += factor * batch.rewards[step, first + lane]


@compiled
def bootstrap(batch: Batch, sample: int, discount: np.float32) -> np.float32:
    """discount^m where the window of a sample has m steps, or 0 where it ends in a terminal state."""
    return np.float32(0) if batch.terminated[sample] else discount ** batch.lengths[sample]
