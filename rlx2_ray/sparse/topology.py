"""One change of a layer's structure: drop the weakest active weights, grow as many others. Scores in, structure out.

RigL and SET differ in the grow scores alone: the magnitude of the dense gradient (Evci et al. 2020, arXiv 1911.11134)
or chance (Mocanu et al. 2018, arXiv 1707.04780).
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from rlx2_ray.sparse.masks import top_mask, top_of_units
from rlx2_ray.types import Bools, Floats


def update_topology(
    weights: Floats,
    mask: Bools,
    grow_scores: Floats,
    drop_fraction: float,
    drop: Literal["magnitude", "signed"] = "magnitude",
) -> Bools:
    """The mask after a fraction of the active weights was replaced; their number never changes.

    The greatest `grow_scores` among everything not kept are grown, so a weight may be dropped and grown in the same
    update: it then stays as it was. One that is newly active is to start at 0, with zero optimizer moments.

    Args:
        weights: (outputs, inputs), zero where inactive.
        mask: (outputs, inputs), True where active.
        grow_scores: (outputs, inputs), non-negative; greater is grown first. Read outside the kept weights only.
        drop_fraction: in [0, 1].
        drop: by which of `DROPS` the weights that go are chosen.
    """
    keep = mask & ~DROPS[drop](weights, mask, drop_fraction)
    count = int(mask.sum()) - int(keep.sum())
    grow = top_mask(np.where(keep, np.float32(-np.inf), grow_scores), count)
    return keep | grow


def update_of_units(
    weights: Floats,
    mask: Bools,
    grow_scores: Floats,
    drop_fraction: float,
    drop: Literal["magnitude", "signed"] = "magnitude",
) -> Bools:
    """The same where every unit keeps its number of weights, as SRigL has it (Lasby et al. 2024, arXiv 2305.02299).

    Which weights go is decided among all of the layer, so units of small weights change more; what a unit has lost it
    grows again itself, by the greatest `grow_scores` among its weights that were not kept. SRigL's ablation of units is
    no part of it.
    """
    keep = mask & ~DROPS[drop](weights, mask, drop_fraction)
    lost = mask.sum(axis=1) - keep.sum(axis=1)
    return keep | top_of_units(np.where(keep, np.float32(-np.inf), grow_scores), lost)


def drop_smallest(weights: Floats, mask: Bools, fraction: float) -> Bools:
    """Mask of the floor(fraction * active) active weights of least |weight|."""
    active = int(mask.sum())
    keep = top_mask(np.where(mask, np.abs(weights), np.float32(-np.inf)), active - math.floor(fraction * active))
    return mask & ~keep


def drop_by_sign(weights: Floats, mask: Bools, fraction: float) -> Bools:
    """Mask of that fraction of the positive weights, the smallest, and of the negative, the largest; 0 is positive.

    Source: Mocanu et al. 2018 (arXiv 1707.04780), as Sokar et al. 2022 (arXiv 2106.04217) use it.
    """
    is_negative = weights < 0
    positive = drop_smallest(weights, mask & ~is_negative, fraction)
    return positive | drop_smallest(weights, mask & is_negative, fraction)


DROPS = {"magnitude": drop_smallest, "signed": drop_by_sign}
