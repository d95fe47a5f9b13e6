"""Returns of the episodes that a run trains on, by which pruning is held back (`topology.hold`).

After the reward-aware pruning of GST (Lee et al. 2021, arXiv 2101.09650), whose text was not to be had in full. As it
is read here, the target sparsity rises only while the mean return of the latest training episodes is at least a
fraction of the best such mean so far. Both are counted from the first such mean, that of chance, so that the rule is
the same where returns are negative, and for rewards that something is added to or that are multiplied.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

RETURNS = "returns"  # their key in a learner's state


class Returns(NamedTuple):
    recent: tuple[float, ...] = ()  # of the latest episodes, so many at most as a mean is taken of
    first: float | None = None  # the first mean of so many
    best: float | None = None  # the greatest of all

    def joined(self, finished: Iterable[float], episodes: int) -> Returns:
        """With those of further episodes, in the order in which they ended; a mean is taken of `episodes`."""
        recent, first, best = self
        for total in finished:
            recent = (*recent, total)[-episodes:]
            if len(recent) == episodes:
                mean = _mean(recent)
                first, best = (mean, mean) if first is None or best is None else (first, max(best, mean))
        return Returns(recent, first, best)

    def hold(self, fraction: float) -> bool:
        """Whether the latest mean is that fraction of the best, both above the first; not before there is one."""
        if self.first is None or self.best is None:
            return False
        # As differences, so that the best itself is all of the best, whatever rounding does.
        return _mean(self.recent) - self.first >= fraction * (self.best - self.first)

    def values(self) -> dict[str, Any]:
        """For a checkpoint; `Returns.of` is the inverse."""
        return {"recent": list(self.recent), "first": self.first, "best": self.best}

    @classmethod
    def of(cls, values: dict[str, Any]) -> Returns:
        return cls(tuple(values["recent"]), values["first"], values["best"])


def _mean(returns: tuple[float, ...]) -> float:
    return math.fsum(returns) / len(returns)
