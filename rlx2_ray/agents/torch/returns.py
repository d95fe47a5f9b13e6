"""Arithmetic of n-step windows shared by the TD3 and SAC targets.

B windows of up to n steps; window b has `lengths[b]` = m steps, its rewards past m are 0. The value at its end is
discounted by gamma to the number of rewards actually summed, and is absent after a terminal state
(Sutton & Barto 2018, section 7.1; truncation is no terminal state: Pardo et al. 2018, arXiv 1712.00378).
"""

from __future__ import annotations

import torch
from torch import Tensor


def discounted_rewards(rewards: Tensor, discount: float) -> Tensor:
    """Returns (B,): the sum over k of discount^k * rewards[:, k]; `rewards` is (B, n)."""
    powers = discount ** torch.arange(rewards.shape[1], dtype=rewards.dtype, device=rewards.device)
    return rewards @ powers


def bootstrap_discount(lengths: Tensor, terminated: Tensor, discount: float, dtype: torch.dtype) -> Tensor:
    """Returns (B,): discount^m, or 0 where the window ends in a terminal state."""
    return torch.where(terminated, 0.0, discount ** lengths.to(dtype))
