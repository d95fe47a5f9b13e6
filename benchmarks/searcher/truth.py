"""Simulated truth: what return networks of each sparsity really keep, and the noisy scores of their seeds.

The random policy scores 0 and the dense arm 1, so a score is a ratio. A curve is flat, then collapses: plateau x
logistic((middle - level) / width), in levels of log density, and its threshold is anywhere. Plateaus are mostly the
dense arm's return; one in five is close to the threshold of 0.97 and one in five above dense, as in RLx2's table.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.search.decision import Pair
from rlx2_ray.search.ledger import Request
from rlx2_ray.search.levels import LINE_LEVELS, PLANE_LEVELS, line, sparsities

THRESHOLD = 0.97
BAD = 0.94  # a pick that keeps less is a bad one
NOISES = (0.05, 0.09, 0.133, 0.24)  # standard deviation over seeds
FAILED = 0.05  # share of seeds that collapse, to anything from random to half of what they should score
WIDTHS = (0.2, 0.5, 1.0)  # of the collapse, in levels of the line
PLATEAUS = (0.985, 1.0, 1.0, 1.0, 1.03)

ENDS = (0.5, 0.995)  # sparsities
LINE = line("tied", sparsities(LINE_LEVELS, *ENDS), tied_ratio=2.5)
PLANE = sparsities(PLANE_LEVELS, *ENDS)
LEVELS_APART = 15 / (PLANE_LEVELS - 1)  # levels of the line between two of the plane

# Weights of Hopper's networks with 256 hidden units: the policy, and both critics.
POLICY_WEIGHTS, CRITIC_WEIGHTS = 256 * (11 + 256 + 3), 2 * 256 * (14 + 256 + 1)


class World(NamedTuple):
    """What each network's return is of the dense arm's, and how much seeds differ."""

    ratios: dict[Pair, float]  # R, the dense arm's not among them
    noise: float

    def score(self, request: Request, rng: np.random.Generator) -> float:
        ratio = self.ratios.get((request.policy_sparsity, request.critic_sparsity), 1.0)
        if rng.random() < FAILED:
            return ratio * rng.uniform(0, 0.5)
        return ratio + self.noise * rng.standard_normal()

    def best_size(self) -> float:
        """Of the smallest network that keeps the return; the dense one's, 1, where none does."""
        return min([size(pair) for pair, ratio in self.ratios.items() if ratio >= THRESHOLD], default=1.0)


def size(pair: Pair) -> float:
    """Of a TD3 agent, relative to the dense one."""
    policy, critic = pair
    kept = (1 - policy) * POLICY_WEIGHTS + (1 - critic) * CRITIC_WEIGHTS
    return kept / (POLICY_WEIGHTS + CRITIC_WEIGHTS)


def line_world(noise: float, rng: np.random.Generator) -> World:
    """A curve over the 16 levels of policy sparsity, the critics' tied to it; one in 17 keeps the return at none."""
    ratios = curve(np.arange(len(LINE)), rng.uniform(-1, len(LINE)), rng.choice(PLATEAUS), rng.choice(WIDTHS))
    return World(dict(zip(LINE, map(float, ratios), strict=True)), noise)


def plane_world(noise: float, rng: np.random.Generator) -> World:
    """A curve each for policy and critic over 9 levels, multiplied: together they cost more than each alone."""
    levels, plateau = LEVELS_APART * np.arange(PLANE_LEVELS), rng.choice(PLATEAUS)
    policy, critic = (curve(levels, rng.uniform(0, 16), plateau, rng.choice(WIDTHS)) / plateau for _ in range(2))
    grid = plateau * np.outer([1.0, *policy], [1.0, *critic])
    sparsity = (0.0, *PLANE)
    ratios = {(p, c): float(grid[i, j]) for i, p in enumerate(sparsity) for j, c in enumerate(sparsity) if i or j}
    return World(ratios, noise)


def curve(levels: NDArray[np.generic], threshold: float, plateau: float, width: float) -> NDArray[np.float64]:
    """R at `levels`; it falls below THRESHOLD at level `threshold`."""
    middle = threshold + width * np.log(THRESHOLD / (plateau - THRESHOLD))
    return plateau / (1 + np.exp((levels - middle) / width))
