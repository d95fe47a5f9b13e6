"""A replay batch as torch tensors on the learner's device."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rlx2_ray.types import Batch


class TensorBatch(NamedTuple):
    """The fields of `types.Batch` with the windows as first axis, as torch's layers want them."""

    observations: Tensor  # (B, observation_size)
    actions: Tensor  # (B, action_size)
    rewards: Tensor  # (B, n)
    next_observations: Tensor  # (B, K, observation_size)
    lengths: Tensor  # (B,)
    terminated: Tensor  # (B,)


def to_tensors(batch: Batch, device: str) -> TensorBatch:
    """The batch on a device; what is turned round there is a view."""
    return TensorBatch(*(torch.from_numpy(array).to(device).movedim(-1, 0) for array in batch))
