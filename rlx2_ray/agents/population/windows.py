"""The batch of an update: windows of every slot, as `types.Batch` has them of one run, with the slots before."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Windows(NamedTuple):
    """P slots, B windows of up to n steps, K = n next observations or, where only the last is asked for, 1."""

    observations: Tensor  # (P, B, O)
    actions: Tensor  # (P, B, A)
    rewards: Tensor  # (P, B, n), 0 past the end of a window
    next_observations: Tensor  # (P, B, K, O)
    lengths: Tensor  # (P, B)
    terminated: Tensor  # (P, B)


def discounted_rewards(windows: Windows, powers: Tensor) -> Tensor:
    """(P, B): the sum over k of discount^k * r_k; `powers` (P, n + 1) of each slot's discount, from 0 on."""
    return (windows.rewards * powers[:, None, :-1]).sum(-1)


def bootstrap_discount(windows: Windows, powers: Tensor) -> Tensor:
    """(P, B): discount^m of a window of m steps, or 0 where it ends in a terminal state (Sutton & Barto 2018, 7.1)."""
    return powers.gather(1, windows.lengths).masked_fill(windows.terminated, 0)
