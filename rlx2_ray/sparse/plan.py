"""The planned structure of an agent's networks: every layer's name, shape and number of active weights."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

from rlx2_ray.algorithms import ALGORITHMS
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.sparse.circulant import group_count
from rlx2_ray.sparse.densities import Shape, active_counts, epsilon_counts, group_counts, whole_fan_ins
from rlx2_ray.sparse.widths import narrow_widths

CRITICS = 2  # TD3 and SAC both learn two, which together are one model in the Erdos-Renyi sense


class LayerPlan(NamedTuple):
    name: str
    shape: Shape  # (outputs, inputs)
    active: int
    block: int = 1  # weights on a diagonal of such a block share one value (`circulant.py`); 1: none
    repeated: int = 0  # active weights whose value is that of another

    @property
    def sparsity(self) -> float:
        """Fraction of zeros, in [0, 1)."""
        return 1 - self.active / (self.shape[0] * self.shape[1])


class NetworkPlan(NamedTuple):
    """One model: the policy's layers, or those of both critics one after the other."""

    layers: tuple[LayerPlan, ...]
    weights: int  # of the dense model that it stands for, which is wider than a narrow one
    trained: float | None = None  # the mean density of a finished run, where that was not planned

    @property
    def active(self) -> int:
        return sum(layer.active for layer in self.layers)

    @property
    def values(self) -> int:
        """The numbers that its active weights are made of, fewer than these where some share one."""
        return self.active - sum(layer.repeated for layer in self.layers)

    @property
    def size(self) -> float:
        """Its values, of the weights of the dense model."""
        return self.values / self.weights

    @property
    def density(self) -> float:
        return self.active / self.weights


class AgentPlan(NamedTuple):
    policy: NetworkPlan
    critic: NetworkPlan  # both critics


def plan_agent(config: ExperimentConfig, observation_size: int, action_size: int) -> AgentPlan:
    """What both models have at the end of training; rules prune and structured have more before.

    Raises BadInput where a sparsity leaves a layer without weights.
    """
    outputs = ALGORITHMS[config.algo].outputs_per_action * action_size
    return AgentPlan(
        _plan_model(config, "policy", observation_size, outputs, ["policy"]),
        _plan_model(
            config, "critic", observation_size + action_size, 1, [f"critic{number}" for number in range(CRITICS)]
        ),
    )


def _plan_model(config: ExperimentConfig, model: str, inputs: int, outputs: int, networks: list[str]) -> NetworkPlan:
    """`networks`: names of its networks, all of the same shapes."""
    hidden = config.network.hidden
    full = mlp_shapes((inputs, *hidden, outputs)) * len(networks)
    shapes, counts = _share_out(config, model, full, len(networks))
    names = [f"{network}.{layer}" for network in networks for layer in range(len(hidden) + 1)]
    layers = tuple(_plan_layer(*each, config.sparsity.block) for each in zip(names, shapes, counts, strict=True))
    return NetworkPlan(layers, sum(map(math.prod, full)))


def _plan_layer(name: str, shape: Shape, active: int, block: int) -> LayerPlan:
    """Whole groups live, of which as many as of its weights."""
    repeated = active - round(active / math.prod(shape) * group_count(shape, block)) if block > 1 else 0
    return LayerPlan(name, shape, active, block, repeated)


def _share_out(
    config: ExperimentConfig, model: str, shapes: list[Shape], networks: int
) -> tuple[list[Shape], list[int]]:
    """Shapes of all layers, and how many of each one's weights live."""
    distribution = config.sparsity.distribution
    sparsity: float = getattr(config.sparsity, model)
    if distribution == "narrow":
        shapes = _narrow(shapes[: len(shapes) // networks], sparsity) * networks
        return shapes, [math.prod(shape) for shape in shapes]
    if distribution == "units":
        narrow = _narrow(shapes[: len(shapes) // networks], sparsity) * networks
        return shapes, [math.prod(shape) for shape in narrow]
    if distribution == "epsilon":
        return shapes, epsilon_counts(shapes, config.sparsity.epsilon)
    if distribution == "groups":
        return shapes, group_counts(shapes, config.topology.group)
    counts = active_counts(shapes, sparsity, f"sparsity.{model}")
    return shapes, whole_fan_ins(shapes, counts) if config.sparsity.fan_in == "constant" else counts


def _narrow(shapes: list[Shape], sparsity: float) -> list[Shape]:
    """Returns the narrower shapes of one network."""
    (_, inputs), *_, (outputs, _) = shapes
    hidden = tuple(outputs for outputs, _ in shapes[:-1])
    return mlp_shapes((inputs, *narrow_widths(inputs, hidden, outputs, sparsity), outputs))


def mlp_shapes(sizes: tuple[int, ...]) -> list[Shape]:
    """Returns (outputs, inputs) of the layers between successive sizes."""
    return [(outputs, inputs) for inputs, outputs in pairwise(sizes)]
