"""SAC's policy: a tanh-squashed Gaussian (Haarnoja et al. 2018, arXiv 1812.05905, equations 7 to 9 and appendix C).

Shapes: B batch (any leading axes), O observation, A action.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from rlx2_ray.agents.torch.values import Critics, q_values
from rlx2_ray.networks.masked_mlp import MLP, forward
from rlx2_ray.networks.policy import LOG_STD_MAX, LOG_STD_MIN


def sample_action(policy: MLP, observations: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the action tanh(mean + std * noise), (B, A), and the log of its probability density, (B,).

    log_std = -5 + 3.5 * (tanh(raw) + 1), in [-5, 2]. `noise` is (B, A), standard normal.
    log(1 - tanh(u)^2) is written as 2 * (log 2 - u - softplus(-2u)), which does not lose precision at large |u|.
    """
    mean, raw = forward(policy, observations).chunk(2, dim=-1)
    log_std = LOG_STD_MIN + (LOG_STD_MAX - LOG_STD_MIN) / 2 * (raw.tanh() + 1)
    unsquashed = mean + log_std.exp() * noise
    log_normal = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
    log_jacobian = 2 * (math.log(2) - unsquashed - softplus(-2 * unsquashed))
    return unsquashed.tanh(), (log_normal - log_jacobian).sum(-1)


def policy_loss(
    policy: MLP, critics: Critics, observations: Tensor, noise: Tensor, temperature: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns the loss, a scalar: mean(alpha * log pi(a|s) - min_i Q_i(s, a)); and log pi(a|s), (B,)."""
    actions, log_probs = sample_action(policy, observations, noise)
    q = torch.minimum(*q_values(critics, observations, actions))
    return (temperature * log_probs - q).mean(), log_probs
