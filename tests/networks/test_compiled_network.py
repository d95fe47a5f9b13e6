"""The compiled network against the dense one in numpy."""

from __future__ import annotations

import numpy as np
import pytest

from rlx2_ray.networks.compiled_network import CompiledNetwork
from rlx2_ray.networks.policy import densify
from rlx2_ray.networks.sparse_model import SparseModel
from rlx2_ray.types import Floats
from tests.networks.networks import full_layer, random_layers

OBSERVATIONS: Floats = np.random.default_rng(1).standard_normal((6, 40)).astype(np.float32)


def assert_close(actual: Floats, expected: Floats) -> None:
    assert actual.shape == expected.shape
    assert np.allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_by_hand() -> None:
    # Hidden: relu(1 - 4 + 1, -1 + 6 - 1) = (0, 4); outputs: 5 * 0 - 2 * 4 + 8, 4 - 1.
    layers = full_layer([[1, -2], [-1, 3]], [1, -1]), full_layer([[5, -2], [0, 1]], [8, -1])
    network = CompiledNetwork(SparseModel(layers))
    assert network.output_size == 2
    assert network.outputs(np.array([1, 2], np.float32)).tolist() == [0, 3]


@pytest.mark.parametrize("density", [0.02, 0.1, 0.4, 0.9])
@pytest.mark.parametrize("sizes", [(40, 2), (40, 64, 2), (40, 64, 48, 2)])
@pytest.mark.parametrize("squashed", [0, 1, 2])
def test_outputs_equal_those_of_the_dense_network(sizes: tuple[int, ...], density: float, squashed: int) -> None:
    layers = random_layers(*sizes, density=density)
    network, dense = CompiledNetwork(SparseModel(layers)), densify(layers)
    assert_close(network.outputs(OBSERVATIONS[0], squashed), dense.outputs(OBSERVATIONS[0], squashed))
    assert_close(network.outputs(OBSERVATIONS, squashed), dense.outputs(OBSERVATIONS, squashed))


def test_it_follows_changed_parameters() -> None:
    model = SparseModel(random_layers(40, 64, 2))
    network = CompiledNetwork(model)
    changed = tuple(layer._replace(weights=layer.weights + 1, bias=-layer.bias) for layer in model.layers())
    model.kernel.parameters[:] = model.join(changed)
    assert_close(network.outputs(OBSERVATIONS), densify(changed).outputs(OBSERVATIONS))


@pytest.mark.parametrize("density", [0.1, 0.9])  # to other weights of the sparse kind, and to the dense kind
def test_it_follows_a_rewired_model(density: float) -> None:
    model = SparseModel(random_layers(40, 64, 2, density=0.2))
    network = CompiledNetwork(model)
    layers = random_layers(40, 64, 2, density=density, seed=2)
    model.rewire([layer.mask() for layer in layers])
    model.kernel.parameters[:] = model.join(layers)
    assert_close(network.outputs(OBSERVATIONS), densify(layers).outputs(OBSERVATIONS))


def test_observations_stay_as_they_are() -> None:
    observations = OBSERVATIONS.copy()
    CompiledNetwork(SparseModel(random_layers(40, 3))).outputs(observations, squashed=3)
    assert np.array_equal(observations, OBSERVATIONS)
