"""Simulated truth: what return networks of each sparsity really keep, and the noisy scores of their seeds.

The random policy scores 0 and the dense arm 1, so a score is a ratio. In the family of the search's own curves: flat,
then collapsing, plateau x logistic((middle - level) / width), in levels of log density, with a threshold anywhere.
Plateaus are mostly the dense arm's return; one in five is close to the threshold of 0.97 and one in five above dense,
as in RLx2's table. Out of it: each of the kinds of `KINDS`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rlx2_ray.search.decision import Pair
from rlx2_ray.search.ledger import Request
from rlx2_ray.search.levels import LINE_LEVELS, PLANE_LEVELS, line, sparsities

Kind = Literal["family", "bimodal", "sloping", "uneven", "heavy tails", "noisier", "quieter"]

KINDS: tuple[Kind, ...] = get_args(Kind)
THRESHOLD = 0.97
BAD = 0.94  # a pick that keeps less is a bad one
NOISES = (0.05, 0.09, 0.133, 0.24)  # standard deviation over seeds
FAILED = 0.05  # share of seeds that collapse, to anything from random to half of what they should score
WIDTHS = (0.2, 0.5, 1.0)  # of the collapse, in levels of the line
PLATEAUS = (0.985, 1.0, 1.0, 1.0, 1.03)
SLOPE = (1.025, 0.99)  # of a sloping plateau, from the densest level to the sparsest
UNEVEN = 0.01  # standard deviation of levels off their curve
TAILS = 2.5  # degrees of freedom of Student's t, scaled so that its quartiles are those of the normal noise
UNLIKE = {"noisier": 1.7, "quieter": 0.6}  # sparse seeds' noise, over that of dense ones

ENDS = (0.5, 0.995)  # sparsities
LINE = line("tied", sparsities(LINE_LEVELS, *ENDS), tied_ratio=2.5)
PLANE = sparsities(PLANE_LEVELS, *ENDS)
LEVELS_APART = 15 / (PLANE_LEVELS - 1)  # levels of the line between two of the plane

# Weights of Hopper's networks with 256 hidden units: the policy, and both critics.
POLICY_WEIGHTS, CRITIC_WEIGHTS = 256 * (11 + 256 + 3), 2 * 256 * (14 + 256 + 1)

DENSE = (0.0, 0.0)
TAIL_SCALE = float(stats.norm.ppf(0.75) / stats.t.ppf(0.75, TAILS))


class World(NamedTuple):
    """What each network's return is of the dense arm's, and how much seeds differ."""

    ratios: dict[Pair, float]  # R, the dense arm's not among them
    noise: float  # of dense seeds
    kind: Kind = "family"
    modes: dict[Pair, float] = {}  # R of the seeds that learn, where that is not R
    fallen: dict[Pair, float] = {}  # share of the seeds that never learn, where that is not FAILED

    def score(self, request: Request, rng: np.random.Generator) -> float:
        pair = request.policy_sparsity, request.critic_sparsity
        mode = self.modes.get(pair, self.ratios.get(pair, 1.0))
        if rng.random() < self.fallen.get(pair, FAILED):
            return mode * rng.uniform(0, 0.5)
        deviation = TAIL_SCALE * rng.standard_t(TAILS) if self.kind == "heavy tails" else rng.standard_normal()
        return mode + self.noise * (1.0 if pair == DENSE else UNLIKE.get(self.kind, 1.0)) * float(deviation)

    def best_size(self) -> float:
        """Of the smallest network that keeps the return; the dense one's, 1, where none does."""
        return min([size(pair) for pair, ratio in self.ratios.items() if ratio >= THRESHOLD], default=1.0)


def size(pair: Pair) -> float:
    """Of a TD3 agent, relative to the dense one."""
    policy, critic = pair
    kept = (1 - policy) * POLICY_WEIGHTS + (1 - critic) * CRITIC_WEIGHTS
    return kept / (POLICY_WEIGHTS + CRITIC_WEIGHTS)


def line_world(noise: float, rng: np.random.Generator, kind: Kind = "family") -> World:
    """A curve over the 16 levels of policy sparsity, the critics' tied to it; one in 17 keeps the return at none."""
    at, plateau, width = np.arange(len(LINE)), rng.choice(PLATEAUS), rng.choice(WIDTHS)
    threshold = rng.uniform(-1, len(LINE))
    if kind == "bimodal":
        return _bimodal_world(noise, threshold, plateau, 2 * width)
    ratios = curve(at, threshold, plateau, width)
    if kind == "sloping":
        slope = np.linspace(*SLOPE, len(LINE))
        ratios = slope * curve(at, threshold, 1.0, width)
    if kind == "uneven":
        ratios = ratios * (1 + UNEVEN * rng.standard_normal(len(LINE)))
    return World(_by_pair(ratios), noise, kind)


def _bimodal_world(noise: float, threshold: float, plateau: float, width: float) -> World:
    """The share of seeds that never learn grows with sparsity; the others stay on the plateau."""
    quarter = 0.25 + 0.5 * (1 - THRESHOLD / plateau) / 0.75  # about where the interquartile mean falls below
    grown = 1 / (1 + np.exp((threshold - np.arange(len(LINE))) / width + np.log(1 / quarter - 1)))
    fallen = np.maximum(grown, FAILED)
    means = np.array([interquartile_mean(plateau, noise, float(share)) for share in fallen])
    ratios = means / interquartile_mean(1.0, noise, FAILED)
    return World(_by_pair(ratios), noise, "bimodal", _by_pair(np.full(len(LINE), plateau)), _by_pair(fallen))


def interquartile_mean(mode: float, noise: float, fallen: float) -> float:
    """Of infinitely many seeds: normal around the mode, or, in a share `fallen`, uniform from 0 to half of it."""
    quantiles = (np.arange(2000) + 0.5) / 4000 + 0.25
    of_fallen = mode * 0.5 * quantiles / max(fallen, 1e-9)
    within = np.clip((quantiles - fallen) / max(1 - fallen, 1e-9), 1e-9, 1 - 1e-9)
    learned = mode + noise * stats.norm.ppf(within)
    return float(np.mean(np.where(quantiles < fallen, of_fallen, learned)))


def _by_pair(values: NDArray[np.float64]) -> dict[Pair, float]:
    return dict(zip(LINE, map(float, values), strict=True))


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
