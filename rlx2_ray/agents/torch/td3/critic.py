"""TD3's critic: clipped double Q-learning with target policy smoothing (Fujimoto et al. 2018, arXiv 1802.09477).

The n-step form with its delay is RLx2's multi-step TD target (Tan et al. 2023, arXiv 2205.15043, section 4.1). Several
samples of the smoothing noise make it SD3's softmax operator (Pan et al. 2020, arXiv 2010.09177) for a single policy,
without the weights of importance sampling, which its released code has off by default.
Shapes: B batch, n window, O observation, A action, K samples. Actions are in [-1, 1].
"""

from __future__ import annotations

from torch import Tensor

from rlx2_ray.agents.torch.returns import bootstrap_discount, discounted_rewards
from rlx2_ray.agents.torch.tensors import TensorBatch
from rlx2_ray.agents.torch.values import Critics, pair_value, q_values
from rlx2_ray.networks.masked_mlp import MLP, forward


def target_q(
    batch: TensorBatch,
    target_policy: MLP,
    target_critics: Critics,
    noise: Tensor,
    discount: float,
    noise_clip: float,
    mean: float = 0.0,
    beta: float = 0.0,
) -> Tensor:
    """Returns the targets (B,): y = sum_k gamma^k r_k + gamma^m softmax_j(min_i Q_i'(s_m, clip(pi'(s_m) + clip(e_j)))).

    Args:
        noise: (B, K, A), the e_j, drawn from N(0, target_policy_noise).
        noise_clip: in units of the action bound.
        mean: of `pair_value`, which stands for the minimum.
        beta: of `softmax_mean`.
    """
    last_observations, samples = batch.next_observations[:, -1], noise.shape[1]
    smoothing = noise.clamp(-noise_clip, noise_clip)
    actions = (forward(target_policy, last_observations).tanh().unsqueeze(1) + smoothing).clamp(-1, 1)
    values = q_values(target_critics, last_observations.repeat_interleave(samples, 0), actions.flatten(0, 1))
    q = softmax_mean(pair_value(values, mean).view(-1, samples), beta)
    bootstrap = bootstrap_discount(batch.lengths, batch.terminated, discount, q.dtype)
    return discounted_rewards(batch.rewards, discount) + bootstrap * q


def softmax_mean(values: Tensor, beta: float) -> Tensor:
    """Returns (B,) means of (B, K) values, each weighted by softmax(beta * value) over its row."""
    return ((beta * values).softmax(-1) * values).sum(-1)
