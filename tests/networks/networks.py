"""Small random layers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from rlx2_ray.networks.sparse_layer import Layers, SparseLayer
from rlx2_ray.types import Floats


def random_layers(*sizes: int, seed: int = 0, density: float = 0.5) -> Layers:
    """An MLP of the given sizes with standard normal weights and biases."""
    generator = np.random.default_rng(seed)
    return tuple(
        SparseLayer.from_dense(
            generator.standard_normal((outputs, inputs), np.float32),
            generator.random((outputs, inputs)) < density,
            generator.standard_normal(outputs, np.float32),
        )
        for inputs, outputs in pairwise(sizes)
    )


def full_layer(weights: list[list[float]], bias: list[float]) -> SparseLayer:
    """A dense layer of the given numbers."""
    array: Floats = np.array(weights, np.float32)
    return SparseLayer.from_dense(array, np.ones(array.shape, np.bool_), np.array(bias, np.float32))
