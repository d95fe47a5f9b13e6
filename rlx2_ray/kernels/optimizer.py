"""Adam and Polyak averaging over a model's flat parameters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.kernels.compiled import entry_point
from rlx2_ray.types import Floats

EPSILON = np.float32(1e-8)  # torch's default, which every code of TD3 and SAC uses


class Moments(NamedTuple):
    """Running means of the gradient and of its square, (slots,) each."""

    first: Floats
    second: Floats


@entry_point
def adam_step(
    parameters: Floats,
    gradient: Floats,
    moments: Moments,
    steps: int,
    learning_rate: float,
    weight_decay: float,
    beta_1: float,
    beta_2: float,
) -> None:
    """Step number `steps` (from 1) of Adam (Kingma & Ba 2015, arXiv 1412.6980, algorithm 1); zeroes the gradient.

    `weight_decay` times the parameter is added to its gradient, as an L2 penalty of half of it would.
    Written as torch writes it: the second moment's correction divides its root, epsilon is added after.
    """
    decay = np.float32(weight_decay)
    rate = np.float32(learning_rate / (1 - beta_1**steps))
    root = np.float32(1 / np.sqrt(1 - beta_2**steps))
    new_1, new_2, old_2 = np.float32(1 - beta_1), np.float32(1 - beta_2), np.float32(beta_2)
    first_moment, second_moment = moments.first, moments.second
    for slot in range(parameters.size):
        slope = gradient[slot] + decay * parameters[slot]
        first_moment[slot] += new_1 * (slope - first_moment[slot])
        second_moment[slot] = old_2 * second_moment[slot] + new_2 * (slope * slope)
        parameters[slot] -= rate * first_moment[slot] / (np.sqrt(second_moment[slot]) * root + EPSILON)
        gradient[slot] = np.float32(0)


class Corrections(NamedTuple):
    """What corrects the bias of a slot's moments, by its cohort: the slots that began at the same step."""

    cohorts: NDArray[np.int32]  # (slots,)
    rates: Floats  # (cohorts,), the learning rate over the first moment's correction
    roots: Floats  # (cohorts,), 1 over the root of the second moment's


@entry_point
def adam_step_of_cohorts(
    parameters: Floats,
    gradient: Floats,
    moments: Moments,
    corrections: Corrections,
    weight_decay: float,
    beta_1: float,
    beta_2: float,
) -> None:
    """`adam_step` with a number of steps for every slot, which `corrections` are made of."""
    decay = np.float32(weight_decay)
    new_1, new_2, old_2 = np.float32(1 - beta_1), np.float32(1 - beta_2), np.float32(beta_2)
    first_moment, second_moment = moments.first, moments.second
    cohorts, rates, roots = corrections.cohorts, corrections.rates, corrections.roots
    for slot in range(parameters.size):
        rate, root = rates[cohorts[slot]], roots[cohorts[slot]]
        slope = gradient[slot] + decay * parameters[slot]
        first_moment[slot] += new_1 * (slope - first_moment[slot])
        second_moment[slot] = old_2 * second_moment[slot] + new_2 * (slope * slope)
        parameters[slot] -= rate * first_moment[slot] / (np.sqrt(second_moment[slot]) * root + EPSILON)
        gradient[slot] = np.float32(0)


@entry_point
def polyak_update(target: Floats, online: Floats, tau: float) -> None:
    """target <- (1 - tau) * target + tau * online, over parameters of one structure."""
    fraction = np.float32(tau)
    for slot in range(target.size):
        target[slot] += fraction * (online[slot] - target[slot])
