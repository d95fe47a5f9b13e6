"""Gradual magnitude pruning, from dense to the planned structure (Zhu & Gupta 2017, arXiv 1710.01878).

As Graesser et al. 2022 (arXiv 2206.10369) do it in deep RL, every layer goes to its own final sparsity by the same
schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rlx2_ray.agents.evolution.base import LayerAtEvent
from rlx2_ray.agents.evolution.gradual import GradualPruning
from rlx2_ray.sparse.circulant import largest_groups
from rlx2_ray.sparse.masks import largest
from rlx2_ray.sparse.plan import LayerPlan
from rlx2_ray.sparse.schedule import PruningSchedule
from rlx2_ray.types import Bools, Floats


class Pruning(GradualPruning):
    def __init__(
        self, schedule: PruningSchedule, final: Sequence[LayerPlan], holds: Callable[[], bool] | None = None
    ) -> None:
        """`final`: each layer at the end."""
        super().__init__(schedule, holds)
        self._final = final

    def rewire_layer(self, layer: LayerAtEvent) -> tuple[Bools, Floats]:
        weights, mask = layer.weights, layer.mask
        final = self._final[layer.number]
        count = min(int(mask.sum()), mask.size - round(self.fraction * (mask.size - final.active)))
        if final.block > 1:
            new_mask = largest_groups(weights, mask, count, final.block)
        else:
            new_mask = largest(np.where(mask, weights, np.float32(0)), count)
        new_mask &= mask  # zeros that are active and zeros that are not look the same
        return new_mask, np.where(new_mask, weights, np.float32(0))
