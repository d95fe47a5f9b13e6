"""How many steps each weight has had since it has grown, by which Adam corrects the bias of its moments.

A weight that grows has moments of 0. Corrected by the many steps of its network, as if they had been running means all
the time, they make its first step (1 - beta_1) / sqrt(1 - beta_2), about 3, times the learning rate. Corrected by its
own steps (Kingma & Ba 2015, arXiv 1412.6980, section 3) it is the learning rate. Counted weight by weight as the Adam
of continual backpropagation does (Dohare et al. 2021, arXiv 2108.06325).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlx2_ray.config import AgentConfig
from rlx2_ray.kernels.optimizer import Corrections
from rlx2_ray.kernels.structure import Int64s
from rlx2_ray.networks.sparse_model import SparseModel
from rlx2_ray.types import Bools


class OwnSteps:
    def __init__(self, model: SparseModel, config: AgentConfig) -> None:
        self._config = config
        self._set(model, [np.zeros(len(slots), np.int64) for slots in model.slots])

    def _set(self, model: SparseModel, births: list[Int64s]) -> None:
        """`births`: of each layer's active weights, the steps that the model had had when they grew."""
        self._births = births
        of_slot = np.zeros(len(model.kernel.parameters), np.int64)  # biases have been there from the start
        for slots, layer in zip(model.slots, births, strict=True):
            of_slot[slots] = layer
        self._starts, cohorts = np.unique(of_slot, return_inverse=True)
        self._cohorts = cohorts.astype(np.int32)

    def corrections(self, steps: int) -> Corrections:
        """Those of the model's step number `steps`."""
        ages = steps - self._starts
        rates = self._config.learning_rate / (1 - self._config.beta_1**ages)
        roots = 1 / np.sqrt(1 - self._config.beta_2**ages)
        return Corrections(self._cohorts, rates.astype(np.float32), roots.astype(np.float32))

    def rewire(self, model: SparseModel, masks: Sequence[Bools], steps: int) -> None:
        """`model` was rewired after so many steps, and had `masks` before."""
        births = []
        for old, new, layer in zip(masks, model.masks, self._births, strict=True):
            whole = np.full(old.shape, steps, np.int64)
            whole[old] = layer
            births.append(whole[new])
        self._set(model, births)

    def ages(self, steps: int) -> list[Int64s]:
        """Of each layer's active weights, in their order."""
        return [steps - layer for layer in self._births]

    def restore(self, model: SparseModel, ages: Sequence[Int64s], steps: int) -> None:
        """The inverse of `ages`."""
        self._set(model, [steps - layer for layer in ages])
