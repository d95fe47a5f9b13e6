"""SAC of every slot: the losses of `agents/torch/sac/` with their gradients written out.

Haarnoja et al. 2018 (arXiv 1812.05905, equations 7 to 9 and appendix C); n-step windows are RLx2's (Tan et al. 2023,
arXiv 2205.15043). Shapes: P slots, B batch, n window, A action.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from rlx2_ray.agents.population.stack import Stack, backward, forward
from rlx2_ray.agents.population.trained import TrainedStack
from rlx2_ray.agents.population.twin_critics import pair_value, q_values
from rlx2_ray.agents.population.windows import Windows, bootstrap_discount, discounted_rewards
from rlx2_ray.networks.policy import LOG_STD_MAX, LOG_STD_MIN

HALF_RANGE = (LOG_STD_MAX - LOG_STD_MIN) / 2


class Sample(NamedTuple):
    """An action a = tanh(u), u = mean + std * noise, of outputs (mean, raw), and what its gradient needs."""

    actions: Tensor  # (..., A)
    log_probs: Tensor  # (...)
    spread: Tensor  # (..., A): std * noise
    squashed: Tensor  # (..., A): tanh(raw), by which log_std = -5 + 3.5 * (tanh(raw) + 1)


def sample(outputs: Tensor, noise: Tensor) -> Sample:
    """Draw where a policy gave `outputs` (..., 2A), with `noise` (..., A), standard normal."""
    mean, raw = outputs.chunk(2, -1)
    squashed = raw.tanh()
    log_std = LOG_STD_MIN + HALF_RANGE * (squashed + 1)
    spread = log_std.exp() * noise
    unsquashed = mean + spread
    log_normal = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
    log_jacobian = 2 * (math.log(2) - unsquashed - softplus(-2 * unsquashed))
    return Sample(unsquashed.tanh(), (log_normal - log_jacobian).sum(-1), spread, squashed)


def target_q(
    windows: Windows,
    policy: Stack,
    target_critics: Stack,
    noise: Tensor,
    powers: Tensor,
    temperature: Tensor,
    blend: Tensor,
) -> Tensor:
    """Returns (P, B).

    y = sum_k gamma^k r_k - sum_k gamma^(k+1) alpha log pi(a'_k|s_{k+1}) + gamma^m min_i Q_i'(s_m, a'_{m-1}), where a'_k
    is drawn from the current policy at s_{k+1}. A terminal state has neither entropy nor value.

    Args:
        windows: with every next observation, (P, B, n, O).
        noise: (P, B, n, A), standard normal.
        powers: (P, n + 1), of the discount.
        temperature: (P,), alpha.
        blend: (P,), of `pair_value`, which stands for the minimum.
    """
    outputs = forward(policy.all, windows.next_observations.flatten(1, 2)).outputs
    drawn = sample(outputs.view(*noise.shape[:3], -1), noise)
    steps = torch.arange(1, noise.shape[2] + 1, device=noise.device)
    lived = steps < (windows.lengths + ~windows.terminated).unsqueeze(-1)  # s_1 .. s_m, without a terminal s_m
    bonus = torch.where(lived, powers[:, None, 1:] * drawn.log_probs, 0.0).sum(-1)
    last = (windows.lengths - 1)[..., None, None].expand(-1, -1, 1, noise.shape[-1])
    actions = drawn.actions.gather(2, last).squeeze(2)
    q = pair_value(q_values(target_critics.all, windows.next_observations[:, :, -1], actions).q, blend)
    rewards, bootstrap = discounted_rewards(windows, powers), bootstrap_discount(windows, powers)
    return rewards - temperature.unsqueeze(1) * bonus + bootstrap * q


def policy_gradient(
    policy: TrainedStack, critics: Stack, observations: Tensor, noise: Tensor, temperature: Tensor
) -> tuple[Tensor, Tensor]:
    """Write the gradient of mean(alpha * log pi(a|s) - min_i Q_i(s, a)).

    Returns this loss and the mean of log pi(a|s), (P,) each. With u = mean + std * noise and a = tanh(u):
    d log pi / du = 2 a, du / d log_std = std * noise, d log pi / d log_std = 2 a * std * noise - 1, and
    d log_std / d raw = 3.5 * (1 - tanh(raw)^2). Of two equal critics each has half of the gradient.

    Args:
        noise: (P, B, A), standard normal.
        temperature: (P,), alpha.
    """
    passed = forward(policy.all, observations)
    drawn = sample(passed.outputs, noise)
    through_critics, q = q_values(critics.all, observations, drawn.actions)
    size = q.shape[-1]
    shares = (q < q.flip(1)) + 0.5 * (q == q.flip(1))
    by_q = (shares * (-1 / size)).flatten(0, 1).unsqueeze(-1)
    by_inputs = backward(critics.all, through_critics, by_q, None, to_inputs=True)
    by_actions = by_inputs[..., observations.shape[-1] :].reshape(-1, 2, *noise.shape[1:]).sum(1)
    alpha = (temperature / size).view(-1, 1, 1)
    by_mean = 2 * alpha * drawn.actions + by_actions * (1 - drawn.actions.square())
    by_raw = (by_mean * drawn.spread - alpha) * HALF_RANGE * (1 - drawn.squashed.square())
    backward(policy.all, passed, torch.cat([by_mean, by_raw], -1), policy.gradients, to_inputs=False)
    loss = temperature * drawn.log_probs.mean(-1) - q.amin(1).mean(-1)
    return loss, drawn.log_probs.mean(-1)
