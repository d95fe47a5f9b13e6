"""Which weights of a fresh layer are active."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.sparse.densities import group_sizes
from rlx2_ray.types import Bools, Floats


def largest(weights: Floats, count: int) -> Bools:
    """Mask (True = active) of the `count` largest |weights|; of equals, the first in row-major order."""
    return top_mask(np.abs(weights), count)


def largest_in_groups(weights: Floats, group: tuple[int, int]) -> Bools:
    """Mask of the N largest |weights| of every M neighbouring inputs of each unit, `group` = (N, M).

    Of equals the first. A shorter last group has what `densities.group_sizes` says.
    """
    size = group[1]
    mask = np.zeros(weights.shape, dtype=np.bool_)
    for number, lives in enumerate(group_sizes(weights.shape[1], group)):
        inputs = slice(number * size, (number + 1) * size)
        order = np.argsort(-np.abs(weights[:, inputs]), axis=1, kind="stable")[:, :lives]
        np.put_along_axis(mask[:, inputs], order, True, axis=1)
    return mask


def uniform(shape: tuple[int, int], count: int, generator: np.random.Generator) -> Bools:
    """Mask of `count` weights drawn uniformly without replacement."""
    mask = np.zeros(shape[0] * shape[1], dtype=np.bool_)
    mask[generator.choice(mask.size, count, replace=False)] = True
    return mask.reshape(shape)


def uniform_of_units(shape: tuple[int, int], count: int, generator: np.random.Generator) -> Bools:
    """Mask of as many weights of each unit, drawn uniformly without replacement; `count` of a unit."""
    return top_of_units(generator.random(shape, dtype=np.float32), np.full(shape[0], count))


def top_of_units(scores: Floats, counts: NDArray[np.int64]) -> Bools:
    """Mask of the greatest scores of each unit, `counts` (outputs,) of them; of equals the first."""
    order = np.argsort(-scores, axis=1, kind="stable")
    mask = np.zeros(scores.shape, dtype=np.bool_)
    np.put_along_axis(mask, order, np.arange(scores.shape[1]) < counts[:, None], axis=1)
    return mask


def top_mask(scores: Floats, count: int) -> Bools:
    """Mask of exactly `count` greatest scores. A stable sort makes ties a matter of position, not of chance."""
    order = np.argsort(-scores, axis=None, kind="stable")
    mask = np.zeros(scores.size, dtype=np.bool_)
    mask[order[:count]] = True
    return mask.reshape(scores.shape)
