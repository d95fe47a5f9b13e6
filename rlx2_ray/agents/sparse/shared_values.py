"""One value for each group of weights (`sparse/circulant.py`): what Adam steps, and keeps moments of.

The kernels compute with every weight, as they do without groups; gradients of a group are summed up, which is the
gradient by its value, and after a step each weight gets it. So groups are equal to the bit.
"""

from __future__ import annotations

import numpy as np

from rlx2_ray.networks.sparse_model import SparseModel
from rlx2_ray.sparse.circulant import group_numbers
from rlx2_ray.types import Floats


class SharedValues:
    """Of a model with this structure, whose biases have a value each.

    Arrays are of its slots (slots,) or of the values (values,).
    """

    def __init__(self, model: SparseModel, block: int) -> None:
        owners = np.arange(len(model.kernel.parameters))  # the slot that each one has its value of
        for slots, mask in zip(model.slots, model.masks, strict=True):
            groups = group_numbers(mask.shape, block)[mask]
            _, first, of_weight = np.unique(groups, return_index=True, return_inverse=True)
            owners[slots] = slots[first][of_weight]
        self._kept, self._of_slot = np.unique(owners, return_inverse=True)

    def gather(self, of_slots: Floats) -> Floats:
        """Returns the values of slots that are equal in every group."""
        return of_slots[self._kept]

    def spread(self, values: Floats) -> Floats:
        """Returns the inverse of `gather`."""
        return values[self._of_slot]

    def total(self, of_slots: Floats) -> Floats:
        """Returns the sum over each group."""
        return np.bincount(self._of_slot, of_slots, len(self._kept)).astype(np.float32)
