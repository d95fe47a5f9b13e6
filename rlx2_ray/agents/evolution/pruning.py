"""Gradual magnitude pruning, from dense to the planned structure (Zhu & Gupta 2017, arXiv 1710.01878).

As Graesser et al. 2022 (arXiv 2206.10369) do it in deep RL, every layer goes to its own final sparsity by the same
schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rlx2_ray.agents.evolution.base import LayerAtEvent
from rlx2_ray.agents.evolution.gradual import GradualPruning
from rlx2_ray.sparse.masks import largest
from rlx2_ray.sparse.schedule import PruningSchedule
from rlx2_ray.types import Bools, Floats


class Pruning(GradualPruning):
    def __init__(
        self, schedule: PruningSchedule, final_counts: Sequence[int], holds: Callable[[], bool] | None = None
    ) -> None:
        """`final_counts` are the active weights of each layer at the end."""
        super().__init__(schedule, holds)
        self._final_counts = final_counts

    def rewire_layer(self, layer: LayerAtEvent) -> tuple[Bools, Floats]:
        weights, mask = layer.weights, layer.mask
        zeros = self.fraction * (mask.size - self._final_counts[layer.number])
        new_mask = largest(np.where(mask, weights, np.float32(0)), min(int(mask.sum()), mask.size - round(zeros)))
        new_mask &= mask  # zeros that are active and zeros that are not look the same
        return new_mask, np.where(new_mask, weights, np.float32(0))
