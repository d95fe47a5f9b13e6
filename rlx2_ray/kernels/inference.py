"""The outputs of a network for one observation: what an agent does between two steps of its environment."""

from __future__ import annotations

import numpy as np
from numba import njit

from rlx2_ray.kernels.mathematics import tanh


@njit(error_model="numpy", cache=True)
def network_outputs(layers, row_start, sources, connections, parameters, observation, units, squashed):
    """(outputs,) of a model of one network for an observation (inputs,); tanh of the first `squashed` of them.

    `units`: room for the value of every unit.
    """
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


@njit(error_model="numpy", fastmath={"reassoc", "nsz", "contract"})
def _add_dense(layer, parameters, units, values):
    source = units[layer.source : layer.source + layer.inputs]
    for row in range(layer.outputs):
        first = layer.weights + row * layer.inputs
        weights = parameters[first : first + layer.inputs]
        total = np.float32(0)
        for unit in range(layer.inputs):
            total += weights[unit] * source[unit]
        values[row] += total


@njit(error_model="numpy")
def _add_columns(layer, connections, parameters, units):
    """Short rows: no sum waits for the one before it, and no end of a row has to be guessed."""
    for number in range(layer.connections, layer.connections_end):
        source, target, slot = connections[number, 0], connections[number, 1], connections[number, 2]
        units[np.uint32(target)] += parameters[np.uint32(slot)] * units[np.uint32(source)]


@njit(error_model="numpy")
def _add_rows(layer, row_start, sources, parameters, units, values):
    """Long rows. Those of units that are not live are summed up too; nothing reads them."""
    for row in range(layer.outputs):
        total = values[row]
        for slot in range(row_start[layer.rows + row], row_start[layer.rows + row + 1]):
            total += parameters[np.uint32(slot)] * units[np.uint32(sources[np.uint32(slot)])]
        values[row] = total


@njit(error_model="numpy", fastmath={"reassoc", "nsz", "contract"})
def _add_few_rows(layer, row_start, sources, parameters, units, values):
    """Very long rows: each as several sums at once, since an addition waits for the one before it."""
    for row in range(layer.outputs):
        first, end = row_start[layer.rows + row], row_start[layer.rows + row + 1]
        weights, places = parameters[first:end], sources[first:end]
        total = np.float32(0)
        for entry in range(weights.size):
            total += weights[entry] * units[np.uint32(places[entry])]
        values[row] += total
