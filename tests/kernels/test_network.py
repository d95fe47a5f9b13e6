"""Forward and backward passes against their plain reference, on random models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import Phase, find, given, settings
from numpy.typing import NDArray

from rlx2_ray.kernels import reference
from rlx2_ray.kernels.network import aligned_zeros, backward, forward, input_deltas, turn_weights
from rlx2_ray.kernels.reference import DenseLayer, Gradients
from rlx2_ray.kernels.structure import build_structure
from rlx2_ray.kernels.vectors import ALIGNMENT, LANES
from rlx2_ray.networks.masked_mlp import forward as mlp_forward
from rlx2_ray.networks.masked_mlp import make_mlp, parameters
from rlx2_ray.networks.sparse_model import SparseModel
from rlx2_ray.types import Floats
from tests.kernels.models import Case, cases, outputs_of
from tests.networks.networks import full_layer, random_layers


def run_forward(model: SparseModel, inputs: Floats) -> None:
    model.kernel.workspace[: len(inputs)] = inputs
    forward(model.kernel, 0, len(model.masks))


def run_backward(model: SparseModel, networks: int, deltas: list[Floats], with_weights: bool = True) -> None:
    """Network after network, as the learners do it; leaves the inputs' deltas, of all networks together."""
    depth = len(model.masks) // networks
    turn_weights(model.kernel)
    for network, values in enumerate(deltas):
        outputs_of(model, (network + 1) * depth - 1)[:] = values
        backward(model.kernel, network * depth, (network + 1) * depth, with_weights)
    for network in range(networks):
        input_deltas(model.kernel, network * depth, network > 0)


def expected_gradients(case: Case, inputs: Floats, deltas: list[Floats]) -> Gradients:
    values = reference.forward(case.dense, case.networks, inputs)
    return reference.backward(case.dense, case.networks, inputs, values, deltas)


def assert_gradient(model: SparseModel, expected: Gradients, times: int = 1) -> None:
    """Of active weights and of biases: to the last bit."""
    for layer, weights, bias in zip(model.split(model.kernel.gradient), *expected[:2], strict=True):
        assert np.array_equal(layer.scatter(), times * weights)
        assert np.array_equal(layer.bias, times * bias)


@given(cases())
def test_forward(case: Case) -> None:
    model, inputs = case.model(), case.draw(case.inputs, LANES)
    run_forward(model, inputs)
    for number, expected in enumerate(reference.forward(case.dense, case.networks, inputs)):
        live = live_units(model, number)
        assert np.array_equal(outputs_of(model, number)[live], expected[live])
    assert np.array_equal(model.kernel.workspace[: case.inputs], inputs)


def live_units(model: SparseModel, number: int) -> NDArray[np.int32]:
    structure = model.kernel.structure
    return structure.live[structure.layers[number]["live"] : structure.layers[number]["live_end"]]


@given(cases())
def test_backward(case: Case) -> None:
    model, inputs, deltas = case.model(), case.draw(case.inputs, LANES), case.draw_deltas()
    run_forward(model, inputs)
    run_backward(model, case.networks, deltas)
    expected = expected_gradients(case, inputs, deltas)
    assert_gradient(model, expected)
    wanted = slice(case.first_input, case.inputs)
    assert np.array_equal(model.kernel.workspace[wanted], expected.inputs[wanted])
    assert np.array_equal(model.kernel.workspace[: case.first_input], inputs[: case.first_input])


@given(cases())
def test_deltas_alone_leave_the_gradient_as_it_was(case: Case) -> None:
    model, inputs, deltas = case.model(), case.draw(case.inputs, LANES), case.draw_deltas()
    model.kernel.gradient[:] = 7
    run_forward(model, inputs)
    run_backward(model, case.networks, deltas, with_weights=False)
    assert (model.kernel.gradient == 7).all()
    expected = expected_gradients(case, inputs, deltas).inputs[case.first_input :]
    assert np.array_equal(model.kernel.workspace[case.first_input : case.inputs], expected)


@given(cases())
def test_gradients_of_two_passes_add_up(case: Case) -> None:
    model, inputs, deltas = case.model(), case.draw(case.inputs, LANES), case.draw_deltas()
    for _ in range(2):
        run_forward(model, inputs)
        run_backward(model, case.networks, deltas)
    assert_gradient(model, expected_gradients(case, inputs, deltas), times=2)


@given(cases())
def test_lanes_without_deltas_have_no_effect(case: Case) -> None:
    model, inputs, deltas = case.model(), case.draw(case.inputs, LANES), case.draw_deltas()
    used = int(case.generator.integers(LANES))
    inputs[:, used:] = 1e4
    for values in deltas:
        values[:, used:] = 0
    run_forward(model, inputs)
    run_backward(model, case.networks, deltas)
    assert_gradient(model, expected_gradients(case, inputs[:, :used], [values[:, :used] for values in deltas]))


@given(cases())
def test_changed_parameters_are_used_once_the_weights_are_turned(case: Case) -> None:
    model, inputs, deltas = case.model(), case.draw(case.inputs, LANES), case.draw_deltas()
    turn_weights(model.kernel)
    changed = case._replace(layers=tuple(layer._replace(weights=-layer.weights) for layer in case.layers))
    model.kernel.parameters[:] = model.join(changed.layers)
    run_forward(model, inputs)
    run_backward(model, case.networks, deltas)
    assert_gradient(model, expected_gradients(changed, inputs, deltas))


@given(cases(networks=2))
def test_a_pass_over_one_network_leaves_the_other_alone(case: Case) -> None:
    model, depth = case.model(), len(case.layers) // 2
    model.kernel.workspace[:] = 3
    forward(model.kernel, depth, 2 * depth)
    backward(model.kernel, depth, 2 * depth, True)
    assert all((outputs_of(model, number) == 3).all() for number in range(depth))
    assert not any(layer.weights.any() or layer.bias.any() for layer in model.split(model.kernel.gradient)[:depth])


@pytest.mark.parametrize("density", [0.1, 0.4, 0.9])  # at 0.9 two of the layers are of the dense kind
def test_real_numbers_to_float32_accuracy(density: float) -> None:
    layers = random_layers(40, 64, 48, 3, density=density)
    generator = np.random.default_rng(0)
    inputs, deltas = (
        generator.standard_normal((40, LANES), np.float32),
        generator.standard_normal((3, LANES), np.float32),
    )
    case, model = Case(layers, 1, 0, generator), SparseModel(layers)
    run_forward(model, inputs)
    values = [outputs_of(model, number).copy() for number in range(3)]
    run_backward(model, 1, [deltas])
    # ReLU is judged by the kernel's own values: of sums next to 0 the reference may find another sign.
    expected = reference.backward(case.dense, 1, inputs, values, [deltas])
    assert_close(values[-1], reference.forward(case.dense, 1, inputs)[-1])
    assert_close(model.kernel.workspace[:40], expected.inputs)
    for layer, weights, bias in zip(model.split(model.kernel.gradient), *expected[:2], strict=True):
        assert_close(layer.scatter(), weights)
        assert_close(layer.bias, bias)


def assert_close(
    actual: NDArray[Any], expected: NDArray[Any], tolerance: float = 2e-6, size: float | None = None
) -> None:
    """`size`: of the numbers that they come of; that of what is expected where there is none."""
    assert np.abs(actual - expected).max() <= tolerance * (np.abs(expected).max() if size is None else size)


@pytest.mark.parametrize("density", [0.1, 0.4, 0.9])
@pytest.mark.parametrize("networks", [1, 2])
@pytest.mark.parametrize("shift", [0.0, 30.0])  # of all sums of a layer alike, which a normalised one does not see
def test_normalised_layers_are_as_in_torch(density: float, networks: int, shift: float) -> None:
    layers = [layer for seed in range(networks) for layer in random_layers(40, 64, 48, 3, density=density, seed=seed)]
    layers = [layer._replace(bias=layer.bias + np.float32(shift)) for layer in layers]
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((40, LANES), np.float32)
    deltas = [generator.standard_normal((3, LANES), np.float32) for _ in range(networks)]
    model = SparseModel(tuple(layers), networks, normalized=True)
    run_forward(model, inputs)
    outputs = [outputs_of(model, 3 * network + 2).copy() for network in range(networks)]
    run_backward(model, networks, deltas)
    mlp = make_mlp(tuple(layers), "cpu", trainable=True, normalized=True)
    seen = torch.from_numpy(inputs.T.copy()).requires_grad_()
    expected = [mlp_forward(mlp[3 * network : 3 * network + 3], seen) for network in range(networks)]
    loss = sum((out * torch.from_numpy(values.T.copy())).sum() for out, values in zip(expected, deltas, strict=True))
    assert isinstance(loss, torch.Tensor)
    gradients = torch.autograd.grad(loss, [seen, *parameters(mlp)])
    tolerance = 5e-6 if shift == 0 else 1e-4
    dense = [DenseLayer(layer.scatter().astype(np.float64), layer.mask(), layer.bias) for layer in layers]
    in_doubles = reference.forward(dense, networks, inputs, normalized=True)[2::3]
    for ours, theirs, exact in zip(outputs, expected, in_doubles, strict=True):
        assert_close(ours, theirs.detach().numpy().T, tolerance)
        assert_close(ours, exact, tolerance)
    assert_close(model.kernel.workspace[:40], gradients[0].numpy().T, 10 * tolerance)
    for number, layer in enumerate(model.split(model.kernel.gradient)):
        weights, bias = (gradients[1 + 2 * number + part].numpy() for part in range(2))
        assert_close(layer.scatter(), np.where(layer.mask(), weights, 0), 10 * tolerance, np.abs(weights).max())
        assert_close(layer.bias, bias, 10 * tolerance, np.abs(weights).max())


def test_normalisation_by_hand() -> None:
    # Sums 1, 3, 5: mean 3, variance 8/3, so that 5 becomes 2 / sqrt(8/3) and the others ReLU's 0.
    hidden = full_layer([[1.0], [3.0], [5.0]], [0, 0, 0])
    model = SparseModel((hidden, full_layer([[1.0, 1.0, 1.0]], [0])), normalized=True)
    run_forward(model, np.ones((1, LANES), np.float32))
    values = outputs_of(model, 0)[:, 0]
    assert values.tolist() == pytest.approx([0, 0, 2 / np.sqrt(8 / 3 + 1e-5)], rel=1e-6)


def test_every_unit_of_a_normalised_layer_is_live() -> None:
    masks = [np.ones((2, 1), np.bool_), np.array([[True, False]])]
    assert [build_structure(masks, normalized=each).live.tolist() for each in (False, True)] == [[0, 0], [0, 1, 0]]


def test_inactive_weights_get_no_gradient() -> None:
    model = SparseModel(random_layers(32, 32, density=0.8))
    assert model.kernel.structure.layers["is_dense"].all()
    run_forward(model, np.ones((32, LANES), np.float32))
    run_backward(model, 1, [np.ones((32, LANES), np.float32)])
    assert np.array_equal(model.join(model.split(model.kernel.gradient)), model.kernel.gradient)


def is_dense_over_dead_units(case: Case) -> bool:
    """Whether BLAS reads units of a sparse layer that nothing fills in."""
    layers = case.model().kernel.structure.layers
    live = layers["live_end"] - layers["live"]
    return bool((layers["is_dense"][1:] & (live[:-1] < layers["outputs"][:-1])).any())


@pytest.mark.parametrize(
    "is_met",
    [
        is_dense_over_dead_units,
        lambda case: case.networks == 2 and case.model().kernel.structure.layers["is_dense"][len(case.layers) // 2],
        lambda case: any(len(layer.indices) == 1 for layer in case.layers),
        lambda case: 0 < case.first_input == case.inputs,
    ],
)
def test_the_random_models_are_odd_enough(is_met: Callable[[Case], bool]) -> None:
    find(cases(), is_met, settings=settings(phases=[Phase.generate], max_examples=2000, database=None))


@pytest.mark.parametrize("units", [1, 5])
def test_workspace_rows_begin_at_cache_lines(units: int) -> None:
    rooms = [aligned_zeros(units) for _ in range(8)]
    assert [room.shape for room in rooms] == [(units, LANES)] * 8
    assert not any(room.ctypes.data % ALIGNMENT for room in rooms)
