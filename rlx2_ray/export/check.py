"""Does a written file act as the trainer's policy does? Asked before the file is put in place."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rlx2_ray.envs.actions import are_far, half_ranges, largest_bounds
from rlx2_ray.networks.policy import DenseLayer, DenseNetwork, Network, NoiseFreePolicy
from rlx2_ray.networks.policy_reader import CLIP, Normalization
from rlx2_ray.types import Floats, RunFailed, Spaces

OBSERVATIONS = 1000
TOLERANCE = 1e-5  # in units of the action's bounds
ROUNDING = 4  # times the trainer's own, which is above the tolerance where weights are great


class Check(NamedTuple):
    by: str  # what ran the file
    observations: int
    max_difference: float  # from the actions of the policy that the file holds, in units of the action's bounds
    max_difference_from_trained: float  # the same, from the actions of the policy that was trained


def random_observations(size: int, count: int = OBSERVATIONS, normalization: Normalization | None = None) -> Floats:
    """Standard normal once they are normalised, but for those that are clipped: every tenth is far out."""
    drawn = np.random.default_rng(0).standard_normal((count, size), dtype=np.float32)
    if normalization is None:
        return drawn
    drawn[::10] *= 2 * np.float32(CLIP)
    return drawn / normalization.scale + normalization.mean


def resolution(spaces: Spaces) -> Floats:
    """How far a file's float32, or its whole number, may be from an action; in units of the action's bounds."""
    half = half_ranges(spaces)
    steps = np.where(are_far(spaces), np.spacing(largest_bounds(spaces).astype(np.float32)), 0.0)
    steps += 0.5 * spaces.action_is_integer
    # Between equal bounds there is one action, whatever the policy says.
    return np.where(half == 0, 2.0, steps / np.where(half == 0, 1.0, half))


def check(
    written: NoiseFreePolicy,
    held: Network,
    by: str,
    observations: Floats,
    unresolved: Floats | float = 0.0,
    trained: DenseNetwork | None = None,
    normalization: Normalization | None = None,
) -> Check:
    """Compares an exported policy with its own. Raises RunFailed where they differ, which should never happen.

    `held`: the policy that the file is to hold; `unresolved`: see `resolution`; `trained`: the policy that was trained,
    where the file holds another, as a rounded one; `normalization`: what stands before both.
    """
    actions = written.action(observations)
    size = actions.shape[1]
    observations = observations if normalization is None else normalization.apply(observations)

    def difference_from(network: Network) -> float:
        expected = network.outputs(observations, size)[:, :size]
        return float(np.maximum(np.abs(actions - expected) - unresolved, 0).max())

    difference, allowed = difference_from(held), TOLERANCE
    if isinstance(held, DenseNetwork):  # integers have no rounding of their own
        expected = held.outputs(observations, size)[:, :size]
        allowed = max(allowed, ROUNDING * float(np.abs(expected - _exact(held, observations)[:, :size]).max()))
    if not difference <= allowed:
        raise RunFailed(
            f"The export, run by {by}, differs from the policy by {difference:.2g} of the action's bounds, where "
            f"{allowed:.2g} is allowed: nothing was written; please report it."
        )
    return Check(by, len(observations), difference, difference if trained is None else difference_from(trained))


def _exact(network: DenseNetwork, observations: Floats) -> Floats:
    """In float64, tanh of all outputs."""
    layers = [DenseLayer(weights.astype(np.float64), bias.astype(np.float64)) for weights, bias, _ in network.layers]
    return DenseNetwork(layers).outputs(observations.astype(np.float64), network.output_size)
