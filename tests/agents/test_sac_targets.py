"""SAC's densities and targets against torch.distributions and a loop over single windows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, TanhTransform, TransformedDistribution

from rlx2_ray.agents.torch.sac.critic import target_q
from rlx2_ray.agents.torch.sac.policy import sample_action
from rlx2_ray.agents.torch.tensors import TensorBatch, to_tensors
from rlx2_ray.networks.masked_mlp import MLP, forward, make_mlp
from tests.agents.doubles import double_mlp
from tests.agents.small import random_batch
from tests.networks.networks import full_layer, random_layers

POLICY = double_mlp(random_layers(3, 8, 4, seed=1))
CRITICS = double_mlp(random_layers(5, 8, 1, seed=2)), double_mlp(random_layers(5, 8, 1, seed=3))
DISCOUNT, TEMPERATURE = 0.9, 0.3


def log_prob(policy: MLP, observation: Tensor, action: Tensor) -> Tensor:
    mean, raw = forward(policy, observation).chunk(2, dim=-1)
    log_std = -5 + 3.5 * (torch.tanh(raw) + 1)
    distribution = TransformedDistribution(Normal(mean, log_std.exp()), [TanhTransform()])
    return distribution.log_prob(action).sum(-1)


def test_log_prob_is_that_of_the_squashed_normal() -> None:
    generator = torch.Generator().manual_seed(0)
    observations = torch.randn(2, 50, 3, generator=generator).double()
    noise = torch.randn(2, 50, 2, generator=generator).double() / 2
    actions, log_probs = sample_action(POLICY, observations, noise)
    inside = (actions.abs() < 1 - 1e-9).all(-1)  # beyond, atanh has lost what it needs
    assert inside.float().mean() > 0.7
    assert torch.allclose(log_probs[inside], log_prob(POLICY, observations, actions)[inside], atol=1e-5)


def test_log_prob_by_hand() -> None:
    # Mean 0.5, log_std -1.5 (raw 0), noise 2: u = 0.5 + 2 e^-1.5.
    policy = make_mlp((full_layer([[0.0], [0.0]], [0.5, 0.0]),), "cpu", trainable=False)
    action, density = sample_action(policy, torch.zeros(1, 1), torch.tensor([[2.0]]))
    u = 0.5 + 2 * math.exp(-1.5)
    expected = -2 + 1.5 - 0.5 * math.log(2 * math.pi) - math.log(1 - math.tanh(u) ** 2)
    assert action.item() == pytest.approx(math.tanh(u))
    assert density.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("mean", [-40.0, 40.0])
def test_log_prob_is_exact_where_tanh_is_flat(mean: float) -> None:
    policy = make_mlp((full_layer([[0.0], [0.0]], [mean, 0.0]),), "cpu", trainable=False)
    _, density = sample_action(policy, torch.zeros(1, 1), torch.zeros(1, 1))
    # log(1 - tanh(u)^2) tends to log 4 - 2 |u|.
    assert density.item() == pytest.approx(1.5 - 0.5 * math.log(2 * math.pi) - math.log(4) + 80, rel=1e-5)


@pytest.mark.parametrize("n_step", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_target_equals_a_loop_over_single_windows(n_step: int, seed: int) -> None:
    batch = as_doubles(to_tensors(random_batch(np.random.default_rng(seed), 64, n_step), "cpu"))
    noise = torch.randn(64, n_step, 2, generator=torch.Generator().manual_seed(seed)).double()
    targets = target_q(batch, POLICY, CRITICS, noise, DISCOUNT, torch.tensor(TEMPERATURE).double())
    assert torch.allclose(targets, torch.tensor([window_target(batch, noise, row) for row in range(64)]).double())


def test_target_by_hand() -> None:
    # The policy ignores what it sees: mean 0, std e^-1.5. Without noise log pi = 1.5 - log(2 pi)/2 everywhere.
    policy = make_mlp((full_layer([[0.0], [0.0]], [0.0, 0.0]),), "cpu", trainable=False)
    critic = make_mlp((full_layer([[1.0, 0.0]], [0.0]),), "cpu", trainable=False)  # Q = o
    entropy = -(1.5 - 0.5 * math.log(2 * math.pi))
    batch = TensorBatch(
        torch.zeros(3, 1),
        torch.zeros(3, 1),
        torch.tensor([[1.0, 2.0, 4.0], [1.0, 2.0, 0.0], [1.0, 2.0, 0.0]]),
        torch.tensor([[[1.0], [2.0], [8.0]], [[1.0], [6.0], [6.0]], [[1.0], [6.0], [6.0]]]),
        torch.tensor([3, 2, 2]),
        torch.tensor([False, False, True]),
    )
    y = target_q(batch, policy, (critic, critic), torch.zeros(3, 3, 1), 0.5, torch.tensor(2.0))
    assert y.tolist() == pytest.approx(
        [
            1 + 1 + 1 + 8 / 8 + 2 * entropy * (1 / 2 + 1 / 4 + 1 / 8),
            1 + 1 + 6 / 4 + 2 * entropy * (1 / 2 + 1 / 4),  # truncated after two steps
            1 + 1 + 2 * entropy * (1 / 2),  # the second step reached a terminal state
        ]
    )


def window_target(batch: TensorBatch, noise: Tensor, row: int) -> float:
    """The target of one window as section 3 of the method says it."""
    length, terminated = int(batch.lengths[row]), bool(batch.terminated[row])
    y = 0.0
    for k in range(length):
        y += DISCOUNT**k * float(batch.rewards[row, k])
        if terminated and k == length - 1:
            return y
        state = batch.next_observations[row, k]
        mean, raw = forward(POLICY, state).chunk(2)
        std = torch.exp(-5 + 3.5 * (torch.tanh(raw) + 1))
        unsquashed = mean + std * noise[row, k]
        action = torch.tanh(unsquashed)
        density = Normal(mean, std).log_prob(unsquashed) + 2 * torch.log(torch.cosh(unsquashed))
        y -= DISCOUNT ** (k + 1) * TEMPERATURE * float(density.sum())
    inputs = torch.cat([state, action])
    return y + DISCOUNT**length * min(float(forward(critic, inputs)) for critic in CRITICS)


def as_doubles(batch: TensorBatch) -> TensorBatch:
    return TensorBatch(*(tensor.double() if tensor.is_floating_point() else tensor for tensor in batch))
