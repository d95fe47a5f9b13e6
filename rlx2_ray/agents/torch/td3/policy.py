"""TD3's policy: the deterministic policy gradient through the first critic (Fujimoto et al. 2018, arXiv 1802.09477)."""

from __future__ import annotations

from torch import Tensor

from rlx2_ray.agents.torch.values import q_value
from rlx2_ray.networks.masked_mlp import MLP, forward


def policy_loss(policy: MLP, critic: MLP, observations: Tensor) -> Tensor:
    """Returns the loss, a scalar: -mean Q_1(s, pi(s)). `observations` is (B, O)."""
    actions = forward(policy, observations).tanh()
    return -q_value(critic, observations, actions).mean()
