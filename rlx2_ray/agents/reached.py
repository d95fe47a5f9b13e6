"""What the networks of a run have come to, where that is not what was planned to the weight."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.agents.learner import LearnerState
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.sparse.circulant import count_groups
from rlx2_ray.sparse.plan import AgentPlan, LayerPlan, NetworkPlan, plan_agent
from rlx2_ray.types import Spaces


def reached_plan(config: ExperimentConfig, spaces: Spaces, state: Callable[[], LearnerState]) -> AgentPlan:
    """The plan as a learner in this state has it; `state` is asked for where that can be another."""
    plan = plan_agent(config, spaces.observation_size, spaces.action_size)
    if not config.topology.hold and config.sparsity.block == 1:
        return plan
    reached = state()
    return AgentPlan(*(_reached(name, network, reached) for name, network in plan._asdict().items()))


def _reached(name: str, plan: NetworkPlan, state: LearnerState) -> NetworkPlan:
    layers = tuple(
        _reached_layer(layer, state.arrays[f"{name}.{number}.indices"])  # type: ignore[arg-type]
        for number, layer in enumerate(plan.layers)
    )
    reached, counters = plan._replace(layers=layers), state.values[f"{name}_optimizer"]
    if not counters["calls"] or "lived" not in counters:
        return reached
    since = (counters["calls"] - counters["latest"]) * reached.active
    return reached._replace(trained=(counters["lived"] + since) / counters["calls"] / plan.weights)


def _reached_layer(layer: LayerPlan, indices: NDArray[np.int32]) -> LayerPlan:
    active = len(indices)
    repeated = active - count_groups(indices, layer.shape, layer.block) if layer.block > 1 else 0
    return layer._replace(active=active, repeated=repeated)
