"""Weights rescaled over the active ones of their layer, and the way back of their gradient, in torch.

`networks/rescaling.py` says what that is and why.
"""

from __future__ import annotations

from torch import Tensor

from rlx2_ray.networks.rescaling import EPSILON, gain_of


def rescaled(raw: Tensor, mask: Tensor) -> Tensor:
    """Returns the rescaled weights (outputs, inputs), 0 where `mask` is False, as `raw` is."""
    mean, factor = _statistics(raw, mask)
    return (factor * (raw - mean)).masked_fill_(~mask, 0)


def raw_gradient(gradient: Tensor, raw: Tensor, mask: Tensor) -> Tensor:
    """Returns the gradient by the raw weights, of that by the rescaled ones; each 0 where `mask` is False."""
    mean, factor = _statistics(raw, mask)
    active, weights = mask.sum(), factor * (raw - mean)
    gain = gain_of(int(active), len(mask))
    slope = (gradient.double() * weights.double()).sum() / (active * gain**2)
    turned = gradient - (gradient.double().sum() / active).float() - slope.float() * weights
    return (factor * turned).masked_fill_(~mask, 0)


def _statistics(raw: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of the active weights, and the gain over their deviation."""
    active, values = mask.sum(), raw.double()
    mean = values.sum() / active
    deviation = ((values.square().sum() / active - mean.square()).clamp_min(0) + EPSILON).sqrt()
    return mean.float(), (gain_of(int(active), len(mask)) / deviation).float()
