"""Models on their way between plain layers and the kernels' form."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from rlx2_ray.networks.policy import densify
from rlx2_ray.networks.sparse_layer import Layers, SparseLayer
from rlx2_ray.networks.sparse_model import SparseModel, move
from tests.kernels.models import Case, cases, random_layer
from tests.networks.networks import full_layer, random_layers


def assert_same(first: Layers, second: Layers) -> None:
    for one, other in zip(first, second, strict=True):
        assert one.shape == other.shape
        assert one.indices.dtype == other.indices.dtype
        assert all(np.array_equal(a, b) for a, b in zip(one[1:], other[1:], strict=True))


@given(cases())
def test_layers_come_back(case: Case) -> None:
    assert_same(case.model().layers(), case.layers)


@given(cases())
def test_join_and_split_are_inverse(case: Case) -> None:
    model = case.model()
    layers = tuple(random_layer(case.generator, layer.mask()) for layer in case.layers)
    joined = model.join(layers)
    assert_same(model.split(joined), layers)
    assert np.array_equal(model.join(model.split(joined)), joined)
    assert_same(model.layers(), case.layers)


def test_a_sparse_model_by_hand() -> None:
    first = SparseLayer((2, 2), np.array([1, 2], np.int32), np.array([3, 4], np.float32), np.array([5, 6], np.float32))
    model = SparseModel((first, full_layer([[7, 8]], [9])))
    assert model.kernel.parameters.tolist() == [3, 4, 7, 8, 5, 6, 9]
    assert [mask.tolist() for mask in model.masks] == [[[False, True], [True, False]], [[True, True]]]


def test_a_dense_layer_has_zeros_where_it_is_inactive() -> None:
    (layer,) = random_layers(40, 50, density=0.8)
    parameters = SparseModel((layer,)).kernel.parameters
    assert np.array_equal(parameters[:2000].reshape(50, 40), layer.scatter())


def test_split_gives_copies() -> None:
    model = SparseModel(random_layers(3, 2))
    before = model.kernel.parameters.copy()
    for layer in model.layers():
        layer.weights[:] = 7
        layer.bias[:] = 7
    assert np.array_equal(model.kernel.parameters, before)


def test_moved_layers_by_hand() -> None:
    layer = SparseLayer((1, 4), np.array([0, 2], np.int32), np.array([5, 6], np.float32), np.array([7], np.float32))
    (moved,) = move((layer,), [np.array([[False, False, True, True]])])
    assert moved.indices.tolist() == [2, 3]
    assert moved.weights.tolist() == [6, 0]
    assert moved.bias.tolist() == [7]


@given(cases())
def test_rewired_weights_keep_their_values_and_new_ones_are_zero(case: Case) -> None:
    model = case.model()
    workspace, size = model.kernel.workspace, len(model.kernel.workspace)
    masks = [case.generator.random(layer.shape) < 0.6 for layer in case.layers]
    model.rewire(masks)
    for before, after, mask in zip(case.layers, model.layers(), masks, strict=True):
        assert np.array_equal(after.scatter(), np.where(mask, before.scatter(), 0))
        assert np.array_equal(after.mask(), mask)
        assert np.array_equal(after.bias, before.bias)
    assert model.kernel.workspace is workspace
    assert len(workspace) == size
    assert not workspace.any()
    assert not model.kernel.gradient.any()


@given(cases(networks=1))
def test_a_densified_model_is_the_same_function(case: Case) -> None:
    model = case.model()
    dense = model.densified()
    assert all(mask.all() for mask in dense.masks)
    assert dense.kernel.workspace is not model.kernel.workspace
    observations = case.draw(5, case.inputs)
    before, after = densify(case.layers).outputs(observations), densify(dense.layers()).outputs(observations)
    assert np.array_equal(before, after)


def test_a_densified_model_keeps_its_networks_and_first_input() -> None:
    model = SparseModel(random_layers(5, 4, 1) + random_layers(5, 4, 1, seed=1), networks=2, first_input=3)
    layers = model.densified().kernel.structure.layers
    assert layers["first_input"].tolist() == [3, 0, 3, 0]
    assert layers["is_output"].tolist() == [0, 1, 0, 1]


def test_a_rewired_model_keeps_its_networks_and_first_input() -> None:
    model = SparseModel(random_layers(5, 4, 1) + random_layers(5, 4, 1, seed=1), networks=2, first_input=3)
    model.rewire([~mask for mask in model.masks])
    layers = model.kernel.structure.layers
    assert layers["first_input"].tolist() == [3, 0, 3, 0]
    assert layers["is_output"].tolist() == [0, 1, 0, 1]


def test_models_of_equal_sizes_can_share_a_workspace() -> None:
    first = SparseModel(random_layers(5, 4, 1))
    assert SparseModel(random_layers(5, 4, 1, seed=1), workspace=first.kernel.workspace).kernel.workspace is (
        first.kernel.workspace
    )
