"""What would be trained: layer shapes, sparsities, active weights, size and FLOPs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.envs.applied import Part, applied
from rlx2_ray.runs.result import describe_costs, describe_identity
from rlx2_ray.runs.switches import sentences
from rlx2_ray.sparse.plan import LayerPlan, NetworkPlan, plan_agent


class LayerDescription(TypedDict):
    name: str
    shape: list[int]  # outputs, inputs
    sparsity: float
    active: int  # weights
    values: NotRequired[int]  # that these are made of, where weights share one


class NetworkDescription(TypedDict):
    layers: list[LayerDescription]
    active: int
    values: NotRequired[int]


class PartDescription(TypedDict):
    key: str
    size: int


class Description(TypedDict):
    """The keys of `rlx2 describe --json`; ratios are to the dense agent."""

    env_id: str
    algo: str
    method: str
    seed: int
    engine: str
    runtime: str
    observation_size: int
    action_size: int
    applied: list[str]  # what is done to observations, actions and episodes, and the switches that are on
    observation_parts: list[PartDescription]  # of an observation that is flattened, in their order
    policy: NetworkDescription
    critic: NetworkDescription  # of both critics
    policy_sparsity: float
    critic_sparsity: float
    active_weights: int
    values: NotRequired[int]
    size_ratio: float
    compression: float
    train_flops_ratio_paper: float
    train_flops_ratio_counted: float
    inference_flops_ratio: float


def describe(
    config: ExperimentConfig, observation_size: int, action_size: int, parts: Sequence[Part] = ()
) -> Description:
    """Describe the agent of a task of these sizes. Raises BadInput where its layers cannot be so sparse."""
    plan = plan_agent(config, observation_size, action_size)
    content: Any = {
        **describe_identity(config),
        "observation_size": observation_size,
        "action_size": action_size,
        "applied": [*applied(config.env), *sentences(config)],
        "observation_parts": [part._asdict() for part in parts],
        "policy": _network(plan.policy),
        "critic": _network(plan.critic),
        **describe_costs(config, plan),
    }
    described: Description = content
    return described


def _network(plan: NetworkPlan) -> NetworkDescription:
    layers = [_layer(layer) for layer in plan.layers]
    described: NetworkDescription = {"layers": layers, "active": plan.active}
    return {**described, "values": plan.values} if plan.layers[0].block > 1 else described


def _layer(plan: LayerPlan) -> LayerDescription:
    described: LayerDescription = {
        "name": plan.name,
        "shape": list(plan.shape),
        "sparsity": plan.sparsity,
        "active": plan.active,
    }
    return {**described, "values": plan.active - plan.repeated} if plan.block > 1 else described
