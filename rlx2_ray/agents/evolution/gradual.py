"""What gradual pruning has in common, whatever goes: how far it has come, and that it waits while the return falls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rlx2_ray.agents.evolution.base import TopologyEvolution
from rlx2_ray.sparse.schedule import PruningSchedule


class GradualPruning(TopologyEvolution):
    """Follows a schedule; with `holds` as late as the time in which it did not hold (`agents/returns.py`).

    So with a return that always holds it is the same to the bit, and with one that does not the zeros of the end are
    fewer than planned.
    """

    def __init__(self, schedule: PruningSchedule, holds: Callable[[], bool] | None = None) -> None:
        """`holds`: whether the return does at this moment; None: nobody asks."""
        super().__init__(schedule)
        self._schedule = schedule
        self._holds = holds
        self._late = 0  # calls in which the return did not hold
        self._latest = 0  # call of the latest event
        self._lived = 0  # active weights, summed up over the calls up to it

    @property
    def fraction(self) -> float:
        """What there is to be of the final zeros, in [0, 1]."""
        return self._schedule.fraction(self.calls - self._late)

    @property
    def pruned(self) -> float | None:
        return None if self._holds is None else self._schedule.fraction(self._latest - self._late)

    def begin_event(self, active: int) -> None:
        if self._holds is None:
            return
        self._lived += (self.calls - self._latest) * active
        if not self._holds():
            self._late += max(1, self.calls - max(self._latest, self._schedule.start_call))
        self._latest = self.calls

    def counters(self) -> dict[str, Any]:
        held = {"late": self._late, "latest": self._latest, "lived": self._lived} if self._holds is not None else {}
        return super().counters() | held

    def restore(self, prefix: str, arrays: Mapping[str, Any], counters: Mapping[str, Any]) -> None:
        super().restore(prefix, arrays, counters)
        if self._holds is not None:
            self._late, self._latest, self._lived = (counters[name] for name in ("late", "latest", "lived"))
