"""The networks among which a search looks: levels from dense to sparse, log-spaced in density."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rlx2_ray.search.decision import Pair

Axis = Literal["policy", "critic", "tied"]

LINE_LEVELS, PLANE_LEVELS = 16, 9


def sparsities(count: int, densest: float, sparsest: float) -> tuple[float, ...]:
    """Returns (count,) ascending sparsities, rounded to four digits so that names made of them are exact."""
    return tuple(round(1 - float(density), 4) for density in np.geomspace(1 - densest, 1 - sparsest, count))


def line(axis: Axis, levels: tuple[float, ...], tied_ratio: float) -> tuple[Pair, ...]:
    """Returns the (policy, critic) sparsities of a 1-D search.

    Args:
        axis: what is made sparse; what is not stays dense.
        levels: sparsities of the policy, or of the critic for axis "critic".
        tied_ratio: of the critic's density to the policy's for axis "tied", at most up to dense.
    """
    if axis == "policy":
        return tuple((level, 0.0) for level in levels)
    if axis == "critic":
        return tuple((0.0, level) for level in levels)
    return tuple((level, round(1 - min(1.0, tied_ratio * (1 - level)), 4)) for level in levels)
