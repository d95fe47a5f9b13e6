"""When a model's structure changes and how, the same for every engine.

Source: RigL's training loop (Evci et al. 2020, arXiv 1911.11134, algorithm 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.sparse.schedule import TopologySchedule
from rlx2_ray.sparse.topology import update_topology
from rlx2_ray.types import Bools, Floats


class TopologyEvolution:
    """Counts the optimizer calls of one model (the policy, or both critics) and rewires it at those that are due."""

    def __init__(self, config: ExperimentConfig, update_interval: int, generator: np.random.Generator) -> None:
        """`update_interval`: learner updates per optimizer call, 1 or the policy delay."""
        self.calls = 0
        self.overlap = 1.0  # fraction of active weights that the latest event left active
        self.layer_overlaps: list[float] = []  # the same of each layer; empty before the first event
        self._rule = config.topology.rule
        self._schedule = TopologySchedule(
            config.topology.interval, config.topology.end_update // update_interval, config.topology.drop_fraction
        )
        self._generator = generator

    @property
    def is_due(self) -> bool:
        """Whether the call that `calls` counts is an event, and so no step."""
        return self._rule in ("set", "rigl") and self._schedule.is_update(self.calls)

    def rewire(self, weights: Sequence[Floats], masks: Sequence[Bools], gradients: Sequence[Floats]) -> list[Bools]:
        """The new masks of all layers; each argument holds (outputs, inputs) arrays.

        Args:
            weights: zero where inactive.
            gradients: of the loss by every weight, active or not.
        """
        drop_fraction = self._schedule.drop_fraction(self.calls)
        new_masks, grown = [], []
        for layer_weights, mask, gradient in zip(weights, masks, gradients, strict=True):
            if mask.all():
                new_masks.append(mask)
                grown.append(0)
                continue
            update = update_topology(layer_weights, mask, self._grow_scores(gradient), drop_fraction)
            new_masks.append(update.mask)
            grown.append(int(update.grown.sum()))
        active = [int(mask.sum()) for mask in masks]
        self.overlap = 1 - sum(grown) / sum(active)
        self.layer_overlaps = [1 - new / count for new, count in zip(grown, active, strict=True)]
        return new_masks

    def _grow_scores(self, gradient: Floats) -> Floats:
        if self._rule == "rigl":
            return np.abs(gradient)
        return self._generator.random(gradient.shape, dtype=np.float32)

    def counters(self) -> dict[str, Any]:
        return {"calls": self.calls, "overlap": self.overlap, "layer_overlaps": self.layer_overlaps}

    def restore(self, counters: Mapping[str, Any]) -> None:
        self.calls, self.overlap = int(counters["calls"]), float(counters["overlap"])
        self.layer_overlaps = list(counters.get("layer_overlaps", ()))  # checkpoints of 0.1.0 have none
