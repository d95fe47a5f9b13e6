"""Forward and backward passes against their plain reference, on random models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from numpy.typing import NDArray

from rlx2_ray.kernels import reference
from rlx2_ray.kernels.network import aligned_zeros, backward, forward, input_deltas, turn_weights
from rlx2_ray.kernels.reference import Gradients
from rlx2_ray.kernels.vectors import ALIGNMENT, LANES
from rlx2_ray.networks.sparse_model import SparseModel
from rlx2_ray.types import Floats
from tests.kernels.models import Case, cases, outputs_of
from tests.networks.networks import random_layers


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


def assert_close(actual: NDArray[Any], expected: NDArray[Any]) -> None:
    assert np.abs(actual - expected).max() <= 2e-6 * np.abs(expected).max()


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
