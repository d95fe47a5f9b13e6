"""Adam of all slots, with a number of steps for each.

Adam (Kingma & Ba 2015, arXiv 1412.6980, algorithm 1), as `torch.optim.Adam` computes it:

    m <- m + (1 - beta_1) (g - m)        v <- beta_2 v + (1 - beta_2) g^2
    w <- w - lr / (1 - beta_1^t) * m / (sqrt(v) / sqrt(1 - beta_2^t) + epsilon)

where t is a slot's own number of steps. What depends on t or on a member comes as numbers of each slot (`Rates`),
worked out on the host in double precision, where the counters are; for a slot that is not to step they are such that
nothing changes. So which slots step is data, and never a shape or a branch.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor

EPSILON: Final = 1e-8


class Rates(NamedTuple):
    """What Adam does in each slot, (P,) each, or of each parameter."""

    first: Tensor  # 1 - beta_1
    second: Tensor  # 1 - beta_2
    step: Tensor  # lr / (1 - beta_1^t)
    root: Tensor  # 1 / sqrt(1 - beta_2^t)
    steps: Tensor  # t
    learning_rate: Tensor


Numbers = tuple[float, float, float, float, float, float]  # of one slot
RESTING: Final[Numbers] = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0)  # rates of a slot that does not step


def rates_at(step: int, learning_rate: float, betas: tuple[float, float]) -> Numbers:
    """Those of the `step`-th step, from 1."""
    first, second = betas
    return 1 - first, 1 - second, learning_rate / (1 - first**step), (1 - second**step) ** -0.5, step, learning_rate


def adam_step(parameters: Tensor, gradient: Tensor, first: Tensor, second: Tensor, rates: Rates) -> None:
    """One step of all slots, in place; arrays (P, ...). The gradient is used up."""
    ones = (1,) * (parameters.dim() - 1)
    one, other, step, root = (rate.view(-1, *ones) if rate.dim() == 1 else rate for rate in rates[:4])
    first.lerp_(gradient, one.expand_as(first))
    second.mul_(1 - other).addcmul_(gradient, gradient * other)
    torch.sqrt(second, out=gradient)
    gradient.mul_(root).add_(EPSILON)
    parameters.sub_(step * first / gradient)
