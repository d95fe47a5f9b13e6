"""Sums of rewards and the discount of what follows them."""

from __future__ import annotations

import pytest
import torch

from rlx2_ray.agents.torch.returns import bootstrap_discount, discounted_rewards


@pytest.mark.parametrize(
    ("rewards", "discount", "total"),
    [
        ([1.0], 0.5, 1.0),
        ([1.0, 2.0, 4.0], 0.5, 3.0),  # 1 + 1 + 1
        ([1.0, 2.0, 4.0], 1.0, 7.0),
        ([1.0, 2.0, 4.0], 0.0, 1.0),
        ([3.0, -2.0, 0.0], 0.1, 2.8),
    ],
)
def test_discounted_rewards(rewards: list[float], discount: float, total: float) -> None:
    assert discounted_rewards(torch.tensor([rewards, rewards]), discount).tolist() == pytest.approx([total, total])


def test_bootstrap_discount() -> None:
    lengths, terminated = torch.tensor([1, 2, 3, 2]), torch.tensor([False, False, False, True])
    assert bootstrap_discount(lengths, terminated, 0.5, torch.float32).tolist() == [0.5, 0.25, 0.125, 0.0]
