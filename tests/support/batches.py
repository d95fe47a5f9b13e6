"""Batches turned round, for tests that look at one window after the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlx2_ray.types import Batch


def by_window(batch: Batch) -> Batch:
    """The same batch with the windows as first axis; views."""
    arrays: list[Any] = [np.moveaxis(array, -1, 0) for array in batch]
    return Batch(*arrays)


def side_by_side(batch: Batch) -> Batch:
    """The inverse of `by_window`, in the memory layout of a batch."""
    arrays: list[Any] = [np.ascontiguousarray(np.moveaxis(array, 0, -1)) for array in batch]
    return Batch(*arrays)
