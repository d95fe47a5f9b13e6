"""One value for each group of a layer's weights, in torch: `agents/sparse/shared_values.py` says what for."""

from __future__ import annotations

import torch
from torch import Tensor

from rlx2_ray.sparse.circulant import group_numbers, members_of
from rlx2_ray.sparse.densities import Shape


class SharedValues:
    """Tensors are of the weights (outputs, inputs) or of the values (groups,)."""

    def __init__(self, shape: Shape, block: int, device: torch.device) -> None:
        numbers = group_numbers(shape, block)
        self._numbers = torch.from_numpy(numbers).to(device)
        self._members = torch.from_numpy(members_of(numbers)).to(device)

    def gather(self, weights: Tensor) -> Tensor:
        """Returns the values of weights that are equal in every group."""
        return weights.ravel()[self._members[:, 0]]

    def spread(self, values: Tensor) -> Tensor:
        """Returns the inverse of `gather`."""
        return values[self._numbers]

    def total(self, weights: Tensor) -> Tensor:
        """Returns the sum over each group, always in the same order."""
        return torch.cat([weights.ravel(), weights.new_zeros(1)])[self._members].sum(dim=1)
