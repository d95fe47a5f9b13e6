"""The regression of twin critics to their targets, compiled: what TD3 and SAC share."""

from __future__ import annotations

import numpy as np
from numba import njit

from rlx2_ray.agents.batches import lanes_from, load
from rlx2_ray.kernels.network import backward, forward
from rlx2_ray.kernels.vectors import LANES


@njit(error_model="numpy")
def output_row(model, network, networks):
    """The workspace row of the first output of a model's network."""
    depth = model.structure.layers.size // networks
    return model.structure.layers[(network + 1) * depth - 1].target


@njit(error_model="numpy")
def add_minimum(critic, factor_of, first, size, targets):
    """targets += factor_of[lane] * min(Q_1, Q_2), the critics being evaluated at what stands in the workspace."""
    forward(critic, 0, critic.structure.layers.size)
    one, other = output_row(critic, 0, 2), output_row(critic, 1, 2)
    for lane in range(lanes_from(first, size)):
        targets[lane] += factor_of[lane] * min(critic.workspace[one, lane], critic.workspace[other, lane])


@njit(error_model="numpy")
def regress(critic, batch, first, targets):
    """Add to the critics' gradient that of the mean squared error against (LANES,) `targets`, of samples from `first` on.

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
