"""Adam over one model of the sparse engine that, at the calls its schedule names, rewires the model instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from rlx2_ray.agents.evolution.base import TopologyEvolution
from rlx2_ray.agents.evolution.inputs import Inputs, inputs_by_layer
from rlx2_ray.agents.sparse.own_steps import OwnSteps
from rlx2_ray.config import AgentConfig
from rlx2_ray.kernels.network import Model
from rlx2_ray.kernels.optimizer import Moments, adam_step, adam_step_of_cohorts
from rlx2_ray.networks.sparse_layer import AGE, BIAS, WEIGHTS, Arrays, Layers, SparseLayer
from rlx2_ray.networks.sparse_model import SparseModel, move

Result = TypeVar("Result")
MOMENTS = ("first_moment", "second_moment")


class SparseAdam:
    """Steps and rewires `model` (the policy, or both critics)."""

    def __init__(self, model: SparseModel, config: AgentConfig, evolution: TopologyEvolution) -> None:
        self.model = model
        self.steps = 0
        self.evolution = evolution
        self.moments = _zero_moments(model)
        self._config = config
        self._own_steps = OwnSteps(model, config) if config.grown_steps == "own" else None

    def call(self, add_gradient: Callable[[Model], Result], inputs: Inputs) -> Result:
        """Makes one optimizer call with the gradient that `add_gradient` adds to a model's; returns what that returned.

        `inputs`: of the model, in the batch that the gradient is of.

        An event needs the gradient of all weights, active or not; the same compiled functions give it for the same
        model with every weight active.
        """
        self.evolution.calls += 1
        if not self.evolution.is_due:
            result = add_gradient(self.model.kernel)
            self._step()
            return result
        dense = self.model.densified()
        result = add_gradient(dense.kernel)
        self._rewire(dense, inputs)
        return result

    def _step(self) -> None:
        self.steps += 1
        kernel, config = self.model.kernel, self._config
        arrays, decays = (kernel.parameters, kernel.gradient, self.moments), (config.weight_decay, *config.betas)
        if self._own_steps is None:
            adam_step(*arrays, self.steps, config.learning_rate, *decays)
        else:
            adam_step_of_cohorts(*arrays, self._own_steps.corrections(self.steps), *decays)

    def _rewire(self, dense: SparseModel, inputs: Inputs) -> None:
        """`dense`: the model `densified`, with the gradient in it."""
        model = self.model
        layers = model.layers()
        weights = [layer.scatter() for layer in layers]
        gradients = [layer.scatter() for layer in dense.split(dense.kernel.gradient)]
        rewired = self.evolution.rewire(
            weights, model.masks, gradients, inputs_by_layer(layers, model.networks, inputs, model.normalized)
        )
        moments = [move(model.split(values), rewired.masks) for values in self.moments]
        masks = model.masks
        model.rewire(*rewired)
        if self._own_steps is not None:
            self._own_steps.rewire(model, masks, self.steps)
        self.moments = Moments(*map(model.join, moments))

    def state(self, prefix: str) -> tuple[Arrays, dict[str, Any]]:
        """Moments (and ages) of active weights and of biases by layer, and counters."""
        arrays: Arrays = {}
        for name, values in zip(MOMENTS, self.moments, strict=True):
            for index, layer in enumerate(self.model.split(values)):
                arrays[f"{prefix}.{index}.{WEIGHTS}.{name}"] = layer.weights
                arrays[f"{prefix}.{index}.{BIAS}.{name}"] = layer.bias
        if self._own_steps is not None:
            for index, ages in enumerate(self._own_steps.ages(self.steps)):
                arrays[f"{prefix}.{index}.{WEIGHTS}.{AGE}"] = ages
        return arrays | self.evolution.arrays(prefix), {**self.evolution.counters(), "steps": self.steps}

    def restore(self, prefix: str, arrays: Mapping[str, Any], counters: Mapping[str, Any]) -> None:
        """The inverse of `state`, over a model that was already restored."""
        self.evolution.restore(prefix, arrays, counters)
        self.steps = int(counters["steps"])
        self.moments = Moments(*(self.model.join(self._saved(prefix, name, arrays)) for name in MOMENTS))
        if self._own_steps is not None:
            ages = [arrays[f"{prefix}.{index}.{WEIGHTS}.{AGE}"] for index in range(len(self.model.masks))]
            self._own_steps.restore(self.model, ages, self.steps)

    def _saved(self, prefix: str, name: str, arrays: Mapping[str, Any]) -> Layers:
        return tuple(
            SparseLayer(
                layer.shape,
                layer.indices,
                arrays[f"{prefix}.{index}.{WEIGHTS}.{name}"],
                arrays[f"{prefix}.{index}.{BIAS}.{name}"],
            )
            for index, layer in enumerate(self.model.layers())
        )


def _zero_moments(model: SparseModel) -> Moments:
    return Moments(np.zeros_like(model.kernel.parameters), np.zeros_like(model.kernel.parameters))
