"""Adam over one model that, at the calls its schedule names, rewires the model instead of stepping it.

Adam is torch's; when and how the model is rewired is for `agents/evolution/` to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from rlx2_ray.agents.evolution.base import TopologyEvolution
from rlx2_ray.agents.evolution.inputs import Inputs, inputs_by_layer
from rlx2_ray.agents.evolution.sums import GradientSums
from rlx2_ray.agents.torch.own_steps import OwnSteps
from rlx2_ray.agents.torch.rescaling import raw_gradient, rescaled
from rlx2_ray.agents.torch.shared_values import SharedValues
from rlx2_ray.config import AgentConfig
from rlx2_ray.networks.masked_mlp import MLP, MaskedLinear, parameters, to_sparse
from rlx2_ray.networks.sparse_layer import AGE, BIAS, RAW, WEIGHTS, Arrays
from rlx2_ray.types import Floats

MOMENTS = {"first_moment": "exp_avg", "second_moment": "exp_avg_sq"}  # our names of Adam's state in torch


class TopologyAdam:
    """Owns the optimizer of one model (the policy, or both critics) and its structure.

    Moments of weights that leave are dropped and those of weights that come start at zero, so that inactive weights
    have neither value nor moments.
    """

    def __init__(
        self,
        layers: MLP,
        config: AgentConfig,
        evolution: TopologyEvolution,
        networks: int = 1,
        rescales: bool = False,
        block: int = 1,
    ) -> None:
        """`networks`: equally deep ones over the same inputs, whose layers these are.

        `rescales`: whether the layers' weights are, and others are stepped (`networks/rescaling.py`).

        `block`: whose weights share values (`sparse/circulant.py`), which are stepped; 1: none do.
        """
        self.evolution = evolution
        self._networks = networks
        self._layers = layers
        self._parameters = parameters(layers)
        self._rescales = rescales
        self._shared = [_share(layer, block) for layer in layers] if block > 1 else []
        self._weights = [self._make_stepped(number, layer) for number, layer in enumerate(layers)]
        self._stepped = [
            each for layer, weight in zip(layers, self._weights, strict=True) for each in (weight, layer.bias)
        ]
        self._adam = torch.optim.Adam(
            self._stepped, lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay, fused=True
        )
        self._own_steps = OwnSteps(self._weights, config) if config.grown_steps == "own" else None
        self._sums = GradientSums(evolution, [tuple(layer.mask.shape) for layer in layers])
        for tensor in self._stepped:
            self._adam.state[tensor] = {
                "step": torch.zeros((), dtype=torch.float32, device=tensor.device),
                "exp_avg": torch.zeros_like(tensor),
                "exp_avg_sq": torch.zeros_like(tensor),
            }
        with torch.no_grad():
            self._rescale()  # as `restore` does, so that nothing is another then

    def _make_stepped(self, number: int, layer: MaskedLinear) -> Tensor:
        if self._shared:
            return self._shared[number].gather(layer.weight.detach())
        return layer.weight.detach().clone() if self._rescales else layer.weight

    @property
    def parameters(self) -> list[Tensor]:
        return self._parameters

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], inputs: Inputs) -> None:
        """Makes one optimizer call with the dense gradients of `parameters`, in their order.

        `inputs`: of the layers' networks, in the batch that the gradients are of.
        """
        self.evolution.calls += 1
        of_weights = gradients[::2]  # parameters alternate between weight and bias
        if self.evolution.is_due:
            self._rewire(self._sums.take(_arrays(of_weights)), inputs)
            return
        if self._sums.is_due:
            self._sums.add(_arrays(of_weights))
        for layer, gradient in zip(self._layers, of_weights, strict=True):
            if layer.is_sparse:
                gradient.mul_(layer.mask)
        gradients = [self._summed(*each) for each in enumerate(gradients)]
        for tensor, gradient in zip(self._stepped, gradients, strict=True):
            tensor.grad = gradient
        self._turn_gradients()
        if self._own_steps is None:
            self._adam.step()
        else:
            for tensor in self._stepped:
                self._own_steps.step(tensor, self._adam.state[tensor])
        self._rescale()

    def _summed(self, number: int, gradient: Tensor) -> Tensor:
        """The gradient by what is stepped: over each group of weights their sum."""
        is_weight = number % 2 == 0
        return self._shared[number // 2].total(gradient) if self._shared and is_weight else gradient

    def _gather(self, number: int, weights: Tensor) -> Tensor:
        """Of what is kept once for weights that share a value."""
        return self._shared[number].gather(weights) if self._shared else weights

    def _spread(self, number: int, values: Tensor) -> Tensor:
        return self._shared[number].spread(values) if self._shared else values

    @torch.no_grad()
    def hold_groups(self, layers: MLP) -> None:
        """Make weights that share a value equal to the bit, in layers that follow these and are but for rounding."""
        for shared, layer in zip(self._shared, layers, strict=bool(self._shared)):
            layer.weight.copy_(shared.spread(shared.gather(layer.weight)))

    def _turn_gradients(self) -> None:
        """Bring those by rescaled weights to those by the weights that are stepped."""
        if self._rescales:
            for layer, weight in zip(self._layers, self._weights, strict=True):
                assert weight.grad is not None
                weight.grad = raw_gradient(weight.grad, weight, layer.mask)

    def _rescale(self) -> None:
        """Give the layers what the weights that are stepped come to."""
        if self._rescales:
            for layer, weight in zip(self._layers, self._weights, strict=True):
                layer.weight.copy_(rescaled(weight, layer.mask))
        for shared, layer, weight in zip(self._shared, self._layers, self._weights, strict=bool(self._shared)):
            layer.weight.copy_(shared.spread(weight))

    def _rewire(self, gradients: Sequence[Floats], inputs: Inputs) -> None:
        """`gradients`: by all weights, (outputs, inputs) of each layer."""
        masks, weights = self.evolution.rewire(
            _arrays([layer.weight for layer in self._layers] if self._shared else self._weights),
            [layer.mask.cpu().numpy() for layer in self._layers],
            gradients,
            inputs_by_layer(to_sparse(self._layers), self._networks, inputs, self._layers[0].normalized),
        )
        for number, (layer, mask, values) in enumerate(zip(self._layers, masks, weights, strict=True)):
            if not mask.all() or layer.is_sparse:
                self._set_weights(number, torch.from_numpy(mask), torch.from_numpy(values))
        self._rescale()

    def _set_weights(self, number: int, mask: Tensor, values: Tensor) -> None:
        layer, weight = self._layers[number], self._weights[number]
        state, mask = self._adam.state[weight], mask.to(weight.device)
        if self._own_steps is not None:
            self._own_steps.grow(number, mask & ~layer.mask, int(state["step"]))
        layer.set_mask(mask)
        weight.copy_(self._gather(number, values))
        gone = self._gather(number, ~layer.mask)
        for moment in (state["exp_avg"], state["exp_avg_sq"]):
            moment.masked_fill_(gone, 0)  # not a product, which makes -0; grown ones were zero already

    def state(self, prefix: str) -> tuple[Arrays, dict[str, Any]]:
        """Moments of active weights and of biases by layer, and counters."""
        arrays: Arrays = {}
        steps = int(self._adam.state[self._stepped[0]]["step"])
        for index, (layer, weight) in enumerate(zip(self._layers, self._weights, strict=True)):
            for ours, theirs in MOMENTS.items():
                weight_state, bias_state = self._adam.state[weight], self._adam.state[layer.bias]
                moment = self._spread(index, weight_state[theirs])
                arrays[f"{prefix}.{index}.{WEIGHTS}.{ours}"] = moment[layer.mask].cpu().numpy()
                arrays[f"{prefix}.{index}.{BIAS}.{ours}"] = bias_state[theirs].cpu().numpy().copy()
            if self._own_steps is not None:
                arrays[f"{prefix}.{index}.{WEIGHTS}.{AGE}"] = self._own_steps.ages(index, layer.mask, steps)
            if self._rescales:
                arrays[f"{prefix}.{index}.{WEIGHTS}.{RAW}"] = weight[layer.mask].cpu().numpy()
        arrays |= self._sums.arrays(prefix)
        return arrays | self.evolution.arrays(prefix), {**self.evolution.counters(), "steps": steps}

    @torch.no_grad()
    def restore(self, prefix: str, arrays: Mapping[str, Any], counters: Mapping[str, Any]) -> None:
        """The inverse of `state`, over layers that were already restored."""
        self.evolution.restore(prefix, arrays, counters)
        self._sums.restore(prefix, arrays)
        for tensor in self._stepped:
            self._adam.state[tensor]["step"].fill_(counters["steps"])
        for index, (layer, weight) in enumerate(zip(self._layers, self._weights, strict=True)):
            key = f"{prefix}.{index}.{WEIGHTS}"
            for ours, theirs in MOMENTS.items():
                moment = torch.zeros_like(layer.weight)
                moment[layer.mask] = _tensor(arrays[f"{key}.{ours}"], weight)
                self._adam.state[weight][theirs].copy_(self._gather(index, moment))
                self._adam.state[layer.bias][theirs].copy_(torch.tensor(arrays[f"{prefix}.{index}.{BIAS}.{ours}"]))
            if self._own_steps is not None:
                self._own_steps.restore(index, layer.mask, _tensor(arrays[f"{key}.{AGE}"], weight), counters["steps"])
            if self._rescales:
                weight[layer.mask] = _tensor(arrays[f"{key}.{RAW}"], weight)
        self._rescale()


def _share(layer: MaskedLinear, block: int) -> SharedValues:
    outputs, inputs = layer.mask.shape
    return SharedValues((outputs, inputs), block, layer.mask.device)


def _arrays(tensors: Sequence[Tensor]) -> list[Floats]:
    return [tensor.detach().cpu().numpy() for tensor in tensors]


def _tensor(array: NDArray[Any], like: Tensor) -> Tensor:
    """On the device of another."""
    return torch.tensor(array, device=like.device)
