"""The gradient that an event grows by, summed over the latest batches: a larger sample of what each weight would do.

As Neuroplastic Expansion has it (Liu et al. 2025, arXiv 2410.07994), whose released code averages the gradients of the
batches before an event, the signed ones, so that what is noise cancels out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rlx2_ray.agents.evolution.base import TopologyEvolution
from rlx2_ray.networks.sparse_layer import GROWTH, Arrays
from rlx2_ray.types import Floats


class GradientSums:
    """Of one model, before each of its events."""

    def __init__(self, evolution: TopologyEvolution, shapes: Iterable[tuple[int, ...]]) -> None:
        """`shapes`: (outputs, inputs) of each layer."""
        self._evolution = evolution
        self._sums = [np.zeros(shape, np.float32) for shape in shapes] if evolution.batches > 1 else []

    @property
    def is_due(self) -> bool:
        """Whether this call's gradient of all weights counts at the next event, and is not yet that event's."""
        return any(map(self._evolution.is_due_in, range(1, self._evolution.batches)))

    def add(self, gradients: Iterable[Floats]) -> None:
        for total, gradient in zip(self._sums, gradients, strict=True):
            total += gradient

    def take(self, gradients: Sequence[Floats]) -> Sequence[Floats]:
        """Those that an event is to have, whose own batch has `gradients`; sums begin anew."""
        if not self._sums:
            return gradients
        totals = [total + gradient for total, gradient in zip(self._sums, gradients, strict=True)]
        for total in self._sums:
            total[:] = 0
        return totals

    def arrays(self, prefix: str) -> Arrays:
        return {f"{prefix}.{number}.{GROWTH}": total.copy() for number, total in enumerate(self._sums)}

    def restore(self, prefix: str, arrays: Mapping[str, Any]) -> None:
        self._sums = [arrays[f"{prefix}.{number}.{GROWTH}"].copy() for number in range(len(self._sums))]
