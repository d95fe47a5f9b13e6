"""When a network's structure changes, and how much of it: RigL's periodic, cosine-annealed schedule.

Source: Evci et al. 2020, "Rigging the Lottery" (arXiv 1911.11134), section 3. Time is counted in optimizer calls of
that network, so a TD3 policy's clock runs slower than its critic's by the policy delay.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class TopologySchedule(NamedTuple):
    """Events at every `interval`-th optimizer call before `end_call`."""

    interval: int
    end_call: int
    initial_drop_fraction: float  # in [0, 1], of the active weights of each layer

    def is_update(self, call: int) -> bool:
        """Whether the `call`-th optimizer call (from 1) changes the structure instead of the weights."""
        return call % self.interval == 0 and call < self.end_call

    def drop_fraction(self, call: int) -> float:
        """Fraction of active weights replaced at this call, from the initial fraction at 0 down to 0 at `end_call`."""
        return self.initial_drop_fraction / 2 * (1 + math.cos(math.pi * call / self.end_call))
