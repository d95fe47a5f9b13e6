"""What comes into each layer of a model at an event, the same for every engine: worked out where a rule asks for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from rlx2_ray.kernels.network import NORM_EPSILON
from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.types import Floats

Inputs = Callable[[], Floats]  # (inputs, B), of a model, for each sample of the batch


def inputs_by_layer(layers: Layers, networks: int, inputs: Inputs, normalized: bool = False) -> Callable[[int], Floats]:
    """Gives (inputs, B) of the layer of a number, in a model of so many equally deep networks over the same inputs.

    `normalized`: the hidden layers are.
    """

    @cache
    def all_inputs() -> list[Floats]:
        found: list[Floats] = []
        depth = len(layers) // networks
        for first in range(0, len(layers), depth):
            found.append(inputs())
            for layer in layers[first : first + depth - 1]:
                sums = layer.scatter() @ found[-1] + layer.bias[:, None]
                found.append(np.maximum(_normalized(sums) if normalized else sums, 0))
        return found

    return lambda number: all_inputs()[number]


def _normalized(sums: Floats) -> Floats:
    """(units, B), each column to mean 0 and deviation 1."""
    distances = sums - sums.mean(axis=0)
    normal: Floats = distances / np.sqrt(np.square(distances).mean(axis=0) + NORM_EPSILON)
    return normal
