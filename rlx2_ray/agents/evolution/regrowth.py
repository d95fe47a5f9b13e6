"""Drop some active weights, grow as many others: RigL, SET, and DS-TD3's variant of SET.

Sources: RigL's training loop (Evci et al. 2020, arXiv 1911.11134, algorithm 1); SET (Mocanu et al. 2018, arXiv
1707.04780); Sokar et al. 2022 (arXiv 2106.04217).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from rlx2_ray.agents.evolution.base import LayerAtEvent, TopologyEvolution
from rlx2_ray.sparse.schedule import TopologySchedule
from rlx2_ray.sparse.topology import update_of_units, update_topology
from rlx2_ray.types import Bools, Floats


class Regrowth(TopologyEvolution):
    """The number of active weights of every layer never changes."""

    def __init__(
        self,
        schedule: TopologySchedule,
        drop: Literal["magnitude", "signed"],
        grow_scores: Callable[[LayerAtEvent], Floats],
        of_units: bool = False,
    ) -> None:
        """`drop` is a name in `topology.DROPS`; `grow_scores` gives (outputs, inputs), greater is grown first.

        `of_units`: every unit keeps its number of weights, and not the layer alone.
        """
        super().__init__(schedule)
        self._schedule = schedule
        self._drop = drop
        self._grow_scores = grow_scores
        self._update = update_of_units if of_units else update_topology

    def rewire_layer(self, layer: LayerAtEvent) -> tuple[Bools, Floats]:
        weights, mask = layer.weights, layer.mask
        if mask.all():
            return mask, weights
        scores = self._grow_scores(layer)
        new_mask = self._update(weights, mask, scores, self._schedule.drop_fraction(self.calls), self._drop)
        return new_mask, np.where(new_mask, weights, np.float32(0))
