"""A stack that is trained: its gradient, Adam's moments and masks, rows beside the parameters' rows.

Adam (Kingma & Ba 2015, arXiv 1412.6980, algorithm 1), as `torch.optim.Adam` computes it:

    m <- m + (1 - beta_1) (g - m)        v <- beta_2 v + (1 - beta_2) g^2
    w <- w - lr / (1 - beta_1^t) * m / (sqrt(v) / sqrt(1 - beta_2^t) + epsilon)

where t is a slot's own number of steps. What depends on t or on a member comes as numbers of each slot (`Rates`),
worked out on the host in double precision, where the counters are; for a slot that is not to step they are such that
nothing changes. So which slots step is data, and never a shape or a branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlx2_ray.agents.population.stack import Stack
from rlx2_ray.networks.sparse_layer import Arrays
from rlx2_ray.sparse.densities import Shape
from rlx2_ray.types import Bools, Floats

EPSILON = 1e-8
MOMENTS = ("first_moment", "second_moment")


class Rates(NamedTuple):
    """What Adam does in each slot, (P,) each."""

    first: Tensor  # 1 - beta_1
    second: Tensor  # 1 - beta_2
    step: Tensor  # lr / (1 - beta_1^t)
    root: Tensor  # 1 / sqrt(1 - beta_2^t)


RESTING = (0.0, 0.0, 0.0, 1.0)  # rates of a slot that does not step


def rates_at(step: int, learning_rate: float, betas: tuple[float, float]) -> tuple[float, float, float, float]:
    """Those of the `step`-th step, from 1."""
    first, second = betas
    return 1 - first, 1 - second, learning_rate / (1 - first**step), (1 - second**step) ** -0.5


def adam_step(parameters: Tensor, gradient: Tensor, first: Tensor, second: Tensor, rates: Rates) -> None:
    """One step of all slots, in place; arrays (P, ...). The gradient is used up."""
    one, other, step, root = (rate.view(-1, *(1,) * (parameters.dim() - 1)) for rate in rates)
    first.lerp_(gradient, one.expand_as(first))
    second.mul_(1 - other).addcmul_(gradient, gradient * other)
    torch.sqrt(second, out=gradient)
    gradient.mul_(root).add_(EPSILON)
    parameters.sub_(step * first / gradient)


class TrainedStack(Stack):
    def __init__(self, slots: int, networks: int, shapes: Sequence[Shape], device: str) -> None:
        super().__init__(slots, networks, shapes, device)
        self.gradient, self.first_moment, self.second_moment = (torch.zeros_like(self.parameters) for _ in range(3))
        self.mask = torch.ones_like(self.parameters, dtype=torch.bool)  # True where active, and at biases
        self.gradients = self.row.layers(self.gradient.flatten(0, 1))

    def step(self, rates: Rates, weight_decay: Tensor | None) -> None:
        """Make Adam's step with the gradients that are there; `weight_decay` (P,), None: there is none."""
        self.gradient.mul_(self.mask)
        if weight_decay is not None:
            self.gradient.addcmul_(self.parameters, weight_decay.view(-1, 1, 1))
        adam_step(self.parameters, self.gradient, self.first_moment, self.second_moment, rates)

    def write_masks(self, slot: int, masks: Sequence[Bools]) -> None:
        """Take on another structure: what it does not have loses its moments. The weights are the caller's."""
        for (weight, _), mask in zip(self._slices(self.mask, slot), masks, strict=True):
            weight.copy_(torch.from_numpy(mask))
        for moments in (self.first_moment, self.second_moment):
            moments[slot].masked_fill_(~self.mask[slot], 0)

    def read_gradients(self, slot: int) -> list[Floats]:
        """Of every weight, active or not."""
        return [weight.cpu().numpy().copy() for weight, _ in self._slices(self.gradient, slot)]

    def read_moments(self, prefix: str, slot: int, masks: Sequence[Bools]) -> Arrays:
        """Those of active weights and of biases, under the names of checkpoints."""
        arrays: Arrays = {}
        for name, rows in zip(MOMENTS, (self.first_moment, self.second_moment), strict=True):
            for index, ((weight, bias), mask) in enumerate(zip(self._slices(rows, slot), masks, strict=True)):
                arrays[f"{prefix}.{index}.weights.{name}"] = weight.cpu().numpy().ravel()[np.flatnonzero(mask)]
                arrays[f"{prefix}.{index}.bias.{name}"] = bias.cpu().numpy().copy()
        return arrays

    def write_moments(self, prefix: str, slot: int, masks: Sequence[Bools], arrays: Any) -> None:
        """The inverse of `read_moments`."""
        for name, rows in zip(MOMENTS, (self.first_moment, self.second_moment), strict=True):
            for index, ((weight, bias), mask) in enumerate(zip(self._slices(rows, slot), masks, strict=True)):
                whole = np.zeros(mask.shape, np.float32)
                whole[mask] = arrays[f"{prefix}.{index}.weights.{name}"]
                weight.copy_(torch.from_numpy(whole))
                bias.copy_(torch.tensor(arrays[f"{prefix}.{index}.bias.{name}"]))

    def clear(self, slot: int) -> None:
        super().clear(slot)
        for rows in (self.gradient, self.first_moment, self.second_moment):
            rows[slot] = 0
        self.mask[slot] = True
