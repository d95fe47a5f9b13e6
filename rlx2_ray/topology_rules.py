"""What a configuration must know of a topology rule. How it changes a structure is registered in `agents/evolution`."""

from __future__ import annotations

from typing import Literal, NamedTuple


class TopologyRule(NamedTuple):
    is_dense: bool = False  # whether every weight lives, always
    prunes: bool = False  # whether it begins with every weight, and comes to the planned ones by and by
    of_units: bool = False  # whether whole hidden units go
    in_groups: bool = False  # whether N of every M neighbouring inputs of a unit live
    initial_mask: Literal["magnitude", "random"] = "magnitude"  # unless configured


TOPOLOGY_RULES = {
    "dense": TopologyRule(is_dense=True),
    "static": TopologyRule(initial_mask="random"),
    "set": TopologyRule(),
    "rigl": TopologyRule(),
    "prune": TopologyRule(prunes=True),
    "structured": TopologyRule(prunes=True, of_units=True),
    "groups": TopologyRule(in_groups=True),
}


def facts_of(rule: str) -> TopologyRule:
    """Of a rule that is not ours it is known, without its code, that it replaces weights and keeps their number."""
    return TOPOLOGY_RULES.get(rule, TopologyRule())
