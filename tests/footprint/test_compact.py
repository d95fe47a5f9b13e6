"""A policy without what its actions do not depend on."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings

from rlx2_ray.footprint.compact import compact
from rlx2_ray.networks.policy import DenseNetwork
from rlx2_ray.networks.policy_file import PolicyFile
from rlx2_ray.networks.sparse_layer import SparseLayer
from tests.export.policies import observations_for, policies, random_policy, trainers_actions


def layer(weights: list[list[float]], bias: list[float]) -> SparseLayer:
    array = np.asarray(weights, np.float32)
    return SparseLayer.from_dense(array, array != 0, np.asarray(bias, np.float32))


def test_unread_and_constant_units_go() -> None:
    """Unit 0 stays, 1 is the constant 2, 2 the constant relu(-1) = 0, 3 is read by none."""
    layers = (
        layer([[1, 0], [0, 0], [0, 0], [0, 1]], [0.5, 2, -1, 0]),
        layer([[3, 10, 100, 0], [7, 0, 0, 0]], [1, 1]),  # of SAC's two outputs the second is not the mean
    )
    first, last = compact(layers, outputs=1)
    assert (first.weights.tolist(), first.bias.tolist()) == ([[1, 0]], [0.5])
    assert (last.weights.tolist(), last.bias.tolist()) == ([[3]], [21])


def test_unit_that_reads_only_constants_is_one() -> None:
    layers = (layer([[0], [1]], [2, 0]), layer([[3, 0], [0, 1]], [1, 0]), layer([[1, 1]], [0]))
    *_, last = compact(layers, outputs=1)
    assert (last.weights.tolist(), last.bias.tolist()) == ([[1]], [7])


def test_layers_before_one_without_weights_keep_a_unit() -> None:
    layers = (layer([[1], [1]], [0, 0]), layer([[0, 0]], [4]))
    first, last = compact(layers, outputs=1)
    assert first.weights.shape == (1, 1)
    assert (last.weights.tolist(), last.bias.tolist()) == ([[0]], [4])


def test_weights_of_zero_count_as_inactive() -> None:
    zero = SparseLayer((1, 2), np.array([0, 1], np.int32), np.array([0, 1], np.float32), np.zeros(1, np.float32))
    first, _ = compact((layer([[1], [1]], [0, 0]), zero), outputs=1)
    assert len(first.bias) == 1


@settings(max_examples=50)
@given(policies())
def test_actions_stay_and_every_unit_is_read(policy: PolicyFile) -> None:
    size, observations = policy.spaces.action_size, observations_for(policy)
    network = compact(policy.layers, size)
    actions = DenseNetwork(network).outputs(observations, size)
    np.testing.assert_allclose(actions, trainers_actions(policy, observations), rtol=0, atol=1e-5)
    for hidden, reader in pairwise(network):
        assert len(hidden.bias) == 1 or (hidden.weights.any(axis=1) & reader.weights.any(axis=0)).all()


def test_layers_given_stay_as_they_are() -> None:
    policy = random_policy("sac", [5, 8, 2], [0.3, 0.3])
    before = [(layer.weights.copy(), layer.bias.copy()) for layer in policy.layers]
    compact(policy.layers, 2)
    for layer_after, (weights, bias) in zip(policy.layers, before, strict=True):
        np.testing.assert_array_equal(layer_after.weights, weights)
        np.testing.assert_array_equal(layer_after.bias, bias)
