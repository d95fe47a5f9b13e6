"""A network for acting, through the compiled kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlx2_ray.kernels.inference import network_outputs
from rlx2_ray.kernels.network import Model
from rlx2_ray.networks.sparse_model import SparseModel
from rlx2_ray.types import Floats


class CompiledNetwork:
    """A `policy.Network` over a model, which it follows through every change."""

    def __init__(self, model: SparseModel) -> None:
        self._model = model
        self._units = np.zeros(len(model.kernel.workspace), np.float32)
        self._kernel, self._arrays = model.kernel, _arrays(model.kernel)

    @property
    def output_size(self) -> int:
        return len(self._model.masks[-1])

    def outputs(self, observation: Floats, squashed: int = 0) -> Floats:
        if observation.ndim == 2:
            return np.stack([self.outputs(row, squashed) for row in observation])
        kernel = self._model.kernel
        if kernel is not self._kernel:  # the model was rewired
            self._kernel, self._arrays = kernel, _arrays(kernel)
        outputs: Floats = network_outputs(*self._arrays, observation, self._units, squashed)  # type: ignore[call-arg]
        return outputs


def _arrays(kernel: Model) -> tuple[Any, ...]:
    """The first arguments of `network_outputs`."""
    structure = kernel.structure
    return (
        structure.layers.view(np.int64),
        structure.row_start,
        structure.units,
        structure.connections,
        kernel.parameters,
    )
