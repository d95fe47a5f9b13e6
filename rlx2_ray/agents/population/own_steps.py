"""Adam with a number of steps for every weight, those since it has grown: `agents/torch/own_steps.py` for all slots.

Shapes: P slots, K networks of a slot, n parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rlx2_ray.agents.population.adam import Rates


def rates_of_weights(rates: Rates, births: Tensor) -> Rates:
    """Returns rates (P, K, n): those of its slot for every parameter that has not grown, or whose slot does not step.

    `births` (P, K, n): the steps that its slot had made when a weight grew, 0 for any other.
    """
    one, other, step, root, steps, learning_rate = (rate.view(-1, 1, 1) for rate in rates)
    ages = steps.double() - births
    has_own = (births > 0) & (ages > 0)
    ages = ages.clamp_min(1)
    own_step = (learning_rate / _sum_of_powers(one, ages)).float()
    own_root = _sum_of_powers(other, ages).rsqrt().float()
    return rates._replace(
        first=one, second=other, step=torch.where(has_own, own_step, step), root=torch.where(has_own, own_root, root)
    )


def _sum_of_powers(complement: Tensor, ages: Tensor) -> Tensor:
    """1 - beta^age, of 1 - beta."""
    return -torch.expm1(ages * torch.log1p(-complement.double()))
