"""A finished policy without what its actions do not depend on: fewer units, and the same function of the observation.

A sparse network leaves hidden units that nothing reads, units that read nothing and so are constants, and active
weights that are exactly zero. A trainer needs them, since the topology may still change; a finished policy does not.
"""

from __future__ import annotations

import numpy as np

from rlx2_ray.networks.policy import DenseLayer
from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.types import Floats


def compact(layers: Layers, outputs: int) -> list[DenseLayer]:
    """Returns layers with the first `outputs` outputs of `layers`, equal but for rounding, with zeros where inactive.

    Every hidden layer keeps at least one unit, for an array of length 0 is no valid C.
    """
    weights = [layer.scatter() for layer in layers]
    biases = [layer.bias.copy() for layer in layers]
    weights[-1], biases[-1] = weights[-1][:outputs], biases[-1][:outputs]
    _fold_constants(weights, biases)
    _drop_unread(weights, biases)
    return [DenseLayer(*layer) for layer in zip(weights, biases, strict=True)]


def _fold_constants(weights: list[Floats], biases: list[Floats]) -> None:
    """Forwards, since a unit that read only constants becomes one."""
    for layer in range(len(weights) - 1):
        constant = np.count_nonzero(weights[layer], axis=1) == 0
        values = np.maximum(biases[layer][constant], 0)
        biases[layer + 1] += weights[layer + 1][:, constant] @ values
        weights[layer + 1][:, constant] = 0


def _drop_unread(weights: list[Floats], biases: list[Floats]) -> None:
    """Backwards, since a unit that only such units read becomes one."""
    for layer in reversed(range(len(weights) - 1)):
        is_read = np.count_nonzero(weights[layer + 1], axis=0) > 0
        is_read[:1] |= not is_read.any()
        weights[layer + 1] = np.ascontiguousarray(weights[layer + 1][:, is_read])
        weights[layer], biases[layer] = weights[layer][is_read], biases[layer][is_read]
