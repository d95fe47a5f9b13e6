"""Adam over one model of the sparse engine that, at the calls its schedule names, rewires the model instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from rlx2_ray.agents.evolution.base import TopologyEvolution
from rlx2_ray.agents.evolution.inputs import Inputs, inputs_by_layer
from rlx2_ray.agents.evolution.sums import GradientSums
from rlx2_ray.agents.sparse.own_steps import OwnSteps
from rlx2_ray.agents.sparse.raw_weights import RawWeights
from rlx2_ray.agents.sparse.shared_values import SharedValues
from rlx2_ray.config import AgentConfig
from rlx2_ray.kernels.network import Model
from rlx2_ray.kernels.optimizer import Moments, adam_step, adam_step_of_cohorts
from rlx2_ray.networks.sparse_layer import AGE, BIAS, RAW, WEIGHTS, Arrays, Layers, SparseLayer
from rlx2_ray.networks.sparse_model import SparseModel, move
from rlx2_ray.types import Floats

Result = TypeVar("Result")
MOMENTS = ("first_moment", "second_moment")


class SparseAdam:
    """Steps and rewires `model` (the policy, or both critics)."""

    def __init__(
        self,
        model: SparseModel,
        config: AgentConfig,
        evolution: TopologyEvolution,
        rescaled: bool = False,
        block: int = 1,
    ) -> None:
        """`rescaled`: whether the model's weights are, and others are stepped (`networks/rescaling.py`).

        `block`: whose weights share values (`sparse/circulant.py`), which are stepped; 1: none do.
        """
        self.model = model
        self.steps = 0
        self.evolution = evolution
        self._config = config
        self._block = block
        self._shared = self._share()
        self.moments = Moments(*(self._gather(np.zeros_like(model.kernel.parameters)) for _ in MOMENTS))
        self._own_steps = OwnSteps(model, config) if config.grown_steps == "own" else None
        self._raw = RawWeights(model) if rescaled else None
        self._sums = GradientSums(evolution, [mask.shape for mask in model.masks])

    def call(self, add_gradient: Callable[[Model], Result], inputs: Inputs) -> Result:
        """Makes one optimizer call with the gradient that `add_gradient` adds to a model's; returns what that returned.

        `inputs`: of the model, in the batch that the gradient is of.

        An event needs the gradient of all weights, active or not; the same compiled functions give it for the same
        model with every weight active.
        """
        self.evolution.calls += 1
        if self.evolution.is_due:
            result, gradients = self._all_gradients(add_gradient)
            self._rewire(self._sums.take(gradients), inputs)
            return result
        if self._sums.is_due:
            self._sums.add(self._all_gradients(add_gradient)[1])
        result = add_gradient(self.model.kernel)
        self._step()
        return result

    def _all_gradients(self, add_gradient: Callable[[Model], Result]) -> tuple[Result, list[Floats]]:
        """What `add_gradient` returns, and the gradient by all weights of each layer, (outputs, inputs)."""
        dense = self.model.densified()
        result = add_gradient(dense.kernel)
        return result, [layer.scatter() for layer in dense.split(dense.kernel.gradient)]

    def _step(self) -> None:
        self.steps += 1
        kernel, config = self.model.kernel, self._config
        parameters = kernel.parameters if self._raw is None else self._raw.stepped(self.model)
        decays = config.weight_decay, *config.betas
        if self._shared is not None:
            self._step_shared(self._shared, decays)
            return
        arrays = parameters, kernel.gradient, self.moments
        if self._own_steps is None:
            adam_step(*arrays, self.steps, config.learning_rate, *decays)
        else:
            adam_step_of_cohorts(*arrays, self._own_steps.corrections(self.steps), *decays)
        if self._raw is not None:
            self._raw.rescale(self.model)

    def _step_shared(self, shared: SharedValues, decays: tuple[float, float, float]) -> None:
        kernel = self.model.kernel
        values, gradient = shared.gather(kernel.parameters), shared.total(kernel.gradient)
        adam_step(values, gradient, self.moments, self.steps, self._config.learning_rate, *decays)
        kernel.parameters[:] = shared.spread(values)
        kernel.gradient[:] = 0

    def _share(self) -> SharedValues | None:
        return SharedValues(self.model, self._block) if self._block > 1 else None

    def _gather(self, of_slots: Floats) -> Floats:
        """Of what is kept once for weights that share a value."""
        return of_slots if self._shared is None else self._shared.gather(of_slots)

    def _moments_of_slots(self) -> list[Floats]:
        return [each if self._shared is None else self._shared.spread(each) for each in self.moments]

    def _rewire(self, gradients: Sequence[Floats], inputs: Inputs) -> None:
        """`gradients`: by all weights, (outputs, inputs) of each layer."""
        model = self.model
        layers = model.layers()
        stepped = layers if self._raw is None else model.split(self._raw.parameters)
        weights = [layer.scatter() for layer in stepped]
        rewired = self.evolution.rewire(
            weights, model.masks, gradients, inputs_by_layer(layers, model.networks, inputs, model.normalized)
        )
        moments = [move(model.split(values), rewired.masks) for values in self._moments_of_slots()]
        masks = model.masks
        model.rewire(*rewired)
        if self._own_steps is not None:
            self._own_steps.rewire(model, masks, self.steps)
        if self._raw is not None:
            self._raw = RawWeights(model)
        self._shared = self._share()
        self.moments = Moments(*(self._gather(model.join(each)) for each in moments))

    def state(self, prefix: str) -> tuple[Arrays, dict[str, Any]]:
        """Moments (and ages) of active weights and of biases by layer, and counters."""
        arrays: Arrays = {}
        for name, values in zip(MOMENTS, self._moments_of_slots(), strict=True):
            for index, layer in enumerate(self.model.split(values)):
                arrays[f"{prefix}.{index}.{WEIGHTS}.{name}"] = layer.weights
                arrays[f"{prefix}.{index}.{BIAS}.{name}"] = layer.bias
        if self._own_steps is not None:
            for index, ages in enumerate(self._own_steps.ages(self.steps)):
                arrays[f"{prefix}.{index}.{WEIGHTS}.{AGE}"] = ages
        if self._raw is not None:
            for index, layer in enumerate(self.model.split(self._raw.parameters)):
                arrays[f"{prefix}.{index}.{WEIGHTS}.{RAW}"] = layer.weights
        arrays |= self._sums.arrays(prefix)
        return arrays | self.evolution.arrays(prefix), {**self.evolution.counters(), "steps": self.steps}

    def restore(self, prefix: str, arrays: Mapping[str, Any], counters: Mapping[str, Any]) -> None:
        """The inverse of `state`, over a model that was already restored."""
        self.evolution.restore(prefix, arrays, counters)
        self.steps = int(counters["steps"])
        self.moments = Moments(*(self._gather(self.model.join(self._saved(prefix, name, arrays))) for name in MOMENTS))
        if self._own_steps is not None:
            ages = [arrays[f"{prefix}.{index}.{WEIGHTS}.{AGE}"] for index in range(len(self.model.masks))]
            self._own_steps.restore(self.model, ages, self.steps)
        self._sums.restore(prefix, arrays)
        if self._raw is not None:
            raw = [arrays[f"{prefix}.{index}.{WEIGHTS}.{RAW}"] for index in range(len(self.model.masks))]
            layers = zip(self.model.layers(), raw, strict=True)
            self._raw.parameters[:] = self.model.join(tuple(layer._replace(weights=each) for layer, each in layers))
            self._raw.rescale(self.model)

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
