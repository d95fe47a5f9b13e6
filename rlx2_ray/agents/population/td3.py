"""TD3 of every slot: the losses of `agents/torch/td3/` with their gradients written out.

Fujimoto et al. 2018 (arXiv 1802.09477); the n-step form with its delay is RLx2's (Tan et al. 2023, arXiv 2205.15043,
section 4.1). Shapes: P slots, B batch, A action.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rlx2_ray.agents.population.stack import Stack, backward, forward
from rlx2_ray.agents.population.trained import TrainedStack
from rlx2_ray.agents.population.twin_critics import pair_value, q_values
from rlx2_ray.agents.population.windows import Windows, bootstrap_discount, discounted_rewards


def target_q(
    windows: Windows,
    target_policy: Stack,
    target_critics: Stack,
    noise: Tensor,
    clip: Tensor,
    powers: Tensor,
    blend: Tensor,
) -> Tensor:
    """Returns (P, B): y = sum_k gamma^k r_k + gamma^m min_i Q_i'(s_m, clip(pi'(s_m) + clip(noise))).

    Args:
        noise: (P, B, A), from N(0, target_policy_noise).
        clip: (P,), of the noise, in units of the action bound.
        powers: (P, n + 1), of the discount.
        blend: (P,), of `pair_value`, which stands for the minimum.
    """
    last = windows.next_observations[:, :, -1]
    bound = clip.view(-1, 1, 1)
    smoothing = torch.minimum(torch.maximum(noise, -bound), bound)
    actions = (forward(target_policy.layers, last)[-1].tanh() + smoothing).clamp(-1, 1)
    q = pair_value(q_values(target_critics, last, actions).q, blend)
    return discounted_rewards(windows, powers) + bootstrap_discount(windows, powers) * q


def policy_gradient(policy: TrainedStack, critics: Stack, observations: Tensor) -> Tensor:
    """Write the gradient of -mean Q_1(s, pi(s)); returns this loss, (P,)."""
    values = forward(policy.layers, observations)
    actions = values[-1].tanh()
    critic_values = forward(critics.first, torch.cat([observations, actions], -1))
    q = critic_values[-1]
    by_q = torch.full_like(q, -1 / q.shape[1])
    by_actions = backward(critics.first, critic_values, by_q, None, to_inputs=True)[..., observations.shape[-1] :]
    backward(policy.layers, values, by_actions * (1 - actions.square()), policy.gradients, to_inputs=False)
    return -q.mean((1, 2))
