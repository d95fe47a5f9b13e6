"""Fresh layers: their distribution, and the masks laid over it."""

from __future__ import annotations

import numpy as np
import pytest

from rlx2_ray.config import ExperimentConfig, resolve
from rlx2_ray.networks.initial import initial_layers
from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.sparse.plan import plan_agent

OBSERVATIONS, ACTIONS = 11, 3


def configure(algo: str, sparsity: float, initial_mask: str = "magnitude") -> ExperimentConfig:
    return resolve(
        {
            "algo": algo,
            "network": {"hidden": [64, 32]},
            "sparsity": {"policy": sparsity, "critic": sparsity},
            "topology": {"initial_mask": initial_mask},
        }
    )


def draw(algo: str, sparsity: float, initial_mask: str = "magnitude", seed: int = 0) -> Layers:
    config = configure(algo, sparsity, initial_mask)
    plan = plan_agent(config, OBSERVATIONS, ACTIONS).policy
    return initial_layers(plan, config, np.random.default_rng(seed))


def test_td3_is_uniform_within_the_bounds_of_torch_linear() -> None:
    for layer in draw("td3", 0.0):
        bound = 1 / np.sqrt(layer.shape[1])
        values = np.concatenate([layer.weights, layer.bias]) / bound
        assert 0.9 < np.abs(values).max() <= 1
        assert np.std(layer.weights / bound) == pytest.approx(1 / np.sqrt(3), rel=0.1)
        assert np.abs(layer.bias).max() > bound / 4


def test_sac_is_orthogonal_without_bias() -> None:
    for layer in draw("sac", 0.0):
        weights = layer.scatter()
        product = weights.T @ weights if layer.shape[0] >= layer.shape[1] else weights @ weights.T
        assert np.allclose(product, np.eye(min(layer.shape)), atol=1e-5)
        assert not layer.bias.any()


@pytest.mark.parametrize("algo", ["td3", "sac"])
@pytest.mark.parametrize("initial_mask", ["magnitude", "random"])
@pytest.mark.parametrize("sparsity", [0.5, 0.95])
def test_masks_have_the_planned_counts(algo: str, initial_mask: str, sparsity: float) -> None:
    config = configure(algo, sparsity, initial_mask)
    plan = plan_agent(config, OBSERVATIONS, ACTIONS)
    for network in plan:
        layers = initial_layers(network, config, np.random.default_rng(0))
        assert [(layer.shape, len(layer.indices)) for layer in layers] == [
            (item.shape, item.active) for item in network.layers
        ]


@pytest.mark.parametrize("algo", ["td3", "sac"])
def test_a_magnitude_mask_keeps_the_greatest_of_the_dense_draw(algo: str) -> None:
    dense, sparse = draw(algo, 0.0), draw(algo, 0.9)
    for whole, part in zip(dense, sparse, strict=True):
        mask, values = part.mask(), np.abs(whole.scatter())
        assert np.array_equal(part.scatter(), np.where(mask, whole.scatter(), 0))
        assert values[mask].min() >= values[~mask].max(initial=0)


def test_a_random_mask_does_not_look_at_the_weights() -> None:
    first = draw("td3", 0.5, "random")[0]
    inactive = np.abs(draw("td3", 0.0)[0].scatter()[~first.mask()])
    assert inactive.max() > np.median(np.abs(first.weights))


def test_a_network_follows_from_its_generator_alone() -> None:
    first, second, other = draw("td3", 0.9), draw("td3", 0.9), draw("td3", 0.9, seed=1)
    assert all(np.array_equal(a.weights, b.weights) for a, b in zip(first, second, strict=True))
    assert not any(np.array_equal(a.weights, b.weights) for a, b in zip(first, other, strict=True))
