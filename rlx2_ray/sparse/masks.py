"""Which weights of a fresh layer are active."""

from __future__ import annotations

import numpy as np

from rlx2_ray.types import Bools, Floats


def largest(weights: Floats, count: int) -> Bools:
    """Mask (True = active) of the `count` largest |weights|; of equals, the first in row-major order."""
    return top_mask(np.abs(weights), count)


def uniform(shape: tuple[int, int], count: int, generator: np.random.Generator) -> Bools:
    """Mask of `count` weights drawn uniformly without replacement."""
    mask = np.zeros(shape[0] * shape[1], dtype=np.bool_)
    mask[generator.choice(mask.size, count, replace=False)] = True
    return mask.reshape(shape)


def top_mask(scores: Floats, count: int) -> Bools:
    """Mask of exactly `count` greatest scores. A stable sort makes ties a matter of position, not of chance."""
    order = np.argsort(-scores, axis=None, kind="stable")
    mask = np.zeros(scores.size, dtype=np.bool_)
    mask[order[:count]] = True
    return mask.reshape(scores.shape)
