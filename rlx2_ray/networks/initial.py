"""Fresh networks, drawn in numpy so that every engine starts from the same ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rlx2_ray.algorithms import ALGORITHMS
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.networks.sparse_layer import Layers, SparseLayer
from rlx2_ray.sparse import masks
from rlx2_ray.sparse.circulant import shared
from rlx2_ray.sparse.densities import Shape
from rlx2_ray.sparse.plan import LayerPlan, NetworkPlan
from rlx2_ray.topology_rules import facts_of
from rlx2_ray.types import Bools, Floats


class FreshLayer(NamedTuple):
    """A layer before the first update, with every weight that it could have."""

    weights: Floats  # (outputs, inputs)
    bias: Floats  # (outputs,)
    mask: Bools  # (outputs, inputs), True where active


def initial_layers(plan: NetworkPlan, config: ExperimentConfig, generator: np.random.Generator) -> Layers:
    """The planned layers with fresh weights and masks."""
    return tuple(
        SparseLayer.from_dense(layer.weights, layer.mask, layer.bias) for layer in fresh_layers(plan, config, generator)
    )


def fresh_layers(plan: NetworkPlan, config: ExperimentConfig, generator: np.random.Generator) -> list[FreshLayer]:
    return [_fresh_layer(layer, config, generator) for layer in plan.layers]


def _fresh_layer(plan: LayerPlan, config: ExperimentConfig, generator: np.random.Generator) -> FreshLayer:
    draw = DRAWS[ALGORITHMS[config.algo].initial_weights]
    weights, bias = draw(plan.shape, generator)
    weights = shared(weights, plan.block) if plan.block > 1 else weights
    return FreshLayer(weights, bias, _initial_mask(weights, plan, config, generator))


def _initial_mask(weights: Floats, plan: LayerPlan, config: ExperimentConfig, generator: np.random.Generator) -> Bools:
    topology, rule = config.topology, facts_of(config.topology.rule)
    if rule.prunes:
        return np.ones(plan.shape, dtype=np.bool_)
    if rule.in_groups:
        return masks.largest_in_groups(weights, topology.group)
    if config.sparsity.fan_in == "constant":
        fan_in = plan.active // plan.shape[0]
        if topology.initial_mask == "random":
            return masks.uniform_of_units(plan.shape, fan_in, generator)
        return masks.top_of_units(np.abs(weights), np.full(plan.shape[0], fan_in))
    if topology.initial_mask == "magnitude":
        return masks.largest(weights, plan.active)
    return masks.uniform(plan.shape, plan.active, generator)


def uniform_layer(shape: Shape, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Weights and bias uniform in +-1/sqrt(inputs): the default of torch.nn.Linear."""
    bound = 1 / np.sqrt(shape[1])
    return (
        generator.uniform(-bound, bound, shape).astype(np.float32),
        generator.uniform(-bound, bound, shape[0]).astype(np.float32),
    )


def orthogonal_layer(shape: Shape, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Orthonormal rows or columns, whichever are fewer (Saxe et al. 2014, arXiv 1312.6120), and zero bias."""
    tall = (max(shape), min(shape))
    q, r = np.linalg.qr(generator.standard_normal(tall))
    q *= np.sign(np.diag(r))  # makes the distribution uniform over orthogonal matrices
    weights = q if shape[0] >= shape[1] else q.T
    return np.ascontiguousarray(weights, dtype=np.float32), np.zeros(shape[0], dtype=np.float32)


DRAWS = {"uniform": uniform_layer, "orthogonal": orthogonal_layer}
