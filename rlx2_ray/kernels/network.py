"""Forward and backward passes of a model over the LANES samples in its workspace.

Deltas (gradients of the loss by a unit's value) replace the values: once a layer's weight gradient is known, the values
of its inputs are needed only to say where ReLU let them pass. Of a normalised layer, whose values are brought to mean 0
and deviation 1 over its units before ReLU, the passes keep these and the deviations apart.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from rlx2_ray.kernels.blas import gemm
from rlx2_ray.kernels.compiled import compiled, compiled_sums
from rlx2_ray.kernels.structure import Structure
from rlx2_ray.kernels.vectors import (
    ALIGNMENT,
    LANES,
    deltas_normalized,
    row_added,
    row_gated,
    row_gradient,
    row_linear,
    row_relu,
    unit_products,
    unit_sums,
    units_normalized,
)
from rlx2_ray.types import Floats

ZERO, ONE = np.float32(0), np.float32(1)
NORM_EPSILON: Final = np.float32(1e-5)  # added to the variance over a layer's units, as torch does


class Model(NamedTuple):
    """What the passes work on. `structure` and `parameters` are the model; the rest is room to work in."""

    structure: Structure
    parameters: Floats  # (slots,)
    gradient: Floats  # (slots,), of the loss; passes add to it
    turned: Floats  # (entries,), weights in the order of the columns, of the latest `turn_weights`
    workspace: Floats  # (units, LANES), values or deltas
    spare: Floats  # (inputs of the widest dense layer, LANES)
    # (units + 2 layers + 3, LANES) where layers are normalised, else no rows: their sums; of each layer the mean over
    # its units, and 1 over the deviation; and room for three sums. One array, since each costs time at every call.
    normal: Floats


def make_model(structure: Structure, parameters: Floats, workspace: Floats | None = None) -> Model:
    """Make a model; `workspace` is that of one of the same sizes, to share it. What that left there may be gone."""
    layers = structure.layers
    units = int(layers["inputs"][0] + layers["outputs"].sum())
    widest = int((layers["inputs"] * layers["is_dense"]).max())
    if workspace is not None and len(workspace) != units:
        raise ValueError(f"a workspace of {len(workspace)} units cannot serve a model of {units}")
    has_normal = bool(layers["is_normalized"].any())
    return Model(
        structure,
        parameters,
        np.zeros_like(parameters),
        np.zeros(len(structure.places), np.float32),
        aligned_zeros(units) if workspace is None else workspace,
        aligned_zeros(widest),
        aligned_zeros(units + 2 * len(layers) + 3 if has_normal else 0),
    )


def aligned_zeros(units: int) -> Floats:
    """Returns zeros (units, LANES), with every row at the start of a cache line."""
    room = np.zeros(units * LANES + ALIGNMENT // 4, np.float32)
    start = -room.ctypes.data % ALIGNMENT // 4
    return room[start : start + units * LANES].reshape(units, LANES)


@compiled
def forward(model: Model, first: int, end: int) -> None:
    """Fill in the outputs of layers first ... end - 1; the inputs of the first stand in the workspace."""
    for number in range(first, end):
        layer = model.structure.layers[number]
        if layer.is_normalized:
            _normalized_forward(model, number)
        elif layer.is_dense:
            _dense_forward(model, layer)
        else:
            _sparse_forward(model, layer)


@compiled
def _sparse_forward(model: Model, layer: Any) -> None:
    structure, parameters, workspace = model.structure, model.parameters, model.workspace
    row_start, units, live = structure.row_start, structure.units, structure.live
    for place in range(layer.live, layer.live_end):
        row = np.int64(live[place])
        start, end = row_start[layer.rows + row], row_start[layer.rows + row + 1]
        bias = parameters[layer.bias + row]
        if layer.is_output:
            row_linear(parameters, units, start, end, bias, workspace, workspace, layer.target + row)
        else:
            row_relu(parameters, units, start, end, bias, workspace, workspace, layer.target + row)


@compiled
def _dense_forward(model: Model, layer: Any) -> None:
    target = model.workspace[layer.target : layer.target + layer.outputs]
    _dense_products(model, layer, target)
    for row in range(layer.outputs):
        bias = model.parameters[layer.bias + row]
        for lane in range(LANES):
            value = target[row, lane] + bias
            target[row, lane] = value if layer.is_output or value > 0 else ZERO


@compiled
def _dense_products(model: Model, layer: Any, target: Floats) -> None:
    """Write the sums of a dense layer, without its biases, into (outputs, LANES)."""
    weights = model.parameters[layer.weights :]
    source = model.workspace[layer.source :]
    gemm(weights, layer.inputs, 0, source, 0, target, (layer.outputs, LANES, layer.inputs), ZERO)


@compiled
def _sums_forward(model: Model, layer: Any) -> None:
    """Write the sums of a layer into `normal`."""
    structure, parameters = model.structure, model.parameters
    if layer.is_dense:
        target = model.normal[layer.target : layer.target + layer.outputs]
        _dense_products(model, layer, target)
        for row in range(layer.outputs):
            for lane in range(LANES):
                target[row, lane] += parameters[layer.bias + row]
        return
    for row in range(layer.outputs):
        start, end = structure.row_start[layer.rows + row], structure.row_start[layer.rows + row + 1]
        bias = parameters[layer.bias + row]
        row_linear(parameters, structure.units, start, end, bias, model.workspace, model.normal, layer.target + row)


@compiled
def _normalized_forward(model: Model, number: int) -> None:
    """Layer normalisation without affine parameters, then ReLU (Ba et al. 2016, arXiv 1607.06450).

    Of all regularisers that Nauman et al. 2024 (arXiv 2403.00514) tried on critics it is the one that helps most.
    """
    layer, normal = model.structure.layers[number], model.normal
    first, end = layer.target, layer.target + layer.outputs
    mean_row, scale_row, sums = _rows(model, number)
    one_of_all = ONE / np.float32(layer.outputs)
    _sums_forward(model, layer)
    normal[mean_row] = normal[first]  # a value among them, so that the sums of squares lose no digits
    unit_sums(normal, first, end, normal, mean_row, normal[sums:])
    for lane in range(LANES):
        distance = normal[sums, lane] * one_of_all
        variance = max(normal[sums + 1, lane] * one_of_all - distance * distance, ZERO)
        normal[mean_row, lane] += distance
        normal[scale_row, lane] = ONE / np.sqrt(variance + NORM_EPSILON)
    units_normalized(normal, first, end, normal[mean_row:], normal[scale_row:], 0, model.workspace)


@compiled
def _rows(model: Model, number: int) -> tuple[int, int, int]:
    """Where `normal` has the means of a layer, its deviations, and room for sums."""
    units, layers = model.workspace.shape[0], model.structure.layers.size
    return units + number, units + layers + number, units + 2 * layers


@compiled
def turn_weights(model: Model) -> None:
    """Bring the weights into the order that `backward` reads; due whenever parameters have changed."""
    turned, parameters, places = model.turned, model.parameters, model.structure.places
    for entry in range(places.size):
        turned[entry] = parameters[places[entry]]


@compiled
def backward(model: Model, first: int, end: int, with_weights: bool) -> None:
    """Propagate deltas from the outputs of layer end - 1 to those of layer `first`; after `forward` over these layers.

    `with_weights`: add to the gradient of these layers' weights and biases on the way.
    """
    layers = model.structure.layers
    for number in range(end - 1, first - 1, -1):
        layer = layers[number]
        if with_weights:
            if layer.is_dense:
                _dense_gradient(model, layer)
            else:
                _sparse_gradient(model, layer)
        if number > first:
            if layer.is_dense:
                _dense_deltas(model, layer)
            else:
                _sparse_deltas(model, layer, layers[number - 1])
            if layers[number - 1].is_normalized:
                _normalized_deltas(model, number - 1)


@compiled
def _normalized_deltas(model: Model, number: int) -> None:
    """Deltas of a layer's sums from those of its normalised values, in their place.

    With z the sums, m their mean and 1 / s their deviation: s (delta - mean(delta) - s^2 (z - m) mean(delta (z - m))),
    means over the layer's units.
    """
    layer, normal = model.structure.layers[number], model.normal
    first, end = layer.target, layer.target + layer.outputs
    mean_row, scale_row, sums = _rows(model, number)
    one_of_all = ONE / np.float32(layer.outputs)
    unit_products(model.workspace, normal, first, end, normal, mean_row, normal[sums:])
    for lane in range(LANES):
        scale = normal[scale_row, lane]
        mean, product = normal[sums, lane] * one_of_all, normal[sums + 1, lane] * one_of_all
        normal[sums, lane], normal[sums + 1, lane] = scale, scale * mean
        normal[sums + 2, lane] = scale * scale * scale * product
    deltas_normalized(model.workspace, normal, first, end, normal, mean_row, normal[sums:])


@compiled
def _sparse_gradient(model: Model, layer: Any) -> None:
    structure, gradient, workspace = model.structure, model.gradient, model.workspace
    row_start, units, live = structure.row_start, structure.units, structure.live
    for place in range(layer.live, layer.live_end):
        row = np.int64(live[place])
        start, end = row_start[layer.rows + row], row_start[layer.rows + row + 1]
        row_gradient(workspace, layer.target + row, workspace, units, start, end, gradient, layer.bias + row)


@compiled_sums
def _dense_gradient(model: Model, layer: Any) -> None:
    weights = model.gradient[layer.weights : layer.weights + layer.outputs * layer.inputs]
    matrix = weights.reshape((layer.outputs, layer.inputs))
    target = model.workspace[layer.target :]
    source = model.workspace[layer.source :]
    gemm(target, LANES, 0, source, 1, matrix, (layer.outputs, layer.inputs, LANES), ONE)
    for place in range(layer.inactive, layer.inactive_end):
        model.gradient[model.structure.inactive[place]] = ZERO
    for row in range(layer.outputs):
        total = ZERO
        for lane in range(LANES):
            total += target[row, lane]
        model.gradient[layer.bias + row] += total


@compiled
def _sparse_deltas(model: Model, layer: Any, before: Any) -> None:
    structure, turned, workspace = model.structure, model.turned, model.workspace
    column_start, units, live = structure.column_start, structure.column_units, structure.live
    for place in range(before.live, before.live_end):
        column = np.int64(live[place])
        start, end = column_start[layer.columns + column], column_start[layer.columns + column + 1]
        row_gated(turned, units, start, end, ZERO, workspace, workspace, layer.source + column)


@compiled
def _dense_deltas(model: Model, layer: Any) -> None:
    weights = model.parameters[layer.weights :]
    target = model.workspace[layer.target :]
    source = model.workspace[layer.source :]
    gemm(weights, layer.inputs, 1, target, 0, model.spare, (layer.inputs, LANES, layer.outputs), ZERO)
    for unit in range(layer.inputs):
        for lane in range(LANES):
            source[unit, lane] = model.spare[unit, lane] if source[unit, lane] > 0 else ZERO


@compiled
def input_deltas(model: Model, number: int, add: bool) -> None:
    """Replace the network's inputs from `first_input` on by their deltas, or add these; `number`: its first layer."""
    layer = model.structure.layers[number]
    if layer.is_dense:
        _dense_input_deltas(model, layer, add)
    else:
        _sparse_input_deltas(model, layer, add)


@compiled
def _sparse_input_deltas(model: Model, layer: Any, add: bool) -> None:
    structure, turned, workspace = model.structure, model.turned, model.workspace
    column_start, units = structure.column_start, structure.column_units
    for column in range(layer.first_input, layer.inputs):
        start, end = column_start[layer.columns + column], column_start[layer.columns + column + 1]
        if add:
            row_added(turned, units, start, end, ZERO, workspace, workspace, column)
        else:
            row_linear(turned, units, start, end, ZERO, workspace, workspace, column)


@compiled
def _dense_input_deltas(model: Model, layer: Any, add: bool) -> None:
    weights = model.parameters[layer.weights + layer.first_input :]
    target = model.workspace[layer.target :]
    wanted = model.workspace[layer.first_input : layer.inputs]
    size = (layer.inputs - layer.first_input, LANES, layer.outputs)
    gemm(weights, layer.inputs, 1, target, 0, wanted, size, ONE if add else ZERO)
