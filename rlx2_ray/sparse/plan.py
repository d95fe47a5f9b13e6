"""The planned structure of an agent's networks: every layer's name, shape and number of active weights."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.sparse.densities import Shape, active_counts

CRITICS = 2  # TD3 and SAC both learn two, which together are one model in the Erdos-Renyi sense


class LayerPlan(NamedTuple):
    name: str
    shape: Shape  # (outputs, inputs)
    active: int

    @property
    def sparsity(self) -> float:
        """Fraction of zeros, in [0, 1)."""
        return 1 - self.active / (self.shape[0] * self.shape[1])


class NetworkPlan(NamedTuple):
    """One model: the policy's layers, or those of both critics one after the other."""

    layers: tuple[LayerPlan, ...]

    @property
    def active(self) -> int:
        return sum(layer.active for layer in self.layers)

    @property
    def weights(self) -> int:
        return sum(layer.shape[0] * layer.shape[1] for layer in self.layers)

    @property
    def density(self) -> float:
        return self.active / self.weights


class AgentPlan(NamedTuple):
    policy: NetworkPlan
    critic: NetworkPlan  # both critics


def plan_agent(config: ExperimentConfig, observation_size: int, action_size: int) -> AgentPlan:
    """Raises BadInput where a sparsity leaves a layer without weights."""
    hidden = config.network.hidden
    policy_outputs = action_size if config.algo == "td3" else 2 * action_size  # SAC: mean and log_std
    policy_shapes = mlp_shapes((observation_size, *hidden, policy_outputs))
    critic_shapes = mlp_shapes((observation_size + action_size, *hidden, 1)) * CRITICS
    policy_counts = active_counts(policy_shapes, config.sparsity.policy, "sparsity.policy")
    critic_counts = active_counts(critic_shapes, config.sparsity.critic, "sparsity.critic")
    depth = len(hidden) + 1
    policy_names = [f"policy.{layer}" for layer in range(depth)]
    critic_names = [f"critic{critic}.{layer}" for critic in range(CRITICS) for layer in range(depth)]
    return AgentPlan(
        NetworkPlan(tuple(map(LayerPlan, policy_names, policy_shapes, policy_counts))),
        NetworkPlan(tuple(map(LayerPlan, critic_names, critic_shapes, critic_counts))),
    )


def mlp_shapes(sizes: tuple[int, ...]) -> list[Shape]:
    """(outputs, inputs) of the layers between successive sizes."""
    return [(outputs, inputs) for inputs, outputs in pairwise(sizes)]
