"""Losses by hand, and their gradients against central differences in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rlx2_ray.agents.torch.sac import policy as sac_policy
from rlx2_ray.agents.torch.sac.temperature import temperature_loss
from rlx2_ray.agents.torch.td3 import policy as td3_policy
from rlx2_ray.agents.torch.values import critic_loss, q_values
from rlx2_ray.networks.masked_mlp import make_mlp, parameters
from tests.agents.doubles import double_mlp
from tests.networks.networks import full_layer, random_layers

STEP = 1e-6
BATCH = torch.Generator().manual_seed(0)
OBSERVATIONS = torch.randn(6, 3, generator=BATCH).double()
ACTIONS = torch.rand(6, 2, generator=BATCH).double() * 2 - 1
NOISE = torch.randn(6, 2, generator=BATCH).double()
TARGETS = torch.randn(6, generator=BATCH).double()
TEMPERATURE = torch.tensor(0.7).double()


def central_differences(loss: Callable[[], Tensor], tensor: Tensor) -> Tensor:
    """d loss / d tensor, one number at a time."""
    flat = tensor.detach().view(-1)  # shares the memory
    slopes = torch.empty_like(flat)
    for place in range(len(flat)):
        value = flat[place].item()
        flat[place] = value + STEP
        above = loss().item()
        flat[place] = value - STEP
        slopes[place] = (above - loss().item()) / (2 * STEP)
        flat[place] = value
    return slopes.view_as(tensor)


def check_gradients(loss: Callable[[], Tensor], tensors: list[Tensor]) -> None:
    gradients = torch.autograd.grad(loss(), tensors)
    assert any(gradient.abs().max() > 1e-3 for gradient in gradients)
    for tensor, gradient in zip(tensors, gradients, strict=True):
        assert torch.allclose(gradient, central_differences(loss, tensor), atol=1e-6)


def test_critic_gradient() -> None:
    critics = tuple(double_mlp(random_layers(5, 6, 1, seed=seed), trainable=True) for seed in (1, 2))
    both = parameters([*critics[0], *critics[1]])
    check_gradients(lambda: critic_loss((critics[0], critics[1]), OBSERVATIONS, ACTIONS, TARGETS)[0], both)


def test_td3_policy_gradient() -> None:
    policy = double_mlp(random_layers(3, 6, 2), trainable=True)
    critic = double_mlp(random_layers(5, 6, 1, seed=1))
    check_gradients(lambda: td3_policy.policy_loss(policy, critic, OBSERVATIONS), parameters(policy))


def test_sac_policy_gradient() -> None:
    policy = double_mlp(random_layers(3, 6, 4), trainable=True)
    critics = double_mlp(random_layers(5, 6, 1, seed=1)), double_mlp(random_layers(5, 6, 1, seed=6))
    actions, _ = sac_policy.sample_action(policy, OBSERVATIONS, NOISE)
    q1, q2 = q_values(critics, OBSERVATIONS, actions)
    assert (q1 < q2).any()  # so that the minimum is of both
    assert (q1 > q2).any()
    check_gradients(
        lambda: sac_policy.policy_loss(policy, critics, OBSERVATIONS, NOISE, TEMPERATURE)[0], parameters(policy)
    )


def test_temperature_gradient() -> None:
    log_temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    loss = lambda: temperature_loss(log_temperature, TARGETS, -2.0)  # noqa: E731
    check_gradients(loss, [log_temperature])
    assert torch.autograd.grad(loss(), log_temperature)[0].item() == pytest.approx(2 - TARGETS.mean().item())


def test_the_temperature_does_not_push_the_policy() -> None:
    log_probs = torch.ones(3, requires_grad=True)
    log_temperature = torch.zeros((), requires_grad=True)
    gradient = torch.autograd.grad(temperature_loss(log_temperature, log_probs, -2.0), [log_probs], allow_unused=True)
    assert gradient == (None,)


def test_critic_loss_by_hand() -> None:
    # Q1 = o + a = 3, Q2 = 2a = 4 against 1 and, in the second row, 0 and 0 against 1.
    critics = (
        make_mlp((full_layer([[1.0, 1.0]], [0.0]),), "cpu", trainable=True),
        make_mlp((full_layer([[0.0, 2.0]], [0.0]),), "cpu", trainable=True),
    )
    observations, actions = torch.tensor([[1.0], [0.0]]), torch.tensor([[2.0], [0.0]])
    loss, q_mean = critic_loss(critics, observations, actions, torch.ones(2))
    assert loss.item() == (4 + 1) / 2 + (9 + 1) / 2
    assert q_mean.item() == 1.5


def test_td3_policy_loss_by_hand() -> None:
    # pi = tanh(0) = 0 at o = 0 and 1 at o = 50; Q1 = o + 2a = 0 and 52.
    policy = make_mlp((full_layer([[1.0]], [0.0]),), "cpu", trainable=True)
    critic = make_mlp((full_layer([[1.0, 2.0]], [0.0]),), "cpu", trainable=True)
    assert td3_policy.policy_loss(policy, critic, torch.tensor([[0.0], [50.0]])).item() == -26
