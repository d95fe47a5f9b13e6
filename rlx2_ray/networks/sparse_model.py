"""A model of sparse layers in the form that the compiled kernels work on, and the way to and from plain layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.kernels.network import Model, make_model
from rlx2_ray.kernels.structure import build_structure
from rlx2_ray.networks.sparse_layer import Layers, SparseLayer
from rlx2_ray.types import Bools, Floats


class SparseModel:
    """A model of `networks` equally deep networks over the same inputs. Compiled functions change `kernel` in place."""

    kernel: Model  # replaced by `rewire`
    masks: list[Bools]  # likewise

    def __init__(
        self,
        layers: Layers,
        networks: int = 1,
        first_input: int = 0,
        workspace: Floats | None = None,
        normalized: bool = False,
    ) -> None:
        """`first_input`, `normalized` and `workspace` are as in `build_structure` and `make_model`."""
        self.networks, self.normalized = networks, normalized
        self._first_input = first_input
        self._build(layers, [layer.mask() for layer in layers], workspace)

    def _build(self, layers: Layers, masks: list[Bools], workspace: Floats | None) -> None:
        self.masks = masks
        structure = build_structure(masks, self.networks, self._first_input, self.normalized)
        self.slots = [  # of the active weights of each layer
            record["weights"] + (layer.indices if record["is_dense"] else np.arange(len(layer.indices)))
            for record, layer in zip(structure.layers, layers, strict=True)
        ]
        last = structure.layers[-1]
        parameters = self._join(int(last["bias"] + last["outputs"]), structure.layers, layers)
        self.kernel = make_model(structure, parameters, workspace)

    def rewire(self, masks: list[Bools], weights: Sequence[Floats] | None = None) -> None:
        """Make other weights active. Clears the workspace.

        `weights`: of all layers from now on, (outputs, inputs), 0 where inactive; without them values stay where they
        were and new ones are 0.
        """
        workspace = self.kernel.workspace
        workspace[:] = 0
        old = self.layers()
        values = [layer.scatter() for layer in old] if weights is None else weights
        biases = [layer.bias for layer in old]
        layers = tuple(SparseLayer.from_dense(*each) for each in zip(values, masks, biases, strict=True))
        self._build(layers, masks, workspace)

    def _join(self, size: int, records: NDArray[Any], layers: Layers) -> Floats:
        values = np.zeros(size, np.float32)
        for record, slots, layer in zip(records, self.slots, layers, strict=True):
            values[slots] = layer.weights
            values[record["bias"] : record["bias"] + record["outputs"]] = layer.bias
        return values

    def join(self, layers: Layers) -> Floats:
        """Values of these layers' structure (parameters, moments) as one array (slots,)."""
        return self._join(len(self.kernel.parameters), self.kernel.structure.layers, layers)

    def split(self, values: Floats) -> Layers:
        """Returns copies of the layers: the inverse of `join`."""
        return tuple(
            SparseLayer(
                mask.shape,
                np.flatnonzero(mask).astype(np.int32),
                values[slots],
                values[record["bias"] : record["bias"] + record["outputs"]].copy(),
            )
            for record, slots, mask in zip(self.kernel.structure.layers, self.slots, self.masks, strict=True)
        )

    def layers(self) -> Layers:
        """Returns a copy of the model."""
        return self.split(self.kernel.parameters)

    def densified(self) -> SparseModel:
        """The same function with every weight active, those that were not at 0. In a workspace of its own."""
        full = [np.ones_like(mask) for mask in self.masks]
        return SparseModel(move(self.layers(), full), self.networks, self._first_input, normalized=self.normalized)


def move(layers: Layers, masks: Sequence[Bools]) -> Layers:
    """The layers with other weights active: values stay where they were, new ones are 0."""
    return tuple(
        SparseLayer.from_dense(layer.scatter(), mask, layer.bias) for layer, mask in zip(layers, masks, strict=True)
    )
