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
from rlx2_ray.sparse.circulant import group_numbers


class Groups:
    def __init__(self, row: Row, block: int, device: str) -> None:
        """Those of networks whose weights share values in blocks of that size (`sparse/circulant.py`)."""
        numbers = np.arange(row.size)  # biases, and what is between layers, are by themselves
        for start, (outputs, inputs) in zip(row.starts, row.shapes, strict=True):
            of_layer = group_numbers((outputs, inputs), block).ravel()
            places = np.arange(start, start + outputs * inputs)
            firsts = np.full(of_layer.max() + 1, row.size)
            np.minimum.at(firsts, of_layer, places)
            numbers[places] = firsts[of_layer]
        self._first = torch.from_numpy(numbers).to(device)  # the first of its group, of each place
        order = np.argsort(numbers, kind="stable")
        firsts, begins, sizes = np.unique(numbers[order], return_index=True, return_counts=True)
        members = np.full((len(firsts), sizes.max()), row.size)  # places of each group, then one past the last
        members[np.repeat(np.arange(len(firsts)), sizes), np.arange(row.size) - np.repeat(begins, sizes)] = order
        self._members = torch.from_numpy(members).to(device)
        self._number = torch.from_numpy(np.searchsorted(firsts, numbers)).to(device)

    def spread_sums(self, rows: Tensor) -> Tensor:
        """Returns (R, n): in each place the sum over its group, always in the same order."""
        padded = torch.cat([rows, rows.new_zeros(len(rows), 1)], 1)
        return padded[:, self._members].sum(-1)[:, self._number]

    def made_equal(self, rows: Tensor) -> Tensor:
        """Returns (R, n): in each place what the first of its group has."""
        return rows[:, self._first]
