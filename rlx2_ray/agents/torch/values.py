"""Action values of twin critics, and the loss both TD3 and SAC fit them with."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from rlx2_ray.networks.masked_mlp import MLP, forward

Critics = tuple[MLP, MLP]


def q_value(critic: MLP, observations: Tensor, actions: Tensor) -> Tensor:
    """Returns Q(s, a), (B,), of observations (B, O) and actions (B, A)."""
    return forward(critic, torch.cat([observations, actions], dim=-1)).squeeze(-1)


def q_values(critics: Critics, observations: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
    """Returns Q(s, a), (B,), of each critic."""
    first, second = critics
    return q_value(first, observations, actions), q_value(second, observations, actions)


def pair_value(values: tuple[Tensor, Tensor], mean: float) -> Tensor:
    """Returns the minimum of two critics' values, or `mean` of the way from there to their mean.

    A blend is less pessimistic than the minimum of TD3, by which small networks may underestimate (arXiv 2506.01016).
    """
    low, high = torch.minimum(*values), torch.maximum(*values)
    return low + mean / 2 * (high - low)


def critic_loss(critics: Critics, observations: Tensor, actions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the loss, the sum over critics of the mean squared error against (B,) `targets`, and the mean of Q_1."""
    first, second = q_values(critics, observations, actions)
    return mse_loss(first, targets) + mse_loss(second, targets), first.mean()
