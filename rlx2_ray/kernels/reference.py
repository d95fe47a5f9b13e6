"""What the compiled kernels compute, in plain numpy over dense matrices and in float64: they have to agree with this.

A model is `networks` networks of equal depth over the same inputs, layer after layer, the networks one after the other.
Matrices of values and of deltas are (units, N), one column a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.types import Bools

Doubles = NDArray[np.float64]


class DenseLayer(NamedTuple):
    weights: Doubles  # (outputs, inputs), 0 where inactive
    mask: Bools  # (outputs, inputs), True where active
    bias: Doubles  # (outputs,)


class Gradients(NamedTuple):
    """The gradients of a loss by everything it depends on, layer after layer."""

    weights: list[Doubles]  # (outputs, inputs), 0 where inactive
    biases: list[Doubles]  # (outputs,)
    inputs: Doubles  # (inputs, N), the sum over all networks


def forward(layers: Sequence[DenseLayer], networks: int, inputs: NDArray[Any]) -> list[Doubles]:
    """The outputs (units, N) of every layer, hidden ones after ReLU."""
    depth = len(layers) // networks
    values: list[Doubles] = []
    for number, layer in enumerate(layers):
        source = values[-1] if number % depth else inputs
        sums = layer.weights @ source + layer.bias[:, None]
        values.append(sums if (number + 1) % depth == 0 else np.maximum(sums, 0))
    return values


def backward(
    layers: Sequence[DenseLayer],
    networks: int,
    inputs: NDArray[Any],
    values: Sequence[NDArray[Any]],
    output_deltas: Sequence[NDArray[Any]],
) -> Gradients:
    """The chain rule from `output_deltas`, one matrix a network.

    `values` of `forward`; where they are 0, ReLU is taken to be flat, as torch takes it.
    """
    depth = len(layers) // networks
    weights: list[Doubles] = []
    biases: list[Doubles] = []
    total = np.zeros(inputs.shape)
    for number in reversed(range(len(layers))):
        layer = layers[number]
        if (number + 1) % depth == 0:
            deltas = np.asarray(output_deltas[number // depth], np.float64)
        source = values[number - 1] if number % depth else inputs
        weights.append(np.where(layer.mask, deltas @ source.T, 0))
        biases.append(deltas.sum(axis=1))
        deltas = layer.weights.T @ deltas
        if number % depth:
            deltas = np.where(source > 0, deltas, 0)
        else:
            total += deltas
    return Gradients(weights[::-1], biases[::-1], total)
