"""The acting policies in numpy, against torch and against figures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rlx2_ray.agents.torch.sac.policy import sample_action
from rlx2_ray.config import resolve
from rlx2_ray.networks.masked_mlp import forward, make_mlp
from rlx2_ray.networks.policy import ActingPolicy, densify, make_acting_policy, make_evaluation_policy
from rlx2_ray.networks.sparse_layer import SparseLayer
from rlx2_ray.types import Floats
from tests.networks.networks import full_layer, random_layers

OBSERVATIONS: Floats = np.random.default_rng(1).standard_normal((20, 5)).astype(np.float32)


def policy_of(algo: str, *layers: SparseLayer, noise: float = 0.1, exploration: str = "sample") -> ActingPolicy:
    agent = {"exploration_noise": noise, "exploration": exploration}
    return make_acting_policy(resolve({"algo": algo, "agent": agent}), densify(layers))


@pytest.mark.parametrize(("algo", "outputs"), [("td3", 3), ("sac", 6)])
def test_actions_equal_those_of_torch(algo: str, outputs: int) -> None:
    layers = random_layers(5, 32, 16, outputs)
    expected = forward(make_mlp(layers, "cpu", trainable=False), torch.from_numpy(OBSERVATIONS))[:, :3].tanh().numpy()
    for policy in (policy_of(algo, *layers), make_evaluation_policy(algo, densify(layers))):
        assert np.allclose(policy.action(OBSERVATIONS), expected, atol=1e-5)
        assert np.allclose([policy.action(row) for row in OBSERVATIONS], expected, atol=1e-5)
        assert policy.action(OBSERVATIONS).dtype == np.float32


def test_sac_explores_with_the_distribution_it_is_trained_on() -> None:
    layers = random_layers(5, 16, 6)
    explored, noise_free = policy_of("sac", *layers).explore(OBSERVATIONS[0], np.random.default_rng(7))
    noise = torch.from_numpy(np.random.default_rng(7).standard_normal(3, dtype=np.float32))
    expected, _ = sample_action(make_mlp(layers, "cpu", trainable=False), torch.from_numpy(OBSERVATIONS[0]), noise)
    assert np.allclose(explored, expected.numpy(), atol=1e-5)
    assert np.allclose(noise_free, policy_of("sac", *layers).action(OBSERVATIONS[0]))


@pytest.mark.parametrize(("raw", "log_std"), [(-50.0, -5.0), (0.0, -1.5), (50.0, 2.0)])
def test_log_std_lies_between_its_bounds(raw: float, log_std: float) -> None:
    policy = policy_of("sac", full_layer([[0.0], [0.0]], [0.0, raw]))
    explored, noise_free = policy.explore(np.zeros(1, np.float32), np.random.default_rng(3))
    draw = np.random.default_rng(3).standard_normal(1, dtype=np.float32)
    assert np.allclose(explored, np.tanh(np.exp(log_std) * draw), rtol=1e-5)
    assert noise_free.tolist() == [0.0]


def test_sac_may_act_without_noise() -> None:
    policy = policy_of("sac", *random_layers(5, 6), exploration="mean")
    explored, noise_free = policy.explore(OBSERVATIONS[0], np.random.default_rng(0))
    assert np.array_equal(explored, noise_free)


def test_td3_noise_has_the_asked_scale_and_stays_in_bounds() -> None:
    policy = policy_of("td3", full_layer([[0.0]] * 2000, [0.0] * 1000 + [9.0] * 1000), noise=0.1)
    explored, noise_free = policy.explore(np.zeros(1, np.float32), np.random.default_rng(0))
    assert np.std(explored[:1000] - noise_free[:1000]) == pytest.approx(0.1, rel=0.1)
    assert explored.max() == 1
    assert explored[1000:].min() < 0.9


def test_forward_leaves_its_inputs_alone() -> None:
    network = densify(random_layers(5, 8, 3))
    observation, biases = OBSERVATIONS[0].copy(), [layer.bias.copy() for layer in network.layers]
    make_evaluation_policy("td3", network).action(observation)
    assert np.array_equal(observation, OBSERVATIONS[0])
    assert all(np.array_equal(layer.bias, bias) for layer, bias in zip(network.layers, biases, strict=True))
