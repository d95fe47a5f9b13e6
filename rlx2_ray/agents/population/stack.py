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

import torch
from torch import Tensor

from rlx2_ray.kernels.network import NORM_EPSILON
from rlx2_ray.networks.sparse_layer import Layers, SparseLayer
from rlx2_ray.sparse.densities import Shape
from rlx2_ray.types import Bools

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

    @property
    def starts(self) -> list[int]:
        """Where the weights of each layer begin."""
        sizes = [_padded(outputs * inputs) + _padded(outputs) for outputs, inputs in self.shapes]
        return [sum(sizes[:number]) for number in range(len(sizes))]

    def layers(self, rows: Tensor) -> list[Layer]:
        """Views of rows (S, n)."""
        layers = []
        for start, (outputs, inputs) in zip(self.starts, self.shapes, strict=True):
            bias = start + _padded(outputs * inputs)
            weight = rows[:, start : start + outputs * inputs].view(-1, outputs, inputs)
            layers.append(Layer(weight, rows[:, bias : bias + outputs]))
        return layers


class Networks(NamedTuple):
    """S networks that a pass goes through."""

    layers: list[Layer]
    normalized: Tensor | None  # (S, 1, 1), whose hidden layers are normalised; None: nobody's


class Normal(NamedTuple):
    """What the way back through a normalised layer needs: sums (S, B, units) at mean 0 and deviation 1."""

    values: Tensor  # (S, B, units)
    scale: Tensor  # (S, B, 1), 1 over their deviation


class Passed(NamedTuple):
    """What a pass forward leaves."""

    values: list[Tensor]  # (S, B, units) of every layer, the inputs first
    normals: list[Normal]  # of hidden layers, where some are normalised

    @property
    def outputs(self) -> Tensor:
        return self.values[-1]


class Stack:
    """`parameters` (P, K, n), 0 where there is nothing.

    `all` are all networks, S = P * K, and `first` the first network of each slot, S = P.
    """

    def __init__(
        self, slots: int, networks: int, shapes: Sequence[Shape], device: str, normalized: Tensor | None = None
    ) -> None:
        """`normalized`: (P, K), where the hidden layers are; None: nowhere. Whoever gives it may change it."""
        self.row, self.networks = Row(tuple(shapes)), networks
        self.parameters = torch.zeros(slots, networks, self.row.size, device=device)
        self._normalized = normalized
        of_all = None if normalized is None else normalized.view(-1, 1, 1)
        of_first = None if normalized is None else normalized[:, 0].view(-1, 1, 1)
        self.all = Networks(self.row.layers(self.parameters.flatten(0, 1)), of_all)
        self.first = Networks(self.row.layers(self.parameters[:, 0]), of_first)

    def of(self, slots: Sequence[int]) -> Networks:
        """Copies of all networks of some slots, S = slots * K."""
        chosen = list(slots)
        normalized = self._normalized if self._normalized is None else self._normalized[chosen].view(-1, 1, 1)
        return Networks(self.row.layers(self.parameters[chosen].flatten(0, 1)), normalized)

    def write(self, slot: int, layers: Layers) -> None:
        """Make a slot's networks these, whose layers follow each other network by network."""
        for (weight, bias), layer in zip(self._slices(self.parameters, slot), layers, strict=True):
            weight.copy_(torch.from_numpy(layer.scatter()))
            bias.copy_(torch.from_numpy(layer.bias))

    def read(self, slot: int, masks: Sequence[Bools]) -> Layers:
        """A copy of what lives by `masks`."""
        return tuple(
            SparseLayer.from_dense(weight.cpu().numpy(), mask, bias.cpu().numpy())
            for (weight, bias), mask in zip(self._slices(self.parameters, slot), masks, strict=True)
        )

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


def forward(networks: Networks, inputs: Tensor) -> Passed:
    """Passes inputs (S, B, inputs) through all layers, with ReLU between them."""
    passed = Passed([inputs], [])
    for weight, bias in networks.layers[:-1]:
        sums = _sums(weight, bias, passed.outputs)
        if networks.normalized is not None:
            passed.normals.append(_normal(sums))
            sums = torch.where(networks.normalized, passed.normals[-1].values, sums)
        passed.values.append(sums.relu_())
    passed.values.append(_sums(*networks.layers[-1], passed.outputs))
    return passed


def _sums(weight: Tensor, bias: Tensor, inputs: Tensor) -> Tensor:
    return torch.baddbmm(bias.unsqueeze(1), inputs, weight.transpose(1, 2))


def _normal(sums: Tensor) -> Normal:
    """Layer normalisation without affine parameters, as `kernels/network.py` has it."""
    distances = sums - sums.mean(-1, keepdim=True)
    scale = (distances.square().mean(-1, keepdim=True) + float(NORM_EPSILON)).rsqrt()
    return Normal(distances * scale, scale)


def backward(
    networks: Networks, passed: Passed, deltas: Tensor, gradients: Sequence[Layer] | None, to_inputs: bool
) -> Tensor:
    """Write the gradients, given `deltas` (S, B, outputs), the loss's by the outputs of the pass that left `passed`.

    `gradients` None: of no weight. Returns the loss's gradient by the inputs where `to_inputs`, else the deltas of the
    first layer.
    """
    for number in reversed(range(len(networks.layers))):
        if gradients is not None:
            torch.bmm(deltas.transpose(1, 2), passed.values[number], out=gradients[number].weight)
            torch.sum(deltas, 1, out=gradients[number].bias)
        if number or to_inputs:
            deltas = torch.bmm(deltas, networks.layers[number].weight)
        if number:
            deltas = deltas * (passed.values[number] > 0)
            if networks.normalized is not None:
                by_sums = _through_normal(deltas, passed.normals[number - 1])
                deltas = torch.where(networks.normalized, by_sums, deltas)
    return deltas


def _through_normal(deltas: Tensor, normal: Normal) -> Tensor:
    """The loss's gradient by a layer's sums, given that by its normalised values."""
    along = normal.values * (deltas * normal.values).mean(-1, keepdim=True)
    return normal.scale * (deltas - deltas.mean(-1, keepdim=True) - along)


def _padded(count: int) -> int:
    return math.ceil(count / ALIGNMENT) * ALIGNMENT
