"""The networks among which a search looks: levels from dense to sparse, log-spaced in density."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rlx2_ray.search.decision import Pair
from rlx2_ray.types import BadInput

Axis = Literal["policy", "critic", "tied"]

DENSEST, SPARSEST = 0.5, 0.995  # sparsities
LINE_LEVELS, PLANE_LEVELS = 16, 9
TIED_RATIO = 2.5  # critic density over policy density: Hopper's 98 % and 95 %


def sparsities(count: int = LINE_LEVELS, densest: float = DENSEST, sparsest: float = SPARSEST) -> tuple[float, ...]:
    """(count,) ascending, rounded to four digits so that names made of them are exact."""
    if count < 3 or not 0 <= densest < sparsest < 1:
        raise BadInput(
            f"compress levels: {count} from sparsity {densest} to {sparsest} are no grid; "
            "give at least 3 between two growing sparsities in [0, 1)"
        )
    levels = tuple(round(1 - float(density), 4) for density in np.geomspace(1 - densest, 1 - sparsest, count))
    if len(set(levels)) < count:
        raise BadInput(f"compress levels: {count} from sparsity {densest} to {sparsest} are too close; give fewer")
    return levels


def line(axis: Axis, levels: tuple[float, ...], tied_ratio: float = TIED_RATIO) -> tuple[Pair, ...]:
    """The (policy, critic) sparsities of a 1-D search: one of them dense, or the critic's density tied to the policy's.

    `levels` are policy sparsities, or the critic's for axis "critic".
    """
    if axis == "policy":
        return tuple((level, 0.0) for level in levels)
    if axis == "critic":
        return tuple((0.0, level) for level in levels)
    if not tied_ratio > 0:
        raise BadInput(f"compress tied_ratio {tied_ratio} is no ratio of densities; give one above 0")
    return tuple((level, round(1 - min(1.0, tied_ratio * (1 - level)), 4)) for level in levels)
