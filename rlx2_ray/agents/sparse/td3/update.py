"""TD3's update, compiled: the losses of `critic.py` and `policy.py` in this folder with their gradients written out.

Shapes: B batch, O observation, A action, K samples of a target. Models and workspaces as in `kernels/network.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rlx2_ray.agents.sparse.batches import bootstrap, discounted_rewards, lanes_from, load
from rlx2_ray.agents.sparse.twin_critics import output_row, pair_values, regress
from rlx2_ray.kernels.compiled import compiled, entry_point
from rlx2_ray.kernels.mathematics import exp, tanh
from rlx2_ray.kernels.network import Model, backward, forward, input_deltas, turn_weights
from rlx2_ray.kernels.vectors import LANES
from rlx2_ray.types import Batch, Floats


class Target(NamedTuple):
    """The numbers that say what a target is."""

    discount: float
    noise_clip: float
    mean: float  # as of `pair_values`
    beta: float  # of the softmax over samples


@entry_point
def critic_gradient(
    critic: Model, target_policy: Model, target_critic: Model, batch: Batch, noise: Floats, target: Target
) -> tuple[float, float]:
    """Add to the critics' gradient; returns (loss, mean of Q_1). `noise`: (A, K, B), from N(0, target_policy_noise)."""
    turn_weights(critic)
    gamma = np.float32(target.discount)
    values, targets = np.empty((noise.shape[1], LANES), np.float32), np.empty(LANES, np.float32)
    size = batch.lengths.size
    loss, q_mean = 0.0, 0.0
    for first in range(0, size, LANES):
        _sampled_values(target_policy, target_critic, batch, noise, first, target, values)
        _softmax_mean(values, np.float32(target.beta))
        discounted_rewards(batch, first, gamma, targets)
        for lane in range(lanes_from(first, size)):
            targets[lane] += bootstrap(batch, first + lane, gamma) * values[0, lane]
        part = regress(critic, batch, first, targets)
        loss += part[0]
        q_mean += part[1]
    return loss, q_mean


@compiled
def _sampled_values(
    policy: Model, critic: Model, batch: Batch, noise: Floats, first: int, target: Target, values: Floats
) -> None:
    """Write (K, LANES) values at the last next observations and clip(pi'(s) + clip(noise)) there."""
    next_observations = batch.next_observations[-1]
    load(next_observations, first, policy.workspace, 0)
    load(next_observations, first, critic.workspace, 0)
    forward(policy, 0, policy.structure.layers.size)
    row = output_row(policy, 0, 1)
    for sample in range(values.shape[0]):
        for action in range(noise.shape[0]):
            smoothing = noise[action, sample, first : first + LANES]
            actions = critic.workspace[next_observations.shape[0] + action]
            _smooth(policy.workspace[row + action], smoothing, np.float32(target.noise_clip), actions)
        pair_values(critic, np.float32(target.mean), values[sample])


@compiled
def _softmax_mean(values: Floats, beta: np.float32) -> None:
    """Write into the first row of (K, LANES) the mean of each lane, weighted by softmax(beta * value)."""
    if values.shape[0] == 1:
        return
    for lane in range(LANES):
        highest = values[0, lane]
        for sample in range(1, values.shape[0]):
            highest = max(highest, values[sample, lane])
        weights, total = np.float32(0), np.float32(0)
        for sample in range(values.shape[0]):
            below = values[sample, lane] - highest
            weight = exp(beta * below)
            weights += weight
            total += weight * below
        values[0, lane] = highest + total / weights


@compiled
def _smooth(outputs: Floats, noise: Floats, clip: np.float32, actions: Floats) -> None:
    """One action dimension of `_sampled_values`, apart so that its loop is compiled to vectors."""
    one = np.float32(1)
    for lane in range(noise.size):
        smoothing = min(max(noise[lane], -clip), clip)
        actions[lane] = min(max(tanh(outputs[lane]) + smoothing, -one), one)


@entry_point
def policy_gradient(policy: Model, critic: Model, batch: Batch) -> float:
    """Add to the policy's gradient that of -mean Q_1(s, pi(s)); returns this loss."""
    turn_weights(policy)
    turn_weights(critic)
    size = batch.lengths.size
    observations = batch.observations.shape[0]
    actions = batch.actions.shape[0]
    depth, critic_depth = policy.structure.layers.size, critic.structure.layers.size // 2
    policy_row, critic_row = output_row(policy, 0, 1), output_row(critic, 0, 2)
    loss = 0.0
    for first in range(0, size, LANES):
        count = lanes_from(first, size)
        load(batch.observations, first, policy.workspace, 0)
        load(batch.observations, first, critic.workspace, 0)
        forward(policy, 0, depth)
        for action in range(actions):
            for lane in range(LANES):
                value = tanh(policy.workspace[policy_row + action, lane])
                policy.workspace[policy_row + action, lane] = value
                critic.workspace[observations + action, lane] = value
        forward(critic, 0, critic_depth)
        for lane in range(LANES):
            loss -= critic.workspace[critic_row, lane] if lane < count else 0.0
            critic.workspace[critic_row, lane] = np.float32(-1 / size) if lane < count else np.float32(0)
        backward(critic, 0, critic_depth, False)
        input_deltas(critic, 0, False)
        for action in range(actions):
            for lane in range(LANES):
                value = policy.workspace[policy_row + action, lane]
                slope = np.float32(1) - value * value
                policy.workspace[policy_row + action, lane] = critic.workspace[observations + action, lane] * slope
        backward(policy, 0, depth, True)
    return loss / size
