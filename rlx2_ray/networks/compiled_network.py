"""A network for acting, through the compiled kernels."""

from __future__ import annotations

import numpy as np

from rlx2_ray.kernels.inference import network_outputs
from rlx2_ray.networks.sparse_model import SparseModel
from rlx2_ray.types import Floats


class CompiledNetwork:
    """`policy.Network` over a model, which it follows through every change."""

    def __init__(self, model: SparseModel) -> None:
        self._model = model
        self._units = np.zeros(len(model.kernel.workspace), np.float32)

    @property
    def output_size(self) -> int:
        return len(self._model.masks[-1])

    def outputs(self, observation: Floats, squashed: int = 0) -> Floats:
        if observation.ndim == 2:
            return np.stack([self.outputs(row, squashed) for row in observation])
        structure, parameters = self._model.kernel.structure, self._model.kernel.parameters
        outputs: Floats = network_outputs(
            structure.layers,
            structure.row_start,
            structure.units,
            structure.connections,
            parameters,
            observation,
            self._units,
            squashed,
        )
        return outputs
