"""The outputs of a network for one observation: what an agent does between two steps of its environment."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlx2_ray.kernels.compiled import compiled, compiled_sums, entry_point
from rlx2_ray.kernels.mathematics import tanh
from rlx2_ray.kernels.structure import LAYER, Int32s, Int64s
from rlx2_ray.types import Floats


@entry_point
def network_outputs(
    layer_numbers: Int64s,
    row_start: Int64s,
    sources: Int32s,
    connections: Int32s,
    parameters: Floats,
    observation: Floats,
    units: Floats,
    squashed: int,
) -> Floats:
    """Returns (outputs,) of a model of one network for an observation (inputs,); tanh of the first `squashed` of them.

    `layer_numbers`, a flat view of the structure's layers, because numba is slow to take records from Python;
    `row_start` to `connections`: of its structure. `units`: room for the value of every unit.
    """
    layers = layer_numbers.view(LAYER)
    units[: observation.size] = observation
    for number in range(layers.size):
        layer = layers[number]
        values = units[layer.target : layer.target + layer.outputs]
        values[:] = parameters[layer.bias : layer.bias + layer.outputs]
        if layer.is_dense:
            _add_dense(layer, parameters, units, values)
        elif layer.connections < layer.connections_end:
            _add_columns(layer, connections, parameters, units)
        elif layer.is_output:
            _add_few_rows(layer, row_start, sources, parameters, units, values)
        else:
            _add_rows(layer, row_start, sources, parameters, units, values)
        if not layer.is_output:
            for row in range(layer.outputs):
                values[row] = max(values[row], np.float32(0))
    outputs = values.copy()
    for row in range(squashed):
        outputs[row] = tanh(outputs[row])
    return outputs


@compiled_sums
def _add_dense(layer: Any, parameters: Floats, units: Floats, values: Floats) -> None:
    source = units[layer.source : layer.source + layer.inputs]
    for row in range(layer.outputs):
        first = layer.weights + row * layer.inputs
        weights = parameters[first : first + layer.inputs]
        total = np.float32(0)
        for unit in range(layer.inputs):
            total += weights[unit] * source[unit]
        values[row] += total


@compiled
def _add_columns(layer: Any, connections: Int32s, parameters: Floats, units: Floats) -> None:
    """Short rows: no sum waits for the one before it, and no end of a row has to be guessed."""
    for number in range(layer.connections, layer.connections_end):
        source, target, slot = connections[number, 0], connections[number, 1], connections[number, 2]
        units[np.uint32(target)] += parameters[np.uint32(slot)] * units[np.uint32(source)]


@compiled
def _add_rows(
    layer: Any, row_start: Int64s, sources: Int32s, parameters: Floats, units: Floats, values: Floats
) -> None:
    """Long rows. Those of units that are not live are summed up too; nothing reads them."""
    for row in range(layer.outputs):
        total = values[row]
        for slot in range(row_start[layer.rows + row], row_start[layer.rows + row + 1]):
            total += parameters[np.uint32(slot)] * units[np.uint32(sources[np.uint32(slot)])]
        values[row] = total


@compiled_sums
def _add_few_rows(
    layer: Any, row_start: Int64s, sources: Int32s, parameters: Floats, units: Floats, values: Floats
) -> None:
    """Very long rows: each as several sums at once, since an addition waits for the one before it."""
    for row in range(layer.outputs):
        first, end = row_start[layer.rows + row], row_start[layer.rows + row + 1]
        weights, places = parameters[first:end], sources[first:end]
        total = np.float32(0)
        for entry in range(weights.size):
            total += weights[entry] * units[np.uint32(places[entry])]
        values[row] += total
