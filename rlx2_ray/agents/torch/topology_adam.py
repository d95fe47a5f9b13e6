"""Adam over one model that, at the calls its schedule names, rewires the model instead of stepping it.

Adam is torch's; when and how the model is rewired is for `agents/evolution/` to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rlx2_ray.agents.evolution.base import TopologyEvolution
from rlx2_ray.agents.evolution.inputs import Inputs, inputs_by_layer
from rlx2_ray.agents.torch.own_steps import OwnSteps
from rlx2_ray.config import AgentConfig
from rlx2_ray.networks.masked_mlp import MLP, MaskedLinear, parameters, to_sparse
from rlx2_ray.networks.sparse_layer import AGE, WEIGHTS, Arrays

MOMENTS = {"first_moment": "exp_avg", "second_moment": "exp_avg_sq"}  # our names of Adam's state in torch


class TopologyAdam:
    """Owns the optimizer of one model (the policy, or both critics) and its structure.

    Moments of weights that leave are dropped and those of weights that come start at zero, so that inactive weights
    have neither value nor moments.
    """

    def __init__(self, layers: MLP, config: AgentConfig, evolution: TopologyEvolution, networks: int = 1) -> None:
        """`networks`: equally deep ones over the same inputs, whose layers these are."""
        self.evolution = evolution
        self._networks = networks
        self._layers = layers
        self._parameters = parameters(layers)
        self._adam = torch.optim.Adam(
            self._parameters, lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay, fused=True
        )
        self._own_steps = OwnSteps(layers, config) if config.grown_steps == "own" else None
        for tensor in self._parameters:
            self._adam.state[tensor] = {
                "step": torch.zeros((), dtype=torch.float32, device=tensor.device),
                "exp_avg": torch.zeros_like(tensor),
                "exp_avg_sq": torch.zeros_like(tensor),
            }

    @property
    def parameters(self) -> list[Tensor]:
        return self._parameters

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], inputs: Inputs) -> None:
        """Makes one optimizer call with the dense gradients of `parameters`, in their order.

        `inputs`: of the layers' networks, in the batch that the gradients are of.
        """
        self.evolution.calls += 1
        if self.evolution.is_due:
            self._rewire(gradients[::2], inputs)  # parameters alternate between weight and bias
            return
        for tensor, gradient in zip(self._parameters, gradients, strict=True):
            tensor.grad = gradient
        for layer in self._layers:
            if layer.is_sparse:
                layer.weight.grad.mul_(layer.mask)  # type: ignore[union-attr]
        if self._own_steps is None:
            self._adam.step()
        else:
            for tensor in self._parameters:
                self._own_steps.step(tensor, self._adam.state[tensor])

    def _rewire(self, weight_gradients: Sequence[Tensor], inputs: Inputs) -> None:
        masks, weights = self.evolution.rewire(
            [layer.weight.cpu().numpy() for layer in self._layers],
            [layer.mask.cpu().numpy() for layer in self._layers],
            [gradient.cpu().numpy() for gradient in weight_gradients],
            inputs_by_layer(to_sparse(self._layers), self._networks, inputs, self._layers[0].normalized),
        )
        for layer, mask, values in zip(self._layers, masks, weights, strict=True):
            if not mask.all() or layer.is_sparse:
                self._set_weights(layer, torch.from_numpy(mask), torch.from_numpy(values))

    def _set_weights(self, layer: MaskedLinear, mask: Tensor, values: Tensor) -> None:
        state = self._adam.state[layer.weight]
        mask = mask.to(layer.weight.device)
        if self._own_steps is not None:
            self._own_steps.rewire(layer, mask, int(state["step"]))
        layer.set_mask(mask)
        layer.weight.copy_(values)
        for moment in (state["exp_avg"], state["exp_avg_sq"]):
            moment.masked_fill_(~layer.mask, 0)  # not a product, which makes -0; grown ones were zero already

    def state(self, prefix: str) -> tuple[Arrays, dict[str, Any]]:
        """Moments of active weights and of biases by layer, and counters."""
        arrays: Arrays = {}
        steps = 0
        for index, layer in enumerate(self._layers):
            active = layer.mask.ravel()
            for ours, theirs in MOMENTS.items():
                weight_state, bias_state = self._adam.state[layer.weight], self._adam.state[layer.bias]
                arrays[f"{prefix}.{index}.weights.{ours}"] = weight_state[theirs].ravel()[active].cpu().numpy()
                arrays[f"{prefix}.{index}.bias.{ours}"] = bias_state[theirs].cpu().numpy().copy()
                steps = int(weight_state["step"])
            if self._own_steps is not None:
                arrays[f"{prefix}.{index}.{WEIGHTS}.{AGE}"] = self._own_steps.ages(layer, steps)
        return arrays | self.evolution.arrays(prefix), {**self.evolution.counters(), "steps": steps}

    @torch.no_grad()
    def restore(self, prefix: str, arrays: Mapping[str, Any], counters: Mapping[str, Any]) -> None:
        """The inverse of `state`, over layers that were already restored."""
        self.evolution.restore(prefix, arrays, counters)
        for tensor in self._parameters:
            self._adam.state[tensor]["step"].fill_(counters["steps"])
        for index, layer in enumerate(self._layers):
            for ours, theirs in MOMENTS.items():
                weight_moment = self._adam.state[layer.weight][theirs]
                saved = torch.tensor(arrays[f"{prefix}.{index}.weights.{ours}"], device=weight_moment.device)
                weight_moment[layer.mask] = saved
                bias_moment = self._adam.state[layer.bias][theirs]
                bias_moment.copy_(torch.tensor(arrays[f"{prefix}.{index}.bias.{ours}"]))
            if self._own_steps is not None:
                self._own_steps.restore(layer, arrays[f"{prefix}.{index}.{WEIGHTS}.{AGE}"], int(counters["steps"]))
