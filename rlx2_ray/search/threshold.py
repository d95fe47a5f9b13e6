"""Where does the return collapse? A belief over the sparsest level that still keeps it, from few noisy scores.

A hypothesis is a curve of the ratio R over levels, flat and then collapsing: plateau x logistic((middle - level) /
width), the levels log-spaced in density. It is named by its threshold, the sparsest level at which R >= `threshold`;
-1 where that holds at none. Thresholds, widths and plateaus stand on grids, as do two numbers of the noise: its scale,
and the dense arm's true score beside the measured one, which all ratios share. A seed's score is Student-t(4) around
the curve, so one collapsed seed of three does not decide; where the curve has fallen, seeds differ more, since some
still learn and others do not. Levels count from 0, the densest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.search.statistics import Doubles

WIDTHS = (0.05, 0.2, 0.5, 1.0)  # of the collapse, in levels
PLATEAUS = (0.98, 1.0, 1.03, 1.07)  # R of what is not too sparse
LOW = (0.88, 0.96)  # plateaus of what keeps the return at no level, over the threshold
LOW_SHARE = 0.05  # of the prior
FREEDOM = 4  # of Student's t
SCALES = (0.25, 0.4, 0.63, 1.0, 1.6, 2.5, 4.0)  # of the noise, over that of the dense arm
SMALLEST_SCALE = 0.02  # of the dense arm's noise, in units of its gain: a solved task has none
SHIFTS = (-2.0, -1.0, 0.0, 1.0, 2.0)  # of the dense arm's true score, in standard errors
FALLEN_SCALE = 0.2  # of the noise where all of the return is lost, added in quadrature
MAD_TO_SCALE = 1.35  # of a Student-t(4)


class Hypotheses(NamedTuple):
    """All curves; H of them over L levels."""

    thresholds: NDArray[np.int64]  # (H,), -1 where no level keeps the return
    curves: Doubles  # (H, L), R
    lost: Doubles  # (H, L), share of the plateau, in [0, 1]
    log_prior: Doubles  # (H,)


class Posterior(NamedTuple):
    """Log of unnormalised posterior mass, over curves x shifts of the dense arm x scales of the noise."""

    hypotheses: Hypotheses
    dense: Doubles  # (shifts,), true dense gain over the measured one
    scales: Doubles  # (scales,)
    log_mass: Doubles  # (H, shifts, scales)

    def observe(self, level: int, ratio: float) -> Posterior:
        """Returns that after one more seed; its ratio is its gain over the measured dense arm's."""
        means = self.hypotheses.curves[:, level, None] * self.dense
        scales = np.hypot(self.scales, FALLEN_SCALE * self.hypotheses.lost[:, level, None, None])
        return self._replace(log_mass=self.log_mass + log_student(ratio - means[:, :, None], scales))

    def mass(self) -> Doubles:
        """Returns (L + 1,) over thresholds -1, 0 ... L - 1; sums to 1."""
        mass = np.exp(self.log_mass - self.log_mass.max()).sum(axis=(1, 2))
        levels = self.hypotheses.curves.shape[1]
        sums = np.bincount(self.hypotheses.thresholds + 1, weights=mass, minlength=levels + 1)
        shares: Doubles = np.asarray(sums, np.float64) / mass.sum()
        return shares

    def level_mass(self) -> Doubles:
        """Returns (L,), which sums to 1; that no level keeps the return counts with the densest."""
        mass = self.mass()
        mass[1] += mass[0]
        return mass[1:]


def initial_posterior(levels: int, dense_ratios: Sequence[float] | Doubles, threshold: float) -> Posterior:
    """Returns that before any sparse seed; `dense_ratios` (n,): dense seeds' gains over their statistic's, n >= 1."""
    ratios = np.asarray(dense_ratios, np.float64)
    spread = MAD_TO_SCALE * float(np.median(np.abs(ratios - np.median(ratios))))
    scale = max(spread, SMALLEST_SCALE)
    dense = 1 + np.array(SHIFTS) * scale * math.sqrt(2 / len(ratios))
    scales = np.array(SCALES) * scale
    # (n, shifts, scales), summed over the seeds
    evidence = log_student(ratios[:, None, None] - dense[:, None], scales).sum(axis=0)
    hypotheses = make_hypotheses(levels, threshold)
    return Posterior(hypotheses, dense, scales, hypotheses.log_prior[:, None, None] + evidence)


@lru_cache(maxsize=16)
def make_hypotheses(levels: int, threshold: float) -> Hypotheses:
    """Makes them uniform over thresholds -1 ... levels - 1 where the plateau is high enough for there to be one."""
    high = [
        (at, plateau, _middle(at, width, plateau, threshold), width)
        for width in WIDTHS
        for plateau in (max(plateau, 1.01 * threshold) for plateau in PLATEAUS)
        for at in range(-1, levels)
    ]
    low = [(-1, share * threshold, middle, width) for width in WIDTHS for share in LOW for middle in range(levels)]
    priors = [(1 - LOW_SHARE) / len(high)] * len(high) + [LOW_SHARE / len(low)] * len(low)
    thresholds, plateaus, middles, widths = (np.array(column)[:, None] for column in zip(*high, *low, strict=True))
    kept = 1 / (1 + np.exp(np.clip((np.arange(levels) - middles) / widths, -500, 500)))
    return Hypotheses(thresholds[:, 0], plateaus * kept, 1 - kept, np.log(priors))


def _middle(at: int, width: float, plateau: float, threshold: float) -> float:
    """Of the collapse that crosses `threshold` halfway between levels `at` and `at + 1`."""
    return at + 0.5 + width * math.log(threshold / (plateau - threshold))


def log_student(deviations: Doubles, scales: Doubles) -> Doubles:
    """Returns the log density, less a constant, of Student's t with FREEDOM degrees."""
    density: Doubles = -(FREEDOM + 1) / 2 * np.log1p((deviations / scales) ** 2 / FREEDOM) - np.log(scales)
    return density


def keeps(mass: Doubles) -> Doubles:
    """Returns (L,) Pr(level l keeps the return) = Pr(threshold >= l), of mass (L + 1,); descending."""
    return np.cumsum(mass[::-1])[::-1][1:]


def quantile_level(mass: Doubles, quantile: float) -> int:
    """Returns the level, in [0, L), below which lies `quantile` of the mass (L + 1,); 0.5 is the median."""
    return max(int(np.searchsorted(np.cumsum(mass), quantile)) - 1, 0)


def is_settled(mass: Doubles, share: float) -> bool:
    """Whether three neighbouring thresholds hold that share of the mass (L + 1,)."""
    return bool(np.convolve(mass, np.ones(3), "valid").max() >= share)
