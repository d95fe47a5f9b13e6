"""One change of a layer's structure: drop the weakest active weights, grow as many others. Scores in, structure out.

RigL and SET differ in the grow scores alone: the magnitude of the dense gradient (Evci et al. 2020, arXiv 1911.11134)
or chance (Mocanu et al. 2018, arXiv 1707.04780).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from rlx2_ray.sparse.masks import top_mask
from rlx2_ray.types import Bools, Floats


class TopologyUpdate(NamedTuple):
    """Masks of one layer, each of the layer's shape (outputs, inputs)."""

    mask: Bools  # active after the update
    grown: Bools  # newly active: the weight starts at 0, with zero optimizer moments
    dropped: Bools  # no longer active


def update_topology(weights: Floats, mask: Bools, grow_scores: Floats, drop_fraction: float) -> TopologyUpdate:
    """Replace floor(drop_fraction * active) weights; the number of active weights never changes.

    The active weights of least |weight| are dropped. The greatest `grow_scores` among everything not kept are grown,
    so a weight may be dropped and grown in the same update: it then stays as it was and appears in neither list.

    Args:
        weights: (outputs, inputs), zero where inactive.
        mask: (outputs, inputs), True where active.
        grow_scores: (outputs, inputs), non-negative; greater is grown first. Read outside the kept weights only.
        drop_fraction: in [0, 1].
    """
    active = int(mask.sum())
    count = math.floor(drop_fraction * active)
    keep = top_mask(np.where(mask, np.abs(weights), np.float32(-np.inf)), active - count)
    grow = top_mask(np.where(keep, np.float32(-np.inf), grow_scores), count)
    new_mask = keep | grow
    return TopologyUpdate(new_mask, grown=new_mask & ~mask, dropped=mask & ~new_mask)
