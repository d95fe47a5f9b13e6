"""What makes each topology rule that rule. How it changes a structure is its entry in `agents/evolution/make.py`."""

from __future__ import annotations

from typing import Literal, NamedTuple


class TopologyRule(NamedTuple):
    is_dense: bool = False  # whether every weight lives, always
    prunes: bool = False  # whether it begins with every weight, and comes to the planned ones by and by
    in_groups: bool = False  # whether N of every M neighbouring inputs of a unit live
    initial_mask: Literal["magnitude", "random"] = "magnitude"  # unless configured


TOPOLOGY_RULES = {
    "dense": TopologyRule(is_dense=True),
    "static": TopologyRule(initial_mask="random"),
    "set": TopologyRule(),
    "rigl": TopologyRule(),
    "prune": TopologyRule(prunes=True),
    "groups": TopologyRule(in_groups=True),
}
