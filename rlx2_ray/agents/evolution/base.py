"""What every way of changing a model's structure has in common, the same for every engine."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from rlx2_ray.networks.sparse_layer import Arrays
from rlx2_ray.types import Bools, Floats, RunFailed

logger = logging.getLogger(__name__)


class LayerAtEvent(NamedTuple):
    """What an event knows of a layer. Arrays are (outputs, inputs), and not to be changed."""

    number: int  # of the layer in its model; the critics' layers follow each other
    weights: Floats  # zero where inactive
    mask: Bools  # True where active
    gradient: Floats  # of the loss by every weight, active or not; the sum over `topology.growth_batches` batches
    inputs: Callable[[], Floats]  # gives (inputs, B), the values that come in for each sample of the batch


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
        self.batches = 1  # the latest, over whose gradients an event is given the sum
        self.rule_of_others: str | None = None  # its name, where what it does at an event is not this package's
        self.layer_overlaps: list[float] = []  # the same of each layer; empty before the first event

    @property
    def is_due(self) -> bool:
        """Whether the call that `calls` counts is an event, and so no step."""
        return self.is_due_in(0)

    def is_due_in(self, calls: int) -> bool:
        """Whether the call so many after it is."""
        return self._events is not None and self._events.is_update(self.calls + calls)

    def rewire(
        self,
        weights: Sequence[Floats],
        masks: Sequence[Bools],
        gradients: Sequence[Floats],
        inputs: Callable[[int], Floats],
    ) -> Rewired:
        """All layers after the event; each sequence holds (outputs, inputs) arrays.

        Args:
            weights: zero where inactive.
            gradients: of the loss by every weight, active or not.
            inputs: gives those of the layer of that number, (inputs, B).
        """
        active = [int(mask.sum()) for mask in masks]
        self.begin_event(sum(active))
        before = [
            LayerAtEvent(number, *arrays, partial(inputs, number))
            for number, arrays in enumerate(zip(weights, masks, gradients, strict=True))
        ]
        layers = self.rewire_layers(before)
        rewired = Rewired([mask for mask, _ in layers], [values for _, values in layers])
        stayed = [int((old & new).sum()) for old, new in zip(masks, rewired.masks, strict=True)]
        self.overlap = sum(stayed) / sum(active)
        self.layer_overlaps = [kept / count for kept, count in zip(stayed, active, strict=True)]
        return rewired

    def begin_event(self, active: int) -> None:
        """Note that the call is an event, before which the model had so many active weights."""

    def rewire_layers(self, layers: Sequence[LayerAtEvent]) -> list[tuple[Bools, Floats]]:
        """Mask and weights of each layer after the event; one after the other, unless they depend on each other."""
        rewire = self.rewire_layer if self.rule_of_others is None else partial(guarded, self, self.rule_of_others)
        return [rewire(layer) for layer in layers]

    def rewire_layer(self, layer: LayerAtEvent) -> tuple[Bools, Floats]:
        """Mask and weights of one layer after the event."""
        raise NotImplementedError

    @property
    def pruned(self) -> float | None:
        """What there is of the final zeros, in [0, 1], where that is not planned; None elsewhere."""
        return None

    def counters(self) -> dict[str, Any]:
        return {"calls": self.calls, "overlap": self.overlap, "layer_overlaps": self.layer_overlaps}

    def arrays(self, prefix: str) -> Arrays:
        """What else is to be saved."""
        return {}

    def restore(self, prefix: str, arrays: Mapping[str, Any], counters: Mapping[str, Any]) -> None:
        self.calls, self.overlap = int(counters["calls"]), float(counters["overlap"])
        self.layer_overlaps = list(counters.get("layer_overlaps", ()))  # checkpoints of 0.1.0 have none


def guarded(evolution: TopologyEvolution, rule: str, layer: LayerAtEvent) -> tuple[Bools, Floats]:
    """What a rule of somebody else does to a layer. Raises RunFailed where it fails, or gives what cannot be used."""
    shape, active = layer.mask.shape, int(layer.mask.sum())
    where = f"at layer {layer.number + 1} of an event"
    try:
        mask, weights = evolution.rewire_layer(layer)
        mask, weights = np.asarray(mask, np.bool_), np.asarray(weights, np.float32)
        found = int(mask.sum())
    except Exception as error:  # whatever its code raises
        logger.info("What topology.rule %s raised:", rule, exc_info=error)
        last = traceback.extract_tb(error.__traceback__)[-1]
        said = " ".join(str(error).split()).rstrip(".")
        raise RunFailed(
            f"topology.rule {rule} raised {type(error).__name__} ({said}; {Path(last.filename).name}, line "
            f"{last.lineno}) {where}: correct it, and resume."
        ) from None
    if mask.shape != shape or weights.shape != shape or found != active:
        raise RunFailed(
            f"topology.rule {rule} gave {found} active weights of {mask.shape} {where} and not {active} of {shape}: "
            "correct it, and resume."
        )
    return mask, np.where(mask, weights, np.float32(0))
