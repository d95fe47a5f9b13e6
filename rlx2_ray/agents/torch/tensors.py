"""A replay batch as torch tensors on the learner's device."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rlx2_ray.types import Batch


class TensorBatch(NamedTuple):
    """The fields and shapes of `types.Batch`."""

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    next_observations: Tensor
    lengths: Tensor
    terminated: Tensor


def to_tensors(batch: Batch, device: str) -> TensorBatch:
    return TensorBatch(*(torch.from_numpy(array).to(device) for array in batch))
