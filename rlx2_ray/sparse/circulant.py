"""Which weights of a layer share one value: those on a diagonal of a block, so that every block is circulant.

After the weight grouping of GST (Lee et al. 2021, arXiv 2101.09650), whose text was not to be had in full. As it is
read here, a layer's matrix (outputs, inputs) is cut into blocks of `block` times `block` from its first weight on; of a
whole block row i + 1 is row i moved one place to the right, what falls out comes in at the left. Blocks at the edge are
what there is of such a block, so their groups have fewer weights: in a layer of one output every weight is its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.sparse.densities import Shape
from rlx2_ray.types import Bools, Floats

Groups = NDArray[np.int64]


def diagonals_shape(shape: Shape, block: int) -> Shape:
    """Of an array with a place for each diagonal: (block rows, inputs in whole blocks)."""
    return -(-shape[0] // block), -(-shape[1] // block) * block


def diagonal_places(shape: Shape, block: int) -> Groups:
    """Returns (outputs, inputs), where in that array, flat, the diagonal of each weight is.

    In its block row a diagonal stands in the column of its weight in the block's first row, whether that is there or
    not.
    """
    rows, columns = np.indices(shape, sparse=True)
    of_first = columns // block * block + (columns - rows) % block
    places: Groups = rows // block * diagonals_shape(shape, block)[1] + of_first
    return places


def diagonals_of(weights: NDArray[Any], block: int) -> NDArray[Any]:
    """Returns the value of each diagonal, of weights that are equal on it, and 0 where no weight is."""
    values = np.zeros(diagonals_shape(weights.shape, block), weights.dtype)
    values.ravel()[diagonal_places(weights.shape, block)] = weights
    return values


def along_diagonals(values: NDArray[Any], shape: Shape, block: int) -> NDArray[Any]:
    """Returns (outputs, inputs), of the values that `diagonals_of` gives."""
    weights: NDArray[Any] = values.ravel()[diagonal_places(shape, block)]
    return weights


def is_circulant(weights: NDArray[Any], block: int) -> bool:
    """Whether all weights of each diagonal are equal."""
    return np.array_equal(along_diagonals(diagonals_of(weights, block), weights.shape, block), weights)


def group_numbers(shape: Shape, block: int) -> Groups:
    """Returns (outputs, inputs), the group of each weight, from 0 on without a gap."""
    numbers: Groups = np.unique(diagonal_places(shape, block), return_inverse=True)[1].reshape(shape)
    return numbers


def members_of(numbers: Groups) -> Groups:
    """Returns (groups, most), the flat places of each group's members, then one past the last place of all."""
    flat = numbers.ravel()
    order = np.argsort(flat, kind="stable")  # group after group
    sizes = np.bincount(flat)
    members = np.full((len(sizes), sizes.max()), flat.size)
    members[flat[order], np.arange(flat.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)] = order
    return members


def group_count(shape: Shape, block: int) -> int:
    """How many groups a layer has: of a block of a times c, of a + c - 1 diagonals, `block` at most."""
    return sum(
        number * other * min(block, rows + columns - 1)
        for rows, number in _pieces(shape[0], block)
        for columns, other in _pieces(shape[1], block)
    )


def _pieces(size: int, block: int) -> list[tuple[int, int]]:
    """Into what lengths a side is cut: (length, how many)."""
    return [each for each in ((block, size // block), (size % block, 1)) if each[0] * each[1]]


def count_groups(indices: NDArray[np.int32], shape: Shape, block: int) -> int:
    """How many groups the weights at these places have."""
    return len(np.unique(group_numbers(shape, block).ravel()[indices]))


def shared(weights: Floats, block: int) -> Floats:
    """Returns (outputs, inputs), each group with the value of its first weight."""
    numbers = group_numbers(weights.shape, block)
    first = np.unique(numbers, return_index=True)[1]
    return weights.ravel()[first][numbers]


def largest_groups(weights: Floats, mask: Bools, count: int, block: int) -> Bools:
    """Mask of the groups of greatest |value| in `mask`, as few as have `count` weights or more; of equals the first.

    Args:
        weights: (outputs, inputs), of which those of a group are equal.
        mask: (outputs, inputs), of which those of a group are equal.
        count: of weights, at most as many as `mask` has.
    """
    numbers = group_numbers(weights.shape, block)
    _, first, sizes = np.unique(numbers, return_index=True, return_counts=True)
    scores = np.where(mask, np.abs(weights), np.float32(-np.inf)).ravel()[first]
    order = np.argsort(-scores, kind="stable")
    before = np.cumsum(sizes[order]) - sizes[order]
    stays = np.zeros(len(first), np.bool_)
    stays[order] = before < count
    kept: Bools = stays[numbers] & mask
    return kept


def has_broken_groups(indices: NDArray[np.int32], values: list[Floats], shape: Shape, block: int) -> bool:
    """Whether weights of a group live without the others, or differ in one of `values` (active,)."""
    numbers = group_numbers(shape, block).ravel()
    sizes, active = np.bincount(numbers), numbers[indices]
    if not np.array_equal(np.bincount(active, minlength=len(sizes))[active], sizes[active]):
        return True
    _, first, of_weight = np.unique(active, return_index=True, return_inverse=True)
    return not all(np.array_equal(each, each[first][of_weight]) for each in values)
