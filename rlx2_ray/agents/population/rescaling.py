"""Weights of every slot rescaled over the active ones of their layer, and the way back of their gradient.

`networks/rescaling.py` says what that is and why; `agents/torch/rescaling.py` does it for one layer.

Shapes: S networks.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rlx2_ray.networks.rescaling import EPSILON


class _Statistics(NamedTuple):
    """Of a layer of each network, (S, 1, 1)."""

    active: Tensor  # how many weights are
    gain: Tensor
    mean: Tensor  # of the active ones
    factor: Tensor  # the gain over their deviation


def rescaled(raw: Tensor, mask: Tensor) -> Tensor:
    """Returns the rescaled weights (S, outputs, inputs), 0 where `mask` is False, as `raw` is."""
    found = _statistics(raw, mask)
    return (found.factor * (raw - found.mean)).masked_fill_(~mask, 0)


def raw_gradient(gradient: Tensor, raw: Tensor, mask: Tensor) -> Tensor:
    """Returns the gradient by the raw weights, of that by the rescaled ones; each 0 where `mask` is False."""
    active, gain, mean, factor = _statistics(raw, mask)
    weights = (factor * (raw - mean)).masked_fill_(~mask, 0)
    slope = _sum(gradient * weights) / (active * gain.square())
    turned = gradient - (_sum(gradient) / active).float() - slope.float() * weights
    return (factor * turned).masked_fill_(~mask, 0)


def _statistics(raw: Tensor, mask: Tensor) -> _Statistics:
    active = mask.sum((1, 2), keepdim=True).clamp_min(1).double()
    mean = _sum(raw) / active
    variance = (_sum(raw.square()) / active - mean.square()).clamp_min(0)
    gain = (active / mask.shape[1]).clamp_min(1).rsqrt()
    return _Statistics(active, gain, mean.float(), (gain / (variance + EPSILON).sqrt()).float())


def _sum(values: Tensor) -> Tensor:
    """Over each layer, (S, 1, 1), in double precision."""
    return torch.sum(values, (1, 2), keepdim=True, dtype=torch.float64)
