"""TD3 of every slot: the losses of `agents/torch/td3/` with their gradients written out.

Fujimoto et al. 2018 (arXiv 1802.09477); the n-step form with its delay is RLx2's (Tan et al. 2023, arXiv 2205.15043,
section 4.1). Shapes: P slots, B batch, A action, K samples of a target in the slot that has most.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rlx2_ray.agents.population.stack import Networks, Stack, backward, forward
from rlx2_ray.agents.population.trained import TrainedStack
from rlx2_ray.agents.population.twin_critics import pair_value, q_values
from rlx2_ray.agents.population.windows import Windows, bootstrap_discount, discounted_rewards


class Softmax(NamedTuple):
    """Over the values of the actions that a target draws, as `agents/torch/td3/critic.py` has it; (P,) each."""

    beta: Tensor
    samples: Tensor  # int64: how many of the K drawn count


def target_q(
    windows: Windows,
    target_policy: Networks,
    target_critics: Networks,
    noise: Tensor,
    clip: Tensor,
    powers: Tensor,
    blend: Tensor,
    softmax: Softmax,
) -> Tensor:
    """Returns (P, B): y = sum_k gamma^k r_k + gamma^m softmax_j(min_i Q_i'(s_m, clip(pi'(s_m) + clip(e_j)))).

    Args:
        noise: (P, B, K, A), the e_j, from N(0, target_policy_noise).
        clip: (P,), of the noise, in units of the action bound.
        powers: (P, n + 1), of the discount.
        blend: (P,), of `pair_value`, which stands for the minimum.
        softmax: over the samples j.
    """
    last, samples = windows.next_observations[:, :, -1], noise.shape[2]
    bound = clip.view(-1, 1, 1, 1)
    smoothing = torch.minimum(torch.maximum(noise, -bound), bound)
    means = forward(target_policy, last).outputs.tanh().unsqueeze(2)
    actions = (means + smoothing).clamp(-1, 1).flatten(1, 2)
    q = pair_value(q_values(target_critics, last.repeat_interleave(samples, 1), actions).q, blend)
    value = softmax_mean(q.view(*last.shape[:2], samples), softmax)
    return discounted_rewards(windows, powers) + bootstrap_discount(windows, powers) * value


def softmax_mean(values: Tensor, softmax: Softmax) -> Tensor:
    """Returns (P, B) means of the first values of (P, B, K), each weighted by its softmax(beta * value)."""
    beyond = torch.arange(values.shape[-1], device=values.device) >= softmax.samples.view(-1, 1, 1)
    weights = (softmax.beta.view(-1, 1, 1) * values).masked_fill(beyond, -torch.inf).softmax(-1)
    return (weights * values).sum(-1)


def policy_gradient(policy: TrainedStack, critics: Stack, observations: Tensor) -> Tensor:
    """Write the gradient of -mean Q_1(s, pi(s)); returns this loss, (P,)."""
    passed = forward(policy.all, observations)
    actions = passed.outputs.tanh()
    through_critics = forward(critics.first, torch.cat([observations, actions], -1))
    q = through_critics.outputs
    by_q = torch.full_like(q, -1 / q.shape[1])
    by_actions = backward(critics.first, through_critics, by_q, None, to_inputs=True)[..., observations.shape[-1] :]
    backward(policy.all, passed, by_actions * (1 - actions.square()), policy.gradients, to_inputs=False)
    return -q.mean((1, 2))
