"""The weights that are stepped where a model's own are rescaled (`networks/rescaling.py`)."""

from __future__ import annotations

import numpy as np

from rlx2_ray.kernels.rescaling import raw_gradient, rescale
from rlx2_ray.networks.sparse_model import SparseModel
from rlx2_ray.types import Floats


class RawWeights:
    def __init__(self, model: SparseModel) -> None:
        """They begin as the model's own, which lie in the same slots."""
        self.parameters = model.kernel.parameters.copy()
        self._factors = np.zeros(len(model.masks), np.float32)
        # Of what was rescaled before, rescaling makes the same again, and the factors with it.
        self.rescale(model)

    def rescale(self, model: SparseModel) -> None:
        """Gives the model the rescaled ones."""
        rescale(model.kernel, self.parameters, self._factors)

    def stepped(self, model: SparseModel) -> Floats:
        """Returns what is to be stepped, with the gradient in the model, which is brought from the rescaled ones."""
        raw_gradient(model.kernel, self._factors)
        return self.parameters
