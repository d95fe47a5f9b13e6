"""When a network's structure changes, and how much of it.

Time is counted in optimizer calls of that network, so a TD3 policy's clock runs slower than its critic's by the policy
delay.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class TopologySchedule(NamedTuple):
    """RigL's schedule: events at every `interval`-th call before `end_call`, of a fraction annealed by a cosine.

    Source: Evci et al. 2020, "Rigging the Lottery" (arXiv 1911.11134), section 3.
    """

    interval: int
    end_call: int
    initial_drop_fraction: float  # in [0, 1], of the active weights of each layer
    is_annealed: bool = True  # False: the fraction stays what it is
    start_call: int = 0

    def is_update(self, call: int) -> bool:
        """Whether the `call`-th optimizer call (from 1) changes the structure instead of the weights."""
        return call % self.interval == 0 and self.start_call <= call < self.end_call

    def drop_fraction(self, call: int) -> float:
        """Fraction of active weights replaced at this call: annealed from the initial one at 0 to 0 at `end_call`."""
        if not self.is_annealed:
            return self.initial_drop_fraction
        return self.initial_drop_fraction / 2 * (1 + math.cos(math.pi * call / self.end_call))


class PruningSchedule(NamedTuple):
    """Gradual pruning: s_t = s_F * (1 - (1 - (t - t0) / (t1 - t0))^3) from t0 = `start_call` to t1 = `end_call`.

    Source: Zhu & Gupta 2017, "To prune, or not to prune" (arXiv 1710.01878), equation 1, from a dense start.
    """

    interval: int
    start_call: int
    end_call: int

    def is_update(self, call: int) -> bool:
        """The last event is at `end_call` itself, so that the final sparsity is reached."""
        return call == self.end_call or (call % self.interval == 0 and self.start_call < call < self.end_call)

    def fraction(self, call: int) -> float:
        """Returns the part of the final sparsity that there is at this call, in [0, 1]."""
        if call >= self.end_call:
            return 1.0
        if call <= self.start_call:
            return 0.0
        return float(1 - ((self.end_call - call) / (self.end_call - self.start_call)) ** 3)
