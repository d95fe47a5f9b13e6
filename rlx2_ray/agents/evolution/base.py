"""What every way of changing a model's structure has in common, the same for every engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from rlx2_ray.networks.sparse_layer import Arrays
from rlx2_ray.types import Bools, Floats


class Rewired(NamedTuple):
    """All layers after an event, (outputs, inputs) each."""

    masks: list[Bools]
    weights: list[Floats]  # zero where inactive


class Schedule(Protocol):
    def is_update(self, call: int) -> bool: ...


class TopologyEvolution:
    """Counts the optimizer calls of one model (the policy, or both critics) and rewires it at those that are due.

    Without a schedule it never does: the structure of methods dense, tiny, static and ticket.
    """

    def __init__(self, schedule: Schedule | None = None) -> None:
        """`schedule` is that of the events; None: there are none."""
        self._events = schedule
        self.calls = 0
        self.overlap = 1.0  # fraction of active weights that the latest event left active
        self.layer_overlaps: list[float] = []  # the same of each layer; empty before the first event

    @property
    def is_due(self) -> bool:
        """Whether the call that `calls` counts is an event, and so no step."""
        return self._events is not None and self._events.is_update(self.calls)

    def rewire(self, weights: Sequence[Floats], masks: Sequence[Bools], gradients: Sequence[Floats]) -> Rewired:
        """All layers after the event; each argument holds (outputs, inputs) arrays.

        Args:
            weights: zero where inactive.
            gradients: of the loss by every weight, active or not.
        """
        layers = [
            self._rewire_layer(number, *arrays)
            for number, arrays in enumerate(zip(weights, masks, gradients, strict=True))
        ]
        rewired = Rewired([mask for mask, _ in layers], [values for _, values in layers])
        active = [int(mask.sum()) for mask in masks]
        stayed = [int((old & new).sum()) for old, new in zip(masks, rewired.masks, strict=True)]
        self.overlap = sum(stayed) / sum(active)
        self.layer_overlaps = [kept / count for kept, count in zip(stayed, active, strict=True)]
        return rewired

    def _rewire_layer(self, number: int, weights: Floats, mask: Bools, gradient: Floats) -> tuple[Bools, Floats]:
        """Mask and weights of one layer after the event."""
        raise NotImplementedError

    def counters(self) -> dict[str, Any]:
        return {"calls": self.calls, "overlap": self.overlap, "layer_overlaps": self.layer_overlaps}

    def arrays(self, prefix: str) -> Arrays:
        """What else is to be saved."""
        return {}

    def restore(self, prefix: str, arrays: Mapping[str, Any], counters: Mapping[str, Any]) -> None:
        self.calls, self.overlap = int(counters["calls"]), float(counters["overlap"])
        self.layer_overlaps = list(counters.get("layer_overlaps", ()))  # checkpoints of 0.1.0 have none
