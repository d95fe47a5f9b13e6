"""Weights of a slot that share values (method `group`): their gradient, summed over each group, and kept equal.

Every weight is stepped, with its group's gradient and with moments of its own, which comes to what one step of the
shared value is; `agents/torch/shared_values.py` steps that.

Shapes: R rows of parameters, n parameters of a row.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rlx2_ray.agents.population.stack import Row
from rlx2_ray.sparse.circulant import group_numbers, members_of


class Groups:
    def __init__(self, row: Row, block: int, device: str) -> None:
        """Those of networks whose weights share values in blocks of that size (`sparse/circulant.py`)."""
        owners = np.arange(row.size)  # the first of its group, of each place; biases are by themselves
        for start, (outputs, inputs) in zip(row.starts, row.shapes, strict=True):
            _, first, of_weight = np.unique(
                group_numbers((outputs, inputs), block), return_index=True, return_inverse=True
            )
            owners[start : start + outputs * inputs] = start + first[of_weight.ravel()]
        numbers = np.unique(owners, return_inverse=True)[1]
        self._owners, self._numbers, self._members = (
            torch.from_numpy(each).to(device) for each in (owners, numbers, members_of(numbers))
        )

    def spread_sums(self, rows: Tensor) -> Tensor:
        """Returns (R, n): in each place the sum over its group, always in the same order."""
        padded = torch.cat([rows, rows.new_zeros(len(rows), 1)], 1)
        return padded[:, self._members].sum(-1)[:, self._numbers]

    def made_equal(self, rows: Tensor) -> Tensor:
        """Returns (R, n): in each place what the first of its group has."""
        return rows[:, self._owners]
