"""A model's weights rescaled over the active ones of each layer, and the way back of their gradient: compiled.

`networks/rescaling.py` says what that is and why.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rlx2_ray.kernels.compiled import compiled, compiled_sums, entry_point
from rlx2_ray.kernels.network import Model
from rlx2_ray.types import Floats

EPSILON = 1e-8  # that of `networks/rescaling.py`


@compiled
def _active(model: Model, layer: Any) -> int:
    """The active weights of a layer."""
    if layer.is_dense:
        count: int = layer.outputs * layer.inputs - (layer.inactive_end - layer.inactive)
        return count
    count = model.structure.row_start[layer.rows + layer.outputs] - layer.weights
    return count


@compiled
def _slots(model: Model, layer: Any) -> int:
    slots: int = layer.outputs * layer.inputs if layer.is_dense else _active(model, layer)
    return slots


@compiled
def _gain(model: Model, layer: Any) -> float:
    gain: float = 1 / np.sqrt(max(1.0, _active(model, layer) / layer.outputs))
    return gain


@compiled_sums
def _sums(one: Floats, other: Floats, first: int, size: int) -> tuple[float, float]:
    """The sum of `one`, and that of its products with `other`."""
    total, product = 0.0, 0.0
    for slot in range(first, first + size):
        total += np.float64(one[slot])
        product += np.float64(one[slot]) * np.float64(other[slot])
    return total, product


@compiled
def _clear_inactive(model: Model, layer: Any, values: Floats) -> None:
    for place in range(layer.inactive, layer.inactive_end):
        values[model.structure.inactive[place]] = np.float32(0)


@entry_point
def rescale(model: Model, raw: Floats, factors: Floats) -> None:
    """Give the model the rescaled weights of `raw` (slots,), and its biases; `factors` (layers,): gain / deviation."""
    parameters = model.parameters
    parameters[:] = raw
    for number in range(model.structure.layers.size):
        layer = model.structure.layers[number]
        size, active = _slots(model, layer), _active(model, layer)
        total, squares = _sums(raw, raw, layer.weights, size)
        mean = total / active
        factors[number] = _gain(model, layer) / np.sqrt(max(squares / active - mean * mean, 0.0) + EPSILON)
        factor, center = factors[number], np.float32(mean)
        for slot in range(layer.weights, layer.weights + size):
            parameters[slot] = factor * (raw[slot] - center)
        _clear_inactive(model, layer, parameters)


@entry_point
def raw_gradient(model: Model, factors: Floats) -> None:
    """Turn the gradient by the rescaled weights into that by the raw ones, in its place; after `rescale`.

    With u = w / gain of the rescaled weights w: factor * (g - mean(g) - u * mean(g u)) over a layer's active weights.
    """
    gradient, parameters = model.gradient, model.parameters
    for number in range(model.structure.layers.size):
        layer = model.structure.layers[number]
        size, active, gain = _slots(model, layer), _active(model, layer), _gain(model, layer)
        total, product = _sums(gradient, parameters, layer.weights, size)
        mean, slope, factor = np.float32(total / active), np.float32(product / (active * gain * gain)), factors[number]
        for slot in range(layer.weights, layer.weights + size):
            gradient[slot] = factor * (gradient[slot] - mean - slope * parameters[slot])
        _clear_inactive(model, layer, gradient)
