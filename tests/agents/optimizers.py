"""The optimizers of both engines behind one face: gradients of all weights in, plain layers out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from rlx2_ray.agents.evolution.base import TopologyEvolution
from rlx2_ray.agents.evolution.make import make_evolution
from rlx2_ray.agents.sparse.adam import SparseAdam
from rlx2_ray.agents.torch.topology_adam import TopologyAdam
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.kernels.network import Model
from rlx2_ray.networks.masked_mlp import make_mlp, to_sparse
from rlx2_ray.networks.sparse_layer import Arrays, Layers
from rlx2_ray.networks.sparse_model import SparseModel
from rlx2_ray.sparse.plan import LayerPlan, NetworkPlan
from rlx2_ray.types import Floats

FINAL = 0.5


class Optimizer(Protocol):
    evolution: TopologyEvolution

    def step(self, gradients: Sequence[Floats]) -> None:
        """One call with the gradient of every layer's weights (outputs, inputs) and of its bias, in turns."""
        ...

    def layers(self) -> Layers: ...

    def state(self) -> tuple[Arrays, dict[str, Any]]: ...

    def restore(self, arrays: Mapping[str, Any], counters: Mapping[str, Any]) -> None: ...


class TorchOptimizer:
    def __init__(self, layers: Layers, config: ExperimentConfig, update_interval: int) -> None:
        self.mlp = make_mlp(layers, "cpu", trainable=True)
        self.adam = TopologyAdam(self.mlp, config.agent, evolution_of(layers, config, update_interval))
        self.evolution = self.adam.evolution

    def step(self, gradients: Sequence[Floats]) -> None:
        self.adam.step([torch.from_numpy(gradient.copy()) for gradient in gradients], no_inputs)

    def layers(self) -> Layers:
        return to_sparse(self.mlp)

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        return self.adam.state("policy")

    def restore(self, arrays: Mapping[str, Any], counters: Mapping[str, Any]) -> None:
        self.adam.restore("policy", arrays, counters)


class SparseOptimizer:
    def __init__(self, layers: Layers, config: ExperimentConfig, update_interval: int) -> None:
        self.model = SparseModel(layers)
        self.adam = SparseAdam(self.model, config.agent, evolution_of(layers, config, update_interval))
        self.evolution = self.adam.evolution

    def step(self, gradients: Sequence[Floats]) -> None:
        self.adam.call(lambda model: _add(model, gradients), no_inputs)

    def layers(self) -> Layers:
        return self.model.layers()

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        return self.adam.state("policy")

    def restore(self, arrays: Mapping[str, Any], counters: Mapping[str, Any]) -> None:
        self.adam.restore("policy", arrays, counters)


def no_inputs() -> Floats:
    raise AssertionError("no rule here asks for them")


def _add(model: Model, gradients: Sequence[Floats]) -> None:
    """Into the model's slots. As the kernels leave it, that of inactive weights is zero."""
    structure = model.structure
    for layer, weights, bias in zip(structure.layers, gradients[::2], gradients[1::2], strict=True):
        model.gradient[layer["bias"] : layer["bias"] + layer["outputs"]] += bias
        if layer["is_dense"]:
            model.gradient[layer["weights"] : layer["weights"] + weights.size] += weights.ravel()
            continue
        for row, slopes in enumerate(weights):
            first, end = structure.row_start[layer["rows"] + row : layer["rows"] + row + 2]
            model.gradient[first:end] += slopes[structure.units[first:end] - layer["source"]]
    model.gradient[structure.inactive] = 0


def evolution_of(layers: Layers, config: ExperimentConfig, update_interval: int) -> TopologyEvolution:
    """Towards layers of FINAL of the weights that these have, where the rule changes their number."""
    plan = NetworkPlan(
        tuple(
            LayerPlan(f"policy.{number}", layer.shape, math.ceil(FINAL * len(layer.indices)))
            for number, layer in enumerate(layers)
        ),
        sum(math.prod(layer.shape) for layer in layers),
    )
    fresh = [np.full(layer.shape, 0.5, np.float32) for layer in layers]
    return make_evolution(config.topology, plan, update_interval, np.random.default_rng(1), lambda: fresh)


def make_optimizer(engine: str, layers: Layers, config: ExperimentConfig, update_interval: int = 1) -> Optimizer:
    return (TorchOptimizer if engine == "torch" else SparseOptimizer)(layers, config, update_interval)
