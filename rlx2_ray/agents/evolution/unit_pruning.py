"""Whole hidden units go, from dense to narrow: structured pruning (after Su et al. 2024, arXiv 2402.05146).

Their text was not to be had in full. As it is read here, a unit matters by its group of weights: the norm of those that
come in times the norm of those that go out. At an event the least go, of each layer as many as the schedule of gradual
pruning asks of the weights (`PruningSchedule`), all layers of a network being narrowed alike. So the number of units is
planned, where their dynamic threshold finds one; and their penalty on groups of weights is no part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rlx2_ray.agents.evolution.base import LayerAtEvent
from rlx2_ray.agents.evolution.gradual import GradualPruning
from rlx2_ray.sparse.masks import top_mask
from rlx2_ray.sparse.plan import NetworkPlan
from rlx2_ray.sparse.schedule import PruningSchedule
from rlx2_ray.sparse.widths import narrow_widths
from rlx2_ray.types import Bools, Floats


class UnitPruning(GradualPruning):
    def __init__(self, schedule: PruningSchedule, plan: NetworkPlan, holds: Callable[[], bool] | None = None) -> None:
        """`plan`: of the end."""
        super().__init__(schedule, holds)
        self._depth = len({layer.name.rpartition(".")[2] for layer in plan.layers})  # of one of its networks
        self._sparsity = 1 - plan.density

    def rewire_layers(self, layers: Sequence[LayerAtEvent]) -> list[tuple[Bools, Floats]]:
        found = []
        for first in range(0, len(layers), self._depth):
            found += self._rewire_network(layers[first : first + self._depth])
        return found

    def _rewire_network(self, layers: Sequence[LayerAtEvent]) -> list[tuple[Bools, Floats]]:
        (first, *_), last = layers, layers[-1]
        hidden = tuple(layer.mask.shape[0] for layer in layers[:-1])
        share = self._sparsity * self.fraction
        widths = narrow_widths(first.mask.shape[1], hidden, last.mask.shape[0], share)
        stays = [
            _largest_units(layer, following, width)
            for layer, following, width in zip(layers, layers[1:], widths, strict=False)
        ]
        rows = [*stays, np.ones(last.mask.shape[0], np.bool_)]
        columns = [np.ones(first.mask.shape[1], np.bool_), *stays]
        masks = [layer.mask & row[:, None] & column for layer, row, column in zip(layers, rows, columns, strict=True)]
        return [(mask, np.where(mask, layer.weights, np.float32(0))) for mask, layer in zip(masks, layers, strict=True)]


def _largest_units(layer: LayerAtEvent, following: LayerAtEvent, width: int) -> Bools:
    """(units,): the `width` units that matter most, of those that live; of equals the first."""
    norms = np.sqrt(np.square(layer.weights).sum(axis=1) * np.square(following.weights).sum(axis=0))
    lives = layer.mask.any(axis=1)
    scores = np.where(lives, norms, np.float32(-np.inf))
    stays: Bools = top_mask(scores[None], min(width, int(lives.sum())))[0]
    return stays
