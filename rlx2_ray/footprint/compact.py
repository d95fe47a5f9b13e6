"""A finished policy without what its actions do not depend on: fewer units, and the same function of the observation.

A sparse network leaves hidden units that nothing reads, units that read nothing and so are constants, and active
weights that are exactly zero. A trainer needs them, since the topology may still change; a finished policy does not.
Of a network whose weights share values along the diagonals of blocks, units go as whole blocks, so that the others keep
their places in theirs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlx2_ray.networks.policy import DenseLayer
from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.sparse.circulant import diagonals_of, is_circulant
from rlx2_ray.types import Bools, Floats

BLOCKS = (2, 4, 8, 16)  # that a network is looked at for, those that C has a form for


def compact(layers: Layers, outputs: int, blocks: Sequence[int] = BLOCKS) -> list[DenseLayer]:
    """Returns layers with the first `outputs` outputs of `layers`, equal but for rounding, with zeros where inactive.

    Every hidden layer keeps at least one unit, or block of them, for an array of length 0 is no valid C. Of `blocks`
    the sizes are tried in which the network shares its values, and of all results that of the fewest numbers is
    returned: a unit that is read keeps its whole block, which may cost more than is shared.
    """
    weights = [layer.scatter() for layer in layers]
    weights[-1] = weights[-1][:outputs]
    biases = [layer.bias for layer in layers[:-1]] + [layers[-1].bias[:outputs]]
    found = [_by_blocks(weights, biases, block) for block in (1, *blocks) if _shares(weights, block)]
    return min(found, key=_numbers)


def _shares(weights: list[Floats], block: int) -> bool:
    return all(is_circulant(each, block) for each in weights)


def _numbers(network: list[DenseLayer]) -> int:
    """Of weights that are stored, and of units."""
    return sum(int(np.count_nonzero(diagonals_of(layer.weights, layer.block))) + len(layer.bias) for layer in network)


def _by_blocks(all_weights: list[Floats], all_biases: list[Floats], block: int) -> list[DenseLayer]:
    weights, biases = [each.copy() for each in all_weights], [each.copy() for each in all_biases]
    _fold_constants(weights, biases, block)
    _drop_unread(weights, biases, block)
    return [DenseLayer(*layer, block) for layer in zip(weights, biases, strict=True)]


def _in_all_of_block(units: Bools, block: int) -> Bools:
    """Of each unit whether it is so of all units of its block."""
    return np.repeat(np.logical_and.reduceat(units, np.arange(0, len(units), block)), block)[: len(units)]


def _fold_constants(weights: list[Floats], biases: list[Floats], block: int) -> None:
    """Forwards, since a unit that read only constants becomes one."""
    for layer in range(len(weights) - 1):
        constant = _in_all_of_block(np.count_nonzero(weights[layer], axis=1) == 0, block)
        values = np.maximum(biases[layer][constant], 0)
        biases[layer + 1] += weights[layer + 1][:, constant] @ values
        weights[layer + 1][:, constant] = 0


def _drop_unread(weights: list[Floats], biases: list[Floats], block: int) -> None:
    """Backwards, since a unit that only such units read becomes one."""
    for layer in reversed(range(len(weights) - 1)):
        is_read = ~_in_all_of_block(np.count_nonzero(weights[layer + 1], axis=0) == 0, block)
        is_read[:block] |= not is_read.any()
        weights[layer + 1] = np.ascontiguousarray(weights[layer + 1][:, is_read])
        weights[layer], biases[layer] = weights[layer][is_read], biases[layer][is_read]
