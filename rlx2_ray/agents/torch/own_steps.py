"""Adam with a number of steps for every weight, those since it has grown: `agents/sparse/own_steps.py` in torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rlx2_ray.config import AgentConfig
from rlx2_ray.kernels.structure import Int64s

EPSILON = 1e-8


class OwnSteps:
    def __init__(self, weights: Sequence[Tensor], config: AgentConfig) -> None:
        """`weights`: that are stepped, (outputs, inputs) of each layer."""
        self._config = config
        self._weights = weights
        # The steps that the network had had when a weight grew.
        self._births = {weight: torch.zeros_like(weight, dtype=torch.int64) for weight in weights}

    @torch.no_grad()
    def step(self, tensor: Tensor, state: Mapping[str, Tensor]) -> None:
        """One step of a weight or a bias with the gradient that it has; `state`: its state of torch's Adam."""
        config, (first, second) = self._config, (state["exp_avg"], state["exp_avg_sq"])
        assert tensor.grad is not None
        gradient = tensor.grad + config.weight_decay * tensor
        state["step"].add_(1)
        births = self._births.get(tensor)
        steps = state["step"].to(tensor.device).double()
        ages = steps if births is None else steps - births
        first.lerp_(gradient, 1 - config.beta_1)
        second.mul_(config.beta_2).addcmul_(gradient, gradient, value=1 - config.beta_2)
        rates = (config.learning_rate / (1 - config.beta_1**ages)).float()
        roots = (1 - config.beta_2**ages).rsqrt().float()
        tensor.sub_(rates * first / (second.sqrt() * roots + EPSILON))

    def grow(self, layer: int, grown: Tensor, steps: int) -> None:
        """Weights of the layer of that number grow after so many steps, where `grown` is True."""
        self._births[self._weights[layer]][grown] = steps

    def ages(self, layer: int, mask: Tensor, steps: int) -> Int64s:
        """Of the layer's active weights, in their order."""
        ages: Int64s = (steps - self._births[self._weights[layer]][mask]).cpu().numpy()
        return ages

    def restore(self, layer: int, mask: Tensor, ages: Tensor, steps: int) -> None:
        """The inverse of `ages`."""
        self._births[self._weights[layer]][mask] = steps - ages
