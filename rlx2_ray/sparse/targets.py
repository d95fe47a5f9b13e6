"""A target network that keeps a structure of its own: as many weights as the online network, its own largest.

Source: Sokar et al. 2022 (arXiv 2106.04217), section 4: after a Polyak step a target has the weights of both
structures, of which the smallest go until there are as many as in the online network.
"""

from __future__ import annotations

import numpy as np

from rlx2_ray.sparse.masks import largest
from rlx2_ray.types import Bools, Floats


def polyak_pruned(target: Floats, online: Floats, tau: float, count: int) -> Floats:
    """Returns (1 - tau) * target + tau * online, its `count` largest alone; arrays of one shape, 0 where inactive."""
    mixed = target + np.float32(tau) * (online - target)
    return mixed if np.count_nonzero(mixed) <= count else np.where(_largest(mixed, count), mixed, np.float32(0))


def _largest(values: Floats, count: int) -> Bools:
    """As `masks.largest`, which it is several times as fast as where no values are equal at the border."""
    sizes = np.abs(values)
    border = np.partition(sizes, -count, axis=None)[-count]
    mask: Bools = sizes >= border
    return mask if np.count_nonzero(mask) == count else largest(values, count)
