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


def forward(
    layers: Sequence[DenseLayer], networks: int, inputs: NDArray[Any], normalized: bool = False
) -> list[Doubles]:
    """The outputs (units, N) of every layer, hidden ones after ReLU, and before it after `normal` if `normalized`."""
    depth = len(layers) // networks
    values: list[Doubles] = []
    for number, layer in enumerate(layers):
        source = values[-1] if number % depth else inputs
        sums = layer.weights @ source + layer.bias[:, None]
        if (number + 1) % depth:
            sums = np.maximum(normal(sums) if normalized else sums, 0)
        values.append(sums)
    return values


def normal(sums: Doubles, epsilon: float = 1e-5) -> Doubles:
    """Columns of mean 0 and deviation 1 (Ba et al. 2016, arXiv 1607.06450, without gain and bias)."""
    distances = sums - sums.mean(axis=0)
    values: Doubles = distances / np.sqrt(np.square(distances).mean(axis=0) + epsilon)
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
