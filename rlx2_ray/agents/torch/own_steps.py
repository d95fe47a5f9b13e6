"""Adam with a number of steps for every weight, those since it has grown: `agents/sparse/own_steps.py` in torch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from rlx2_ray.config import AgentConfig
from rlx2_ray.kernels.structure import Int64s
from rlx2_ray.networks.masked_mlp import MLP, MaskedLinear

EPSILON = 1e-8


class OwnSteps:
    def __init__(self, layers: MLP, config: AgentConfig) -> None:
        self._config = config
        # The steps that the network had had when a weight grew.
        self._births = {layer.weight: torch.zeros_like(layer.weight, dtype=torch.int64) for layer in layers}

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

    def rewire(self, layer: MaskedLinear, mask: Tensor, steps: int) -> None:
        """Weights of `mask` that are not active yet grow after so many steps."""
        self._births[layer.weight][mask & ~layer.mask] = steps

    def ages(self, layer: MaskedLinear, steps: int) -> Int64s:
        """Of its active weights, in their order."""
        ages: Int64s = (steps - self._births[layer.weight][layer.mask]).cpu().numpy()
        return ages

    def restore(self, layer: MaskedLinear, ages: Int64s, steps: int) -> None:
        """The inverse of `ages`."""
        self._births[layer.weight][layer.mask] = steps - torch.tensor(ages, device=layer.weight.device)
