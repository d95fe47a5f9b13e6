"""The same network in every slot: weights as rows of one array, products of all slots in one call, gradients by hand.

A stack holds K networks of equal shapes for each of P slots (the policy: K = 1; both critics: K = 2). All parameters of
a slot's network are one row, so that Adam and Polyak averaging are a few operations on one array; layers are views
of it. Inactive weights are stored as zeros, as on the torch engine, so a pass needs no mask.

Gradients are written out instead of left to autograd: they land where Adam reads them, without a graph, without
memory that comes and goes, and without anything that depends on values, as a CUDA graph wants it.

Shapes: P slots, K networks of a slot, S = P * K, B samples, n parameters of a network with padding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlx2_ray.networks.sparse_layer import Layers, SparseLayer
from rlx2_ray.sparse.densities import Shape
from rlx2_ray.types import Bools, Floats

ALIGNMENT = 32  # numbers: every layer begins at a multiple of 128 bytes


class Layer(NamedTuple):
    weight: Tensor  # (S, outputs, inputs)
    bias: Tensor  # (S, outputs)


class Row(NamedTuple):
    """Where the layers of a network are in a row of parameters."""

    shapes: tuple[Shape, ...]  # (outputs, inputs)

    @property
    def size(self) -> int:
        return sum(_padded(outputs * inputs) + _padded(outputs) for outputs, inputs in self.shapes)

    def layers(self, rows: Tensor) -> list[Layer]:
        """Views of rows (S, n)."""
        layers, start = [], 0
        for outputs, inputs in self.shapes:
            weight = rows[:, start : start + outputs * inputs].view(-1, outputs, inputs)
            start += _padded(outputs * inputs)
            layers.append(Layer(weight, rows[:, start : start + outputs]))
            start += _padded(outputs)
        return layers


class Stack:
    """`parameters` (P, K, n), 0 where there is nothing.

    `layers` are those of all networks, S = P * K, and `first` those of the first network of each slot, S = P.
    """

    def __init__(self, slots: int, networks: int, shapes: Sequence[Shape], device: str) -> None:
        self.row, self.networks = Row(tuple(shapes)), networks
        self.parameters = torch.zeros(slots, networks, self.row.size, device=device)
        self.layers = self.row.layers(self.parameters.flatten(0, 1))
        self.first = self.row.layers(self.parameters[:, 0])

    def write(self, slot: int, layers: Layers) -> None:
        """Make a slot's networks these, whose layers follow each other network by network."""
        for (weight, bias), layer in zip(self._slices(self.parameters, slot), layers, strict=True):
            weight.copy_(torch.from_numpy(layer.scatter()))
            bias.copy_(torch.from_numpy(layer.bias))

    def write_weights(self, slot: int, weights: Sequence[Floats]) -> None:
        for (weight, _), values in zip(self._slices(self.parameters, slot), weights, strict=True):
            weight.copy_(torch.from_numpy(np.ascontiguousarray(values)))

    def read(self, slot: int, masks: Sequence[Bools]) -> Layers:
        """A copy of what lives by `masks`."""
        return tuple(
            SparseLayer.from_dense(weight.cpu().numpy(), mask, bias.cpu().numpy())
            for (weight, bias), mask in zip(self._slices(self.parameters, slot), masks, strict=True)
        )

    def read_weights(self, slot: int) -> list[Floats]:
        return [weight.cpu().numpy().copy() for weight, _ in self._slices(self.parameters, slot)]

    def clear_weights(self, slot: int, masks: Sequence[Bools]) -> None:
        """Make a slot's weights 0 where `masks` say so."""
        for (weight, _), mask in zip(self._slices(self.parameters, slot), masks, strict=True):
            weight.masked_fill_(torch.from_numpy(~mask).to(weight.device), 0)

    def keep_largest(self, slot: int, counts: Sequence[int]) -> None:
        """Make all but so many of the largest weights of each layer 0 (`sparse/targets.py`)."""
        for (weight, _), count in zip(self._slices(self.parameters, slot), counts, strict=True):
            order = weight.abs().flatten().argsort(descending=True, stable=True)
            weight.view(-1)[order[count:]] = 0

    def clear(self, slot: int) -> None:
        self.parameters[slot] = 0

    def _slices(self, rows: Tensor, slot: int) -> list[Layer]:
        """Views of what rows (P, K, n) have of a slot's layers, network by network, (outputs, inputs) each."""
        by_network = [self.row.layers(rows[slot, k].unsqueeze(0)) for k in range(self.networks)]
        return [Layer(weight[0], bias[0]) for layers in by_network for weight, bias in layers]


def forward(layers: Sequence[Layer], inputs: Tensor) -> list[Tensor]:
    """The values (S, B, units) of every layer, the inputs (S, B, inputs) first; ReLU between layers."""
    values = [inputs]
    for number, (weight, bias) in enumerate(layers, start=1):
        product = torch.baddbmm(bias.unsqueeze(1), values[-1], weight.transpose(1, 2))
        values.append(product.relu_() if number < len(layers) else product)
    return values


def backward(
    layers: Sequence[Layer],
    values: Sequence[Tensor],
    deltas: Tensor,
    gradients: Sequence[Layer] | None,
    to_inputs: bool,
) -> Tensor:
    """Write the gradients, given `deltas` (S, B, outputs), the loss's by the outputs of `forward` that gave `values`.

    `gradients` None: of no weight. Returns the loss's gradient by the inputs where `to_inputs`, else the deltas of the
    first layer.
    """
    for number in reversed(range(len(layers))):
        if gradients is not None:
            torch.bmm(deltas.transpose(1, 2), values[number], out=gradients[number].weight)
            torch.sum(deltas, 1, out=gradients[number].bias)
        if number or to_inputs:
            deltas = torch.bmm(deltas, layers[number].weight)
        if number:
            deltas = deltas * (values[number] > 0)
    return deltas


def _padded(count: int) -> int:
    return math.ceil(count / ALIGNMENT) * ALIGNMENT
