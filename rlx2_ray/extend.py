"""What a plugin needs: how a rule gets its name, and what it is made of. docs/extend.md has examples."""

from __future__ import annotations

from rlx2_ray.agents.evolution.base import LayerAtEvent, TopologyEvolution
from rlx2_ray.agents.evolution.make import EVOLUTIONS, Ingredients
from rlx2_ray.agents.evolution.regrowth import Regrowth
from rlx2_ray.config import TargetConfig
from rlx2_ray.target_rules import TARGET_RULES, Horizon

__all__ = [
    "Horizon", "Ingredients", "LayerAtEvent", "Regrowth", "TargetConfig", "TopologyEvolution", "target_rule",
    "topology_rule",
]  # fmt: skip

topology_rule = EVOLUTIONS.register  # @topology_rule("name") over a function: Ingredients -> TopologyEvolution
target_rule = TARGET_RULES.register  # @target_rule("name") over a function: (TargetConfig, updates done) -> Horizon
