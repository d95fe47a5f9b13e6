"""TD3's critic: clipped double Q-learning with target policy smoothing (Fujimoto et al. 2018, arXiv 1802.09477).

The n-step form with its delay is RLx2's multi-step TD target (Tan et al. 2023, arXiv 2205.15043, section 4.1).
Shapes: B batch, n window, O observation, A action. Actions are in [-1, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor

from rlx2_ray.agents.torch.returns import bootstrap_discount, discounted_rewards
from rlx2_ray.agents.torch.tensors import TensorBatch
from rlx2_ray.agents.torch.values import Critics, q_values
from rlx2_ray.networks.masked_mlp import MLP, forward


def target_q(
    batch: TensorBatch,
    target_policy: MLP,
    target_critics: Critics,
    noise: Tensor,
    discount: float,
    noise_clip: float,
) -> Tensor:
    """Returns the targets (B,): y = sum_k gamma^k r_k + gamma^m min_i Q_i'(s_m, clip(pi'(s_m) + clip(noise))).

    Args:
        noise: (B, A), drawn from N(0, target_policy_noise).
        noise_clip: in units of the action bound.
    """
    last_observations = batch.next_observations[:, -1]
    smoothing = noise.clamp(-noise_clip, noise_clip)
    actions = (forward(target_policy, last_observations).tanh() + smoothing).clamp(-1, 1)
    q = torch.minimum(*q_values(target_critics, last_observations, actions))
    bootstrap = bootstrap_discount(batch.lengths, batch.terminated, discount, q.dtype)
    return discounted_rewards(batch.rewards, discount) + bootstrap * q
