"""Whether the rules that a configuration names are there and can be used, found out before anything is written."""

from __future__ import annotations

import numpy as np

from rlx2_ray.agents.evolution.make import make_evolution
from rlx2_ray.agents.learner import window_spec
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.sparse.plan import AgentPlan
from rlx2_ray.topology_rules import TOPOLOGY_RULES
from rlx2_ray.types import BadInput, RunFailed


def check_rules(config: ExperimentConfig, plan: AgentPlan) -> None:
    """Raises BadInput where a rule is not there, or is one of somebody else's that cannot be used."""
    if config.topology.rule not in TOPOLOGY_RULES:
        _check_topology_rule(config, plan)
    if config.target.rule != "delayed":
        _check_target_rule(config)


def _check_topology_rule(config: ExperimentConfig, plan: AgentPlan) -> None:
    rule = config.topology.rule
    try:
        evolution = make_evolution(config.topology, plan.policy, 1, np.random.default_rng(0), lambda: [])
    except BadInput:
        raise
    except Exception as error:  # whatever its code raises
        raise _unusable("topology.rule", rule, f"raised {type(error).__name__} ({error})") from None
    if evolution.arrays("policy"):
        raise _unusable("topology.rule", rule, "keeps arrays, which a checkpoint has no place for")


def _check_target_rule(config: ExperimentConfig) -> None:
    try:
        window_spec(config, 0)
    except RunFailed as failure:
        raise BadInput(str(failure)) from None


def _unusable(key: str, rule: str, problem: str) -> BadInput:
    return BadInput(f"{key} is {rule}, which {problem}: correct it, as docs/extend.md says.")
