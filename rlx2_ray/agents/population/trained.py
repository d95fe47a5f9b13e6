"""A stack that is trained: its gradient, Adam's moments and masks, rows beside the parameters' rows.

What only some members have is there where the population's shapes say that some may: `births` of grown weights, and
the weights that are `stepped` where the network's are rescaled from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlx2_ray.agents.population.adam import Rates, adam_step
from rlx2_ray.agents.population.groups import Groups
from rlx2_ray.agents.population.own_steps import rates_of_weights
from rlx2_ray.agents.population.rescaling import raw_gradient, rescaled
from rlx2_ray.agents.population.stack import Stack
from rlx2_ray.networks.sparse_layer import AGE, BIAS, RAW, WEIGHTS, Arrays, Layers
from rlx2_ray.sparse.densities import Shape
from rlx2_ray.types import Bools, Floats

MOMENTS = ("first_moment", "second_moment")


class Kind(NamedTuple):
    """How the weights of a slot are trained; the defaults: as they are."""

    has_own_steps: bool = False  # `agent.grown_steps`
    is_rescaled: bool = False  # `network.rescaled`
    block: int = 1  # `sparsity.block`, in which they share values


class TrainedStack(Stack):
    """`stepped` is `parameters` itself where no slot's weights are rescaled."""

    def __init__(
        self,
        slots: int,
        networks: int,
        shapes: Sequence[Shape],
        device: str,
        normalized: Tensor | None = None,
        has_own_steps: bool = False,
        has_rescaled: bool = False,
    ) -> None:
        """`has_own_steps`, `has_rescaled`: whether slots may be of that kind, for which there is room then."""
        super().__init__(slots, networks, shapes, device, normalized)
        self.gradient, self.first_moment, self.second_moment = (torch.zeros_like(self.parameters) for _ in range(3))
        self.mask = torch.ones_like(self.parameters, dtype=torch.bool)  # True where active, and at biases
        self.gradients = self.row.layers(self.gradient.flatten(0, 1))
        self.births = torch.zeros_like(self.parameters, dtype=torch.int32) if has_own_steps else None
        self.stepped = torch.zeros_like(self.parameters) if has_rescaled else self.parameters
        self._is_rescaled = torch.zeros(slots, networks, dtype=torch.bool, device=device)
        self._kinds: dict[int, Kind] = {}
        self._groups: dict[int, Groups] = {}  # by size of block

    def seat(self, slot: int, kind: Kind, masks: Sequence[Bools]) -> None:
        """Say how a slot's weights, which are there, are trained, until `clear`."""
        self._kinds[slot] = kind
        self._is_rescaled[slot] = kind.is_rescaled
        if kind.block > 1 and kind.block not in self._groups:
            self._groups[kind.block] = Groups(self.row, kind.block, str(self.parameters.device))
        self.write_masks(slot, masks)
        self._settle()  # here, since it would change what comes to rest beside others that step

    def write(self, slot: int, layers: Layers) -> None:
        super().write(slot, layers)
        self.stepped[slot] = self.parameters[slot]

    def step(self, rates: Rates, weight_decay: Tensor | None) -> None:
        """Make Adam's step with the gradients that are there; `weight_decay` (P,), None: there is none."""
        self.gradient.mul_(self.mask)
        self._change_groups(self.gradient, Groups.spread_sums, list(self._kinds))
        if self.stepped is not self.parameters:
            self._turn_gradients()
        if weight_decay is not None:
            self.gradient.addcmul_(self.stepped, weight_decay.view(-1, 1, 1))
        own = rates if self.births is None else rates_of_weights(rates, self.births)
        adam_step(self.stepped, self.gradient, self.first_moment, self.second_moment, own)
        self._settle()

    def _turn_gradients(self) -> None:
        """Bring those by rescaled weights to those by the weights that are stepped."""
        for gradient, raw, mask in self._layers_of(self.gradient, self.stepped, self.mask):
            gradient.copy_(torch.where(self._flags, raw_gradient(gradient, raw, mask), gradient))

    def _settle(self) -> None:
        """Let the weights be what those that are stepped come to, and those that share a value equal to the bit."""
        self._change_groups(self.stepped, Groups.made_equal, list(self._kinds))
        if self.stepped is not self.parameters:
            self.parameters.copy_(self.stepped)
            for weight, raw, mask in self._layers_of(self.parameters, self.stepped, self.mask):
                weight.copy_(torch.where(self._flags, rescaled(raw, mask), raw))

    @property
    def _flags(self) -> Tensor:
        """(S, 1, 1), whose weights are rescaled."""
        return self._is_rescaled.view(-1, 1, 1)

    def _layers_of(self, *rows: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """The weights (S, outputs, inputs) that each of rows (P, K, n) have, layer by layer."""
        for layers in zip(*(self.row.layers(each.flatten(0, 1)) for each in rows), strict=True):
            yield tuple(layer.weight for layer in layers)

    def hold_groups(self, follower: Stack, slots: Sequence[int]) -> None:
        """Make weights that share a value equal to the bit, in slots of a stack that follow those of this one."""
        self._change_groups(follower.parameters, Groups.made_equal, slots)

    def _change_groups(self, rows: Tensor, change: Callable[[Groups, Tensor], Tensor], slots: Sequence[int]) -> None:
        for block, groups in self._groups.items():
            of_block = [slot for slot in slots if self._kinds[slot].block == block]
            if of_block:
                rows[of_block] = change(groups, rows[of_block].flatten(0, 1)).view(len(of_block), *rows.shape[1:])

    def write_masks(self, slot: int, masks: Sequence[Bools]) -> None:
        """Take on another structure: what it does not have loses its moments. The weights are the caller's."""
        for (weight, _), mask in zip(self._slices(self.mask, slot), masks, strict=True):
            weight.copy_(torch.from_numpy(mask))
        for moments in (self.first_moment, self.second_moment):
            moments[slot].masked_fill_(~self.mask[slot], 0)

    def rewire(self, slot: int, masks: Sequence[Bools], weights: Sequence[Floats], steps: int) -> None:
        """Take on structure and weights, those that are stepped, as an event gave them after so many steps."""
        old = self.mask[slot].clone()
        self.write_masks(slot, masks)
        if self.births is not None and self._kinds[slot].has_own_steps:
            self.births[slot].masked_fill_(self.mask[slot] & ~old, steps)
        for (weight, _), values in zip(self._slices(self.stepped, slot), weights, strict=True):
            weight.copy_(torch.from_numpy(np.ascontiguousarray(values)))
        self._settle()

    def read_stepped(self, slot: int) -> list[Floats]:
        """The weights that are stepped."""
        return [weight.cpu().numpy().copy() for weight, _ in self._slices(self.stepped, slot)]

    def read_gradients(self, slot: int) -> list[Floats]:
        """Of every weight, active or not."""
        return [weight.cpu().numpy().copy() for weight, _ in self._slices(self.gradient, slot)]

    def read_training(self, prefix: str, slot: int, masks: Sequence[Bools], steps: int) -> Arrays:
        """What a checkpoint has of active weights and of biases beside their values, after so many steps."""
        arrays: Arrays = {}
        for name, rows in self._of_weights(slot).items():
            for index, ((weight, _), mask) in enumerate(zip(self._slices(rows, slot), masks, strict=True)):
                values = weight.cpu().numpy().ravel()[np.flatnonzero(mask)]
                arrays[f"{prefix}.{index}.{WEIGHTS}.{name}"] = (
                    steps - values.astype(np.int64) if name == AGE else values
                )
        for name, rows in self._moments.items():
            for index, (_, bias) in enumerate(self._slices(rows, slot)):
                arrays[f"{prefix}.{index}.{BIAS}.{name}"] = bias.cpu().numpy().copy()
        return arrays

    def write_training(
        self, prefix: str, slot: int, masks: Sequence[Bools], steps: int, arrays: Mapping[str, Any]
    ) -> None:
        """The inverse of `read_training`."""
        for name, rows in self._of_weights(slot).items():
            for index, ((weight, _), mask) in enumerate(zip(self._slices(rows, slot), masks, strict=True)):
                values = arrays[f"{prefix}.{index}.{WEIGHTS}.{name}"]
                whole = np.zeros(mask.shape, values.dtype)
                whole[mask] = steps - values if name == AGE else values
                weight.copy_(torch.from_numpy(whole))
        for name, rows in self._moments.items():
            for index, (_, bias) in enumerate(self._slices(rows, slot)):
                bias.copy_(torch.tensor(arrays[f"{prefix}.{index}.{BIAS}.{name}"]))
        self._settle()

    @property
    def _moments(self) -> dict[str, Tensor]:
        return dict(zip(MOMENTS, (self.first_moment, self.second_moment), strict=True))

    def _of_weights(self, slot: int) -> dict[str, Tensor]:
        """Rows that hold what a slot keeps of its weights, by names of checkpoints."""
        kind, rows = self._kinds[slot], self._moments
        if kind.has_own_steps:
            assert self.births is not None
            rows[AGE] = self.births
        if kind.is_rescaled:
            rows[RAW] = self.stepped
        return rows

    def clear(self, slot: int) -> None:
        super().clear(slot)
        self._kinds.pop(slot, None)
        for rows in (self.gradient, self.first_moment, self.second_moment, self.stepped, self._is_rescaled):
            rows[slot] = 0
        if self.births is not None:
            self.births[slot] = 0
        self.mask[slot] = True
