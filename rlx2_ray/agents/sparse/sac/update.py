"""SAC's update, compiled: the losses of `critic.py` and `policy.py` in this folder with their gradients written out.

Shapes: B batch, n window, O observation, A action. Models and workspaces as in `kernels/network.py`.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from rlx2_ray.agents.sparse.batches import bootstrap, discounted_rewards, lanes_from, load
from rlx2_ray.agents.sparse.twin_critics import output_row, pair_values, regress
from rlx2_ray.kernels.compiled import compiled, entry_point
from rlx2_ray.kernels.mathematics import exp, softplus, tanh
from rlx2_ray.kernels.network import Model, backward, forward, input_deltas, turn_weights
from rlx2_ray.kernels.vectors import LANES
from rlx2_ray.networks.policy import LOG_STD_MAX, LOG_STD_MIN
from rlx2_ray.types import Batch, Floats

HALF_RANGE: Final = np.float32((LOG_STD_MAX - LOG_STD_MIN) / 2)
LOWEST: Final = np.float32(LOG_STD_MIN)
LOG_2: Final = np.float32(math.log(2))
HALF_LOG_2_PI: Final = np.float32(0.5 * math.log(2 * math.pi))
ONE, TWO, HALF = np.float32(1), np.float32(2), np.float32(0.5)


@compiled
def _sample(policy: Model, noise: Floats, step: int, first: int, actions: Floats, log_probs: Floats) -> None:
    """Draw actions where the policy's outputs stand in its workspace, as `policy.sample_action` does.

    Args:
        noise: (A, n, B); those of `step` are this draw's.
        actions: (A, LANES), written, as are log_probs (LANES,).
    """
    mean_row = output_row(policy, 0, 1)
    raw_row = mean_row + actions.shape[0]
    log_probs[:] = 0
    for action in range(actions.shape[0]):
        normals = noise[action, step, first : first + LANES]
        means, raws = policy.workspace[mean_row + action], policy.workspace[raw_row + action]
        _sample_dimension(means, raws, normals, actions[action], log_probs)


@compiled
def _sample_dimension(means: Floats, raws: Floats, normals: Floats, actions: Floats, log_probs: Floats) -> None:
    """One action dimension of `_sample`, apart so that its loop is compiled to vectors."""
    for lane in range(normals.size):
        normal = normals[lane]
        log_std = LOWEST + HALF_RANGE * (tanh(raws[lane]) + ONE)
        unsquashed = means[lane] + exp(log_std) * normal
        log_normal = -HALF * normal * normal - log_std - HALF_LOG_2_PI
        log_jacobian = TWO * (LOG_2 - unsquashed - softplus(-TWO * unsquashed))
        actions[lane] = tanh(unsquashed)
        log_probs[lane] += log_normal - log_jacobian


@entry_point
def critic_gradient(
    critic: Model,
    policy: Model,
    target_critic: Model,
    batch: Batch,
    noise: Floats,
    discount: float,
    temperature: np.float32,
    mean: float,
) -> tuple[float, float]:
    """Add to the critics' gradient; returns (loss, mean of Q_1). `noise`: (A, n, B), standard normal.

    `mean`: as of `pair_values`.
    """
    turn_weights(critic)
    gamma = np.float32(discount)
    size = batch.lengths.size
    values, targets = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    loss, q_mean = 0.0, 0.0
    for first in range(0, size, LANES):
        discounted_rewards(batch, first, gamma, targets)
        _add_entropies(policy, target_critic, batch, noise, first, gamma, temperature, targets)
        load(batch.next_observations[-1], first, target_critic.workspace, 0)
        pair_values(target_critic, np.float32(mean), values)
        for lane in range(lanes_from(first, size)):
            targets[lane] += bootstrap(batch, first + lane, gamma) * values[lane]
        part = regress(critic, batch, first, targets)
        loss += part[0]
        q_mean += part[1]
    return loss, q_mean


@compiled
def _add_entropies(
    policy: Model,
    critic: Model,
    batch: Batch,
    noise: Floats,
    first: int,
    discount: np.float32,
    temperature: np.float32,
    targets: Floats,
) -> None:
    """Targets gain the discounted entropies along their windows; the critics are given each window's last action."""
    observations, size = batch.observations.shape[0], batch.actions.shape[0]
    actions, log_probs = np.empty((size, LANES), np.float32), np.empty(LANES, np.float32)
    factor = ONE
    for step in range(batch.next_observations.shape[0]):
        factor *= discount
        load(batch.next_observations[step], first, policy.workspace, 0)
        forward(policy, 0, policy.structure.layers.size)
        _sample(policy, noise, step, first, actions, log_probs)
        for lane in range(lanes_from(first, batch.lengths.size)):
            is_last = batch.lengths[first + lane] == step + 1
            # A terminal state has no entropy, for no action is taken there; past the window's end there is nothing.
            if step + 1 < batch.lengths[first + lane] or (is_last and not batch.terminated[first + lane]):
                targets[lane] -= temperature * factor * log_probs[lane]
            if is_last:
                for action in range(size):
                    critic.workspace[observations + action, lane] = actions[action, lane]


@entry_point
def policy_gradient(
    policy: Model, critic: Model, batch: Batch, noise: Floats, temperature: np.float32
) -> tuple[float, float]:
    """Add to the policy's gradient that of mean(alpha * log pi(a|s) - min_i Q_i(s, a)).

    `noise`: (A, 1, B), standard normal. Returns (loss, mean of log pi).
    """
    turn_weights(policy)
    turn_weights(critic)
    size = batch.lengths.size
    observations = batch.observations.shape[0]
    depth = policy.structure.layers.size
    log_probs = np.empty(LANES, np.float32)
    actions = critic.workspace[observations : observations + batch.actions.shape[0]]
    loss, log_prob_sum = 0.0, 0.0
    for first in range(0, size, LANES):
        load(batch.observations, first, policy.workspace, 0)
        load(batch.observations, first, critic.workspace, 0)
        forward(policy, 0, depth)
        _sample(policy, noise, 0, first, actions, log_probs)
        sampled = actions.copy()
        loss -= _minimum_deltas(critic, lanes_from(first, size), size)
        for lane in range(lanes_from(first, size)):
            loss += temperature * log_probs[lane]
            log_prob_sum += log_probs[lane]
        _policy_deltas(policy, noise, first, sampled, actions, temperature / np.float32(size))
        backward(policy, 0, depth, True)
    return loss / size, log_prob_sum / size


@compiled
def _minimum_deltas(critic: Model, count: int, size: int) -> float:
    """Deltas of the inputs by -mean min(Q_1, Q_2), in their place; returns the sum of the minima over `count` lanes."""
    depth = critic.structure.layers.size // 2
    workspace = critic.workspace
    forward(critic, 0, 2 * depth)
    one, other = output_row(critic, 0, 2), output_row(critic, 1, 2)
    total = 0.0
    each = np.float32(-1 / size)
    for lane in range(LANES):
        first, second = workspace[one, lane], workspace[other, lane]
        share = HALF if first == second else (ONE if first < second else np.float32(0))
        weight = each if lane < count else np.float32(0)
        workspace[one, lane], workspace[other, lane] = weight * share, weight * (ONE - share)
        total += float(min(first, second)) if lane < count else 0.0
    for network in range(2):
        backward(critic, network * depth, (network + 1) * depth, False)
    for network in range(2):
        input_deltas(critic, network * depth, network == 1)
    return total


@compiled
def _policy_deltas(
    policy: Model, noise: Floats, first: int, actions: Floats, action_deltas: Floats, weight: np.float32
) -> None:
    """Deltas of the policy's outputs, in their place. `weight`: temperature / B, the weight of a sample's log pi.

    With u before the squashing, d log pi / du = 2 tanh(u) and d log pi / d log_std = -1 besides what goes through u.
    """
    mean_row = output_row(policy, 0, 1)
    raw_row = mean_row + actions.shape[0]
    for action in range(actions.shape[0]):
        normals = noise[action, 0, first : first + LANES]
        means, raws = policy.workspace[mean_row + action], policy.workspace[raw_row + action]
        _dimension_deltas(means, raws, normals, actions[action], action_deltas[action], weight)


@compiled
def _dimension_deltas(
    means: Floats, raws: Floats, normals: Floats, actions: Floats, action_deltas: Floats, weight: np.float32
) -> None:
    """One action dimension of `_policy_deltas`."""
    for lane in range(normals.size):
        value = actions[lane]
        squashed = tanh(raws[lane])
        std = exp(LOWEST + HALF_RANGE * (squashed + ONE))
        by_unsquashed = action_deltas[lane] * (ONE - value * value) + weight * TWO * value
        by_log_std = by_unsquashed * std * normals[lane] - weight
        means[lane] = by_unsquashed
        raws[lane] = by_log_std * HALF_RANGE * (ONE - squashed * squashed)
    means[normals.size :] = 0
    raws[normals.size :] = 0
