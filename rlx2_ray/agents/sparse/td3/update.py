"""TD3's update, compiled: the losses of `critic.py` and `policy.py` in this folder with their gradients written out.

Shapes: B batch, O observation, A action, K window. Models and workspaces as in `kernels/network.py`.
"""

from __future__ import annotations

import numpy as np

from rlx2_ray.agents.sparse.batches import bootstrap, discounted_rewards, lanes_from, load
from rlx2_ray.agents.sparse.twin_critics import add_minimum, output_row, regress
from rlx2_ray.kernels.compiled import compiled, entry_point
from rlx2_ray.kernels.mathematics import tanh
from rlx2_ray.kernels.network import Model, backward, forward, input_deltas, turn_weights
from rlx2_ray.kernels.vectors import LANES
from rlx2_ray.types import Batch, Floats


@entry_point
def critic_gradient(
    critic: Model,
    target_policy: Model,
    target_critic: Model,
    batch: Batch,
    noise: Floats,
    discount: float,
    noise_clip: float,
) -> tuple[float, float]:
    """Add to the critics' gradient; returns (loss, mean of Q_1). `noise`: (A, B), from N(0, target_policy_noise)."""
    turn_weights(critic)
    gamma, clip = np.float32(discount), np.float32(noise_clip)
    factors, targets = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    size = batch.lengths.size
    loss, q_mean = 0.0, 0.0
    for first in range(0, size, LANES):
        _smoothed_actions(target_policy, target_critic, batch, noise, first, clip)
        discounted_rewards(batch, first, gamma, targets)
        for lane in range(lanes_from(first, size)):
            factors[lane] = bootstrap(batch, first + lane, gamma)
        add_minimum(target_critic, factors, first, size, targets)
        part = regress(critic, batch, first, targets)
        loss += part[0]
        q_mean += part[1]
    return loss, q_mean


@compiled
def _smoothed_actions(policy: Model, critic: Model, batch: Batch, noise: Floats, first: int, clip: np.float32) -> None:
    """Give the critics the last next observations and clip(pi'(s) + clip(noise)) there."""
    next_observations = batch.next_observations[-1]
    load(next_observations, first, policy.workspace, 0)
    load(next_observations, first, critic.workspace, 0)
    forward(policy, 0, policy.structure.layers.size)
    row = output_row(policy, 0, 1)
    for action in range(noise.shape[0]):
        smoothing = noise[action, first : first + LANES]
        target = critic.workspace[next_observations.shape[0] + action]
        _smooth(policy.workspace[row + action], smoothing, clip, target)


@compiled
def _smooth(outputs: Floats, noise: Floats, clip: np.float32, actions: Floats) -> None:
    """One action dimension of `_smoothed_actions`, apart so that its loop is compiled to vectors."""
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
