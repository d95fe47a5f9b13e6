"""How many weights of each layer live; by default as Mocanu et al. 2018 (arXiv 1707.04780) have it, Erdos-Renyi.

There the density of a layer is epsilon * (inputs + outputs) / (inputs * outputs), with one epsilon for all layers of a
model, chosen so that the model as a whole has the asked sparsity. A layer whose density would exceed 1 becomes dense
and epsilon is solved again over the others. Biases are dense and never counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rlx2_ray.types import BadInput

Shape = tuple[int, int]  # (outputs, inputs)


def active_counts(shapes: Sequence[Shape], sparsity: float, key: str) -> list[int]:
    """Exact number of active weights of each layer of one model.

    Args:
        shapes: (outputs, inputs) of every layer.
        sparsity: fraction of zeros over all layers, in [0, 1).
        key: the configuration key of `sparsity`, for the error text.

    Raises:
        BadInput: a layer would have no weight left.
    """
    total = sum(outputs * inputs for outputs, inputs in shapes)
    counts = [
        round(density * outputs * inputs)
        for density, (outputs, inputs) in zip(layer_densities(shapes, (1 - sparsity) * total), shapes, strict=True)
    ]
    for index, count in enumerate(counts):
        if count == 0:
            outputs, inputs = shapes[index]
            raise BadInput(
                f"{key} is {sparsity}, which leaves no weight in layer {index + 1} ({outputs} x {inputs}): lower it."
            )
    return counts


def whole_fan_ins(shapes: Sequence[Shape], counts: Sequence[int]) -> list[int]:
    """Active weights where all units of a layer have as many, one at least: those nearest to the given counts."""
    return [outputs * max(1, round(count / outputs)) for (outputs, _), count in zip(shapes, counts, strict=True)]


def layer_densities(shapes: Sequence[Shape], budget: float) -> list[float]:
    """Densities in [0, 1] whose weights add up to `budget` (a real number, at most all weights)."""
    densities = [1.0] * len(shapes)
    open_layers = list(range(len(shapes)))
    while open_layers:
        epsilon = budget / sum(sum(shapes[index]) for index in open_layers)
        raw = {index: epsilon * sum(shapes[index]) / _size(shapes[index]) for index in open_layers}
        full = [index for index in open_layers if raw[index] >= 1]
        if not full:
            for index in open_layers:
                densities[index] = raw[index]
            break
        budget -= sum(_size(shapes[index]) for index in full)
        open_layers = [index for index in open_layers if index not in full]
    return densities


def epsilon_counts(shapes: Sequence[Shape], epsilons: Sequence[float]) -> list[int]:
    """Active weights where each hidden layer has an epsilon of its own, and the output layer is dense.

    Source: Sokar et al. 2022 (arXiv 2106.04217), which draws each weight with the probability
    epsilon * (inputs + outputs) / (inputs * outputs), at most 1; here their number is exactly what it is on average.

    Args:
        shapes: (outputs, inputs) of every layer of one network or of several equal ones, one after the other.
        epsilons: one for each hidden layer of a network.
    """
    depth = len(epsilons) + 1
    return [
        _size(shape)
        if index % depth == depth - 1
        else max(1, min(_size(shape), round(epsilons[index % depth] * sum(shape))))
        for index, shape in enumerate(shapes)
    ]


def group_counts(shapes: Sequence[Shape], group: tuple[int, int]) -> list[int]:
    """Active weights where N of every M inputs of a unit live; of a last group that is shorter, as large a part."""
    return [outputs * sum(group_sizes(inputs, group)) for outputs, inputs in shapes]


def group_sizes(inputs: int, group: tuple[int, int]) -> list[int]:
    """How many weights live in each group of M inputs of one unit, group = (N, M).

    A last group of fewer than M inputs has N / M of them, rounded up, so that no unit is without weights.
    """
    lives, size = group
    sizes = [lives] * (inputs // size)
    rest = inputs % size
    return [*sizes, math.ceil(lives * rest / size)] if rest else sizes


def _size(shape: Shape) -> int:
    return shape[0] * shape[1]
