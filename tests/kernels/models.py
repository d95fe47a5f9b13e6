"""Random models with all that can be odd about one, in the kernels' form and in that of their reference.

All numbers are whole, at most 2 in size, and a layer has at most 80 units. So every sum of every pass stays below
2**24: float32 holds it exactly, however it is added up, and kernel and reference must be equal, not close.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from rlx2_ray.kernels.reference import DenseLayer
from rlx2_ray.kernels.vectors import LANES
from rlx2_ray.networks.sparse_layer import Layers, SparseLayer
from rlx2_ray.networks.sparse_model import SparseModel
from rlx2_ray.types import Bools, Floats

# Few units, and around the size from which a layer may be of the dense kind.
SIZES = st.integers(1, 8) | st.integers(30, 80)


class Case(NamedTuple):
    """A model, and numbers to feed it with."""

    layers: Layers
    networks: int
    first_input: int
    generator: np.random.Generator

    @property
    def dense(self) -> list[DenseLayer]:
        return [DenseLayer(layer.scatter().astype(np.float64), layer.mask(), layer.bias) for layer in self.layers]

    @property
    def inputs(self) -> int:
        return self.layers[0].shape[1]

    def model(self) -> SparseModel:
        """Its workspace filled with what no result may depend on."""
        model = SparseModel(self.layers, self.networks, self.first_input)
        model.kernel.workspace[:] = 1e30
        return model

    def draw(self, *shape: int) -> Floats:
        return whole_numbers(self.generator, *shape)

    def draw_deltas(self) -> list[Floats]:
        """(outputs, LANES) of each network."""
        depth = len(self.layers) // self.networks
        return [self.draw(layer.shape[0], LANES) for layer in self.layers[depth - 1 :: depth]]


def whole_numbers(generator: np.random.Generator, *shape: int) -> Floats:
    return generator.choice(np.array([-2, -1, 1, 2], np.float32), shape)


@st.composite
def cases(draw: st.DrawFn, networks: int | None = None) -> Case:
    """`networks`: 1 or 2 where not given."""
    depth, inputs, count = draw(st.integers(1, 3)), draw(SIZES), networks or draw(st.integers(1, 2))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layers: list[SparseLayer] = []
    for _ in range(count):
        sizes = [inputs, *(draw(SIZES) for _ in range(depth))]
        for source, target in pairwise(sizes):
            layers.append(random_layer(generator, draw(masks(target, source))))
    return Case(tuple(layers), count, draw(st.integers(0, inputs)), generator)


def random_layer(generator: np.random.Generator, mask: Bools) -> SparseLayer:
    return SparseLayer.from_dense(whole_numbers(generator, *mask.shape), mask, whole_numbers(generator, len(mask)))


@st.composite
def masks(draw: st.DrawFn, outputs: int, inputs: int) -> Bools:
    """From one weight to all of them, some with empty rows and columns."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mask: Bools = generator.random((outputs, inputs)) < draw(st.sampled_from([0.0, 0.05, 0.3, 0.8, 1.0]))
    keep = draw(st.sampled_from([1.0, 0.7]))
    mask &= (generator.random((outputs, 1)) <= keep) & (generator.random(inputs) <= keep)
    mask[generator.integers(outputs), generator.integers(inputs)] = True
    return mask


def outputs_of(model: SparseModel, number: int) -> NDArray[Any]:
    """The workspace rows of a layer's outputs, a view."""
    layer = model.kernel.structure.layers[number]
    return model.kernel.workspace[layer["target"] : layer["target"] + layer["outputs"]]
