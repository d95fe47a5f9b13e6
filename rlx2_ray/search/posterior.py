"""What all runs say together: one posterior over the curves, the dense arm's true return and the noise of seeds.

A seed's ratio is its gain over that of the dense arm's first seeds. It is Student-t(4) around the curve times the dense
arm's true gain, so that one odd seed does not decide; or, in a share of the seeds that grows with sparsity, that of one
that never learned. Sparse seeds may be noisier than dense ones, or quieter. A network may be a little better or worse
than its neighbours suggest (DISCREPANCY), so that no statement is surer than the curves are true.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from rlx2_ray.search.hypotheses import FALLEN_RATIO, Hypotheses
from rlx2_ray.search.statistics import Doubles

MAD_TO_SCALE = 1.35  # of a Student-t(4)
SMALLEST_SCALE = 0.02  # of the dense arm's noise, in units of its gain: a solved task has none
GUESSED_SCALE = 0.1  # before any seed is known
SCALES = np.array([0.3, 0.55, 1.0, 1.8, 3.2])  # of the noise, over that of the first dense seeds
UNLIKE = 0.7  # standard deviation of log(noise of sparse seeds / noise of dense ones)
SHIFTS = np.linspace(-3.6, 3.6, 9)  # of the dense arm's true gain, in standard errors of the first seeds' mean
FALLEN_SHARES = np.array([0.02, 0.12])  # of seeds that never learn whatever the network is, dense ones too
FALLEN_SCALE = 0.2  # of the ratios of seeds that never learn; also of the noise where all is lost, in quadrature
DISCREPANCY = 0.005  # standard deviation of a network's R around its curve, and, in quadrature, so much
SLOPE_DISCREPANCY = 0.5  # of what the curve has lost of its plateau there, since what it is on the slope is a guess


class Grid(NamedTuple):
    """The values of what is not a curve, each (D, S, F) or broadcast to it."""

    gains: Doubles  # (D, 1, 1), of the dense arm, over that of its first seeds
    scales: Doubles  # (S, 1), of the noise
    fallen: Doubles  # (F,), shares


class Posterior:
    """The beliefs over networks 0 ... A - 1: a mass over curves x dense gains x noise scales x shares of the fallen."""

    def __init__(self, hypotheses: Hypotheses, dense: Sequence[float] | Doubles) -> None:
        """`dense` (n,): ratios of the first dense seeds, so their gains over that of their own statistic; or none."""
        self.hypotheses = hypotheses
        ratios = np.asarray(dense, np.float64)
        scale = spread(ratios) if len(ratios) else GUESSED_SCALE
        gains = 1 + SHIFTS * scale * math.sqrt(2 / max(len(ratios), 1))
        self.grid = Grid(gains[:, None, None], scale * SCALES[:, None], FALLEN_SHARES)
        self._dense = np.zeros((len(SHIFTS), len(SCALES), len(FALLEN_SHARES)))  # log likelihood
        self._sparse = np.zeros((len(hypotheses.prior), *self._dense.shape))
        self._mass: Doubles | None = None
        for ratio in ratios:
            self.observe_dense(float(ratio))

    def observe_dense(self, ratio: float) -> None:
        """Take in one more dense seed's ratio."""
        gains, scales, fallen = self.grid
        self._dense += np.log(_density(ratio, gains, gains, scales, fallen))
        self._mass = None

    def observe(self, network: int, ratio: float) -> None:
        """Take in one more seed's ratio."""
        density = _density(ratio, *self._seed_of(network))
        self._sparse += np.log(density, out=density)
        self._mass = None

    @property
    def mass(self) -> Doubles:
        """(H, D, S, F) over curves, and the gain, noise and share of the fallen of sparse seeds; sums to 1."""
        if self._mass is None:
            dense = np.einsum("dsf,st->dtf", np.exp(self._dense - self._dense.max()), _UNLIKE)
            mass = self._sparse + np.log(dense)
            mass -= mass.max()
            np.exp(mass, out=mass)
            mass *= self.hypotheses.prior[:, None, None, None]
            mass /= mass.sum()
            self._mass = mass
        return self._mass

    @property
    def gain_mass(self) -> Doubles:
        """(H, D) over curves and dense gains; sums to 1."""
        flat = self.mass.reshape(-1, self.mass[0, 0].size)
        mass: Doubles = (flat @ np.ones(flat.shape[1])).reshape(self.mass.shape[:2])
        return mass

    @property
    def noise_mass(self) -> Doubles:
        """(S, F) over noise of sparse seeds and share of the fallen; sums to 1."""
        flat = self.mass.reshape(-1, self.mass[0, 0].size)
        mass: Doubles = (np.ones(len(flat)) @ flat).reshape(self.mass.shape[2:])
        return mass

    @property
    def curve_mass(self) -> Doubles:
        """(H,), sums to 1."""
        mass: Doubles = self.gain_mass.sum(axis=1)
        return mass

    def predicted(self, network: int, draws: int, seeds: int, rng: np.random.Generator) -> Doubles:
        """Returns (draws, seeds): ratios of `seeds` more seeds of that network, as it is believed to be."""
        chosen = rng.choice(self.mass.size, draws, p=self.mass.ravel())
        places = np.unravel_index(chosen, self.mass.shape)
        modes, gains, scales, fallen = (_picked(values, places) for values in self._seed_of(network))
        learned = modes + scales * rng.standard_t(4, (draws, seeds))
        lost = FALLEN_RATIO * gains + FALLEN_SCALE * rng.standard_t(4, (draws, seeds))
        ratios: Doubles = np.where(rng.random((draws, seeds)) < fallen, lost, learned)
        return ratios

    def _seed_of(self, network: int) -> tuple[Doubles, Doubles, Doubles, Doubles]:
        """Mode, dense gain, noise and share of the fallen of its seeds, each broadcast to (H, D, S, F)."""
        family, (gains, scales, fallen) = self.hypotheses, self.grid
        modes, falls, lost = (each[:, network, None, None, None] for each in (family.modes, family.fallen, family.lost))
        return modes * gains, gains, np.hypot(scales, FALLEN_SCALE * lost), np.maximum(fallen, falls)


def spread(ratios: Doubles) -> float:
    """Returns the scale of a Student-t(4) that has the median absolute deviation of `ratios` (n,), n >= 1; > 0."""
    return max(MAD_TO_SCALE * float(np.median(np.abs(ratios - np.median(ratios)))), SMALLEST_SCALE)


def curves_above(hypotheses: Hypotheses, ratio: float) -> Doubles:
    """Returns (H, A) Pr(R >= ratio) by each curve."""
    lost = hypotheses.ratios.max(axis=1, keepdims=True) - hypotheses.ratios
    above: Doubles = ndtr((hypotheses.ratios - ratio) / np.hypot(DISCREPANCY, SLOPE_DISCREPANCY * lost))
    return above


def _unlike() -> Doubles:
    """(S, S): of each noise of dense seeds, the distribution of that of sparse ones."""
    steps = np.log(SCALES)[:, None] - np.log(SCALES)
    weights = np.exp(-((steps / UNLIKE) ** 2) / 2)
    shares: Doubles = weights / weights.sum(axis=1, keepdims=True)
    return shares


_UNLIKE = _unlike()


def _picked(values: Doubles, places: tuple[NDArray[np.intp], ...]) -> Doubles:
    """(draws, 1): of values that broadcast to (H, D, S, F)."""
    full = values[(None,) * (4 - values.ndim)]
    own = tuple(place if size > 1 else 0 * place for place, size in zip(places, full.shape, strict=True))
    picked: Doubles = full[own][:, None]
    return picked


def _density(ratio: float, modes: Doubles, gains: Doubles, scales: Doubles, fallen: Doubles) -> Doubles:
    """Of one seed's ratio."""
    learned = student((ratio - modes) / scales)
    learned /= scales
    lost = student((ratio - FALLEN_RATIO * gains) / FALLEN_SCALE) / FALLEN_SCALE
    density: Doubles = (1 - fallen) * learned
    density += fallen * lost
    return density


def student(deviations: Doubles) -> Doubles:
    """Returns the density of Student's t with 4 degrees of freedom."""
    within = np.square(deviations)
    within /= 4
    within += 1
    density: Doubles = np.sqrt(within)
    density *= within
    density *= within
    return np.divide(0.375, density, out=density)
