"""The regression of twin critics to their targets, compiled: what TD3 and SAC share."""

from __future__ import annotations

import numpy as np

from rlx2_ray.agents.sparse.batches import lanes_from, load
from rlx2_ray.kernels.compiled import compiled
from rlx2_ray.kernels.network import Model, backward, forward
from rlx2_ray.kernels.vectors import LANES
from rlx2_ray.types import Batch, Floats


@compiled
def output_row(model: Model, network: int, networks: int) -> int:
    """The workspace row of the first output of a model's network."""
    depth = model.structure.layers.size // networks
    row: int = model.structure.layers[(network + 1) * depth - 1].target
    return row


@compiled
def pair_values(critic: Model, mean: np.float32, values: Floats) -> None:
    """Write (LANES,) values of the critics at what stands in their workspace: `pair_value` of `agents/torch`."""
    forward(critic, 0, critic.structure.layers.size)
    one, other = output_row(critic, 0, 2), output_row(critic, 1, 2)
    share = mean / np.float32(2)
    for lane in range(LANES):
        low = min(critic.workspace[one, lane], critic.workspace[other, lane])
        high = max(critic.workspace[one, lane], critic.workspace[other, lane])
        values[lane] = low + share * (high - low)


@compiled
def regress(critic: Model, batch: Batch, first: int, targets: Floats) -> tuple[float, float]:
    """Add to the critics' gradient that of the mean squared error against (LANES,) `targets`, of LANES samples.

    Returns these samples' part of the loss and of the mean of Q_1.
    """
    workspace = critic.workspace
    size = batch.lengths.size
    depth = critic.structure.layers.size // 2
    load(batch.observations, first, workspace, 0)
    load(batch.actions, first, workspace, batch.observations.shape[0])
    forward(critic, 0, 2 * depth)
    loss, q_sum = 0.0, 0.0
    count = lanes_from(first, size)
    scale = np.float32(2 / size)
    for network in range(2):
        row = output_row(critic, network, 2)
        for lane in range(LANES):
            if lane < count:
                error = workspace[row, lane] - targets[lane]
                loss += error * error
                q_sum += workspace[row, lane] if network == 0 else 0.0
                workspace[row, lane] = scale * error
            else:
                workspace[row, lane] = 0
        backward(critic, network * depth, (network + 1) * depth, True)
    return loss / size, q_sum / size
