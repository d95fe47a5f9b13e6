"""A layer as what it really holds: its active weights and where they are. The form of checkpoints and broadcasts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.types import Bools, Floats

WEIGHTS, BIAS = "weights", "bias"
RAW = "raw"  # of a weight that is rescaled: what is stepped
GROWTH = "growth"  # of a layer: sums of the gradients that an event grows by
AGE = "age"  # of a weight that may have grown: the optimizer's steps since then


class SparseLayer(NamedTuple):
    """A linear layer y = W x + bias with W of `shape` (outputs, inputs)."""

    shape: tuple[int, int]
    indices: NDArray[np.int32]  # (active,), ascending positions in row-major W
    weights: Floats  # (active,)
    bias: Floats  # (outputs,)

    @classmethod
    def from_dense(cls, weights: Floats, mask: Bools, bias: Floats) -> SparseLayer:
        """Copies the active weights out of (outputs, inputs) arrays."""
        indices = np.flatnonzero(mask).astype(np.int32)
        return cls(weights.shape, indices, weights.ravel()[indices], bias.copy())

    def mask(self) -> Bools:
        """Returns (outputs, inputs), True where active."""
        mask = np.zeros(self.shape, dtype=np.bool_)
        mask.ravel()[self.indices] = True
        return mask

    def scatter(self) -> Floats:
        """The weights as an (outputs, inputs) array, 0 where inactive."""
        dense = np.zeros(self.shape, dtype=np.float32)
        dense.ravel()[self.indices] = self.weights
        return dense


Layers = tuple[SparseLayer, ...]
Arrays = dict[str, NDArray[np.generic]]


def to_arrays(layers: Iterable[SparseLayer], prefix: str) -> Arrays:
    """Returns named arrays `<prefix>.<i>.{shape,indices,weights,bias}`."""
    arrays: Arrays = {}
    for index, layer in enumerate(layers):
        key = f"{prefix}.{index}."
        arrays[key + "shape"] = np.asarray(layer.shape, dtype=np.int32)
        arrays[key + "indices"] = layer.indices
        arrays[key + WEIGHTS] = layer.weights
        arrays[key + BIAS] = layer.bias
    return arrays


def from_arrays(arrays: Mapping[str, NDArray[np.generic]], prefix: str) -> Layers:
    """Returns the layers: the inverse of `to_arrays`."""
    layers: list[SparseLayer] = []
    while (key := f"{prefix}.{len(layers)}.") + "shape" in arrays:
        outputs, inputs = (int(size) for size in arrays[key + "shape"])
        layers.append(
            SparseLayer((outputs, inputs), arrays[key + "indices"], arrays[key + WEIGHTS], arrays[key + BIAS])  # type: ignore[arg-type]
        )
    return tuple(layers)
