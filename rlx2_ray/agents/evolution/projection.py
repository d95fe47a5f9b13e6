"""Projection onto N:M groups: of every M inputs of a unit, the N largest |weights| live (RNM-TD3, arXiv 2602.14578).

Weights that do not live are not trained, but keep the value that they had, for one that is larger than a weight that
has become small comes to life again. That is the one method here whose training holds the dense weights in memory; what
is computed in between, and the policy that comes out, is sparse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rlx2_ray.agents.evolution.base import LayerAtEvent, TopologyEvolution
from rlx2_ray.networks.sparse_layer import Arrays
from rlx2_ray.sparse.masks import largest_in_groups
from rlx2_ray.sparse.schedule import TopologySchedule
from rlx2_ray.types import Bools, Floats


class Projection(TopologyEvolution):
    def __init__(self, schedule: TopologySchedule, group: tuple[int, int], reserve: Sequence[Floats]) -> None:
        """`reserve` is (outputs, inputs) of each layer: fresh weights, of which the inactive ones are read."""
        super().__init__(schedule)
        self._group = group
        self._reserve = list(reserve)

    def rewire_layer(self, layer: LayerAtEvent) -> tuple[Bools, Floats]:
        whole = np.where(layer.mask, layer.weights, self._reserve[layer.number])
        self._reserve[layer.number] = whole
        new_mask = largest_in_groups(whole, self._group)
        return new_mask, np.where(new_mask, whole, np.float32(0))

    def arrays(self, prefix: str) -> Arrays:
        return {f"{prefix}.{number}.reserve": weights for number, weights in enumerate(self._reserve)}

    def restore(self, prefix: str, arrays: Mapping[str, Any], counters: Mapping[str, Any]) -> None:
        super().restore(prefix, arrays, counters)
        self._reserve = [arrays[f"{prefix}.{number}.reserve"] for number in range(len(self._reserve))]
