"""TD3's target, worked by hand over one observation and one action.

Q1 = o + 2a, Q2 = o - a + 0.5, discount 0.5, noise clipped at 0.5.
"""

from __future__ import annotations

import pytest
import torch

from rlx2_ray.agents.torch.td3.critic import target_q
from rlx2_ray.agents.torch.tensors import TensorBatch
from rlx2_ray.agents.torch.values import Critics
from rlx2_ray.networks.masked_mlp import MLP, make_mlp
from tests.networks.networks import full_layer


def linear(weights: list[float], bias: float) -> MLP:
    return make_mlp((full_layer([weights], [bias]),), "cpu", trainable=False)


CRITICS: Critics = (linear([1, 2], 0), linear([1, -1], 0.5))


def window(rewards: list[float], length: int, last_observation: float, terminated: bool) -> TensorBatch:
    return TensorBatch(
        torch.zeros(1, 1),
        torch.zeros(1, 1),
        torch.tensor([rewards], dtype=torch.float32),
        torch.tensor([[[-99.0], [-99.0], [last_observation]]]),  # only the last may be looked at
        torch.tensor([length]),
        torch.tensor([terminated]),
    )


@pytest.mark.parametrize(
    ("name", "batch", "noise", "target"),
    [
        # a = 0.5: Q = (9, 8); 1 + 0.5 * 2 + 0.25 * 4 + 0.125 * 8
        ("full window", window([1, 2, 4], 3, 8, False), 3.0, 4.0),
        # a = -0.5: Q = (5, 7); 1 + 0.5 * 2 + 0.25 * 5, for only two rewards were summed
        ("truncated inside", window([1, 2, 0], 2, 6, False), -3.0, 3.25),
        ("terminated at once", window([5, 0, 0], 1, 6, True), 0.0, 5.0),
        ("terminated at the end", window([1, 2, 4], 3, 8, True), 0.0, 3.0),
        # a = 0.25: Q = (8.5, 8.25); the noise is within its bounds
        ("small noise", window([0, 0, 0], 3, 8, False), 0.25, 8.25 / 8),
    ],
)
def test_n_step_target(name: str, batch: TensorBatch, noise: float, target: float) -> None:
    policy = linear([0], 0)
    y = target_q(batch, policy, CRITICS, torch.tensor([[noise]]), discount=0.5, noise_clip=0.5)
    assert y.tolist() == pytest.approx([target]), name


def test_the_smoothed_action_stays_in_bounds() -> None:
    # pi' = tanh(50) = 1, so that a = 1 whatever is added: Q = (10, 7.5).
    batch = window([0, 0, 0], 3, 8, False)
    y = target_q(batch, linear([0], 50), CRITICS, torch.tensor([[0.4]]), discount=1.0, noise_clip=0.5)
    assert y.tolist() == [7.5]


def test_the_target_policy_acts_on_the_last_observation() -> None:
    # pi' = tanh(o) at o = 0.5; Q2 = 0.5 - tanh(0.5) + 0.5 is the lesser only if the action is the right one.
    batch = window([0, 0, 0], 3, 0.5, False)
    y = target_q(batch, linear([1], 0), CRITICS, torch.zeros(1, 1), discount=1.0, noise_clip=0.5)
    assert y.tolist() == pytest.approx([1 - 0.46211716])
