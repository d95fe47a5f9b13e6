"""SAC's critic target (Haarnoja et al. 2018, arXiv 1812.05905) over n-step windows (RLx2, arXiv 2205.15043).

Shapes: B batch, n window, O observation, A action.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rlx2_ray.agents.torch.returns import bootstrap_discount, discounted_rewards
from rlx2_ray.agents.torch.sac.policy import sample_action
from rlx2_ray.agents.torch.tensors import TensorBatch
from rlx2_ray.agents.torch.values import Critics, pair_value, q_values
from rlx2_ray.networks.masked_mlp import MLP


def target_q(
    batch: TensorBatch,
    policy: MLP,
    target_critics: Critics,
    noise: Tensor,
    discount: float,
    temperature: Tensor,
    mean: float = 0.0,
) -> Tensor:
    """Returns the targets (B,).

    y = sum_k gamma^k r_k - sum_k gamma^(k+1) alpha log pi(a'_k|s_{k+1}) + gamma^m min_i Q_i'(s_m, a'_{m-1}).

    a'_k is drawn from the current policy at s_{k+1}. A terminal state has neither entropy nor value, for no action is
    taken there.

    Args:
        batch: with every next observation of the windows, (B, n, O).
        noise: (B, n, A), standard normal.
        mean: of `pair_value`, which stands for the minimum.
    """
    actions, log_probs = sample_action(policy, batch.next_observations, noise)  # (B, n, A), (B, n)
    steps = torch.arange(1, log_probs.shape[1] + 1, device=log_probs.device)
    lived = steps < (batch.lengths + ~batch.terminated).unsqueeze(1)  # states s_1 .. s_m, without a terminal s_m
    bonus = torch.where(lived, discount ** steps.to(log_probs.dtype) * log_probs, 0.0).sum(1)
    last = (batch.lengths - 1).view(-1, 1, 1).expand(-1, 1, actions.shape[-1])
    last_actions = actions.gather(1, last).squeeze(1)
    q = pair_value(q_values(target_critics, batch.next_observations[:, -1], last_actions), mean)
    bootstrap = bootstrap_discount(batch.lengths, batch.terminated, discount, q.dtype)
    return discounted_rewards(batch.rewards, discount) - temperature * bonus + bootstrap * q
