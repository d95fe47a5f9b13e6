"""The twin critics of every slot and their regression to targets: what TD3 and SAC share."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rlx2_ray.agents.population.stack import Networks, Passed, backward, forward
from rlx2_ray.agents.population.trained import TrainedStack
from rlx2_ray.agents.population.windows import Windows


class Values(NamedTuple):
    passed: Passed  # S = 2P
    q: Tensor  # (P, 2, B)


def q_values(critics: Networks, observations: Tensor, actions: Tensor) -> Values:
    """Q(s, a) of both critics of each slot, of observations (P, B, O) and actions (P, B, A)."""
    inputs = torch.cat([observations, actions], -1)
    both = inputs.unsqueeze(1).expand(-1, 2, -1, -1).flatten(0, 1)
    passed = forward(critics, both)
    return Values(passed, passed.outputs.view(-1, 2, inputs.shape[1]))


def pair_value(q: Tensor, blend: Tensor) -> Tensor:
    """(P, B): of the values of both (P, 2, B) the minimum, or `blend` (P,) of the way from there to their mean."""
    low, high = q.aminmax(dim=1)
    return low + blend.view(-1, 1) / 2 * (high - low)


def regress(critics: TrainedStack, windows: Windows, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Write the gradient of sum_i mean (Q_i - y)^2, y being `targets` (P, B).

    Returns this loss and the mean of Q_1, (P,) each.
    """
    passed, q = q_values(critics.all, windows.observations, windows.actions)
    errors = q - targets.unsqueeze(1)
    deltas = (errors * (2 / errors.shape[-1])).flatten(0, 1).unsqueeze(-1)
    backward(critics.all, passed, deltas, critics.gradients, to_inputs=False)
    return errors.square().mean(-1).sum(1), q[:, 0].mean(-1)
