"""Which run to do next: the one that is expected to tell most of what is still open, given those under way.

What a seed will score and whether a network keeps the return are taken as jointly Gaussian, with the means and
covariances of the posterior (Bayes linear). Then what is known after a run does not depend on what it will score, so
runs under way count as done, and any number of runs can be asked for one after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from rlx2_ray.search.hypotheses import FALLEN_RATIO
from rlx2_ray.search.posterior import FALLEN_SCALE, Posterior
from rlx2_ray.search.statistics import Doubles

NEGLIGIBLE = 1e-12  # weight of a curve over that of the likeliest: all of these together change nothing


class Design:
    """Of networks 0 ... A - 1, and A, the dense arm; of one state of the posterior."""

    def __init__(self, posterior: Posterior) -> None:
        family, of_gain, of_noise = posterior.hypotheses, posterior.gain_mass, posterior.noise_mass
        gains = posterior.grid.gains.ravel()
        of_scale, of_fallen = of_noise.sum(axis=1), of_noise.sum(axis=0)
        weights = of_gain.sum(axis=1)
        self._curves = weights > NEGLIGIBLE * weights.max()  # of H, the K that are likely at all
        modes, fallen, lost, of_gain = (
            each[self._curves] for each in (family.modes, family.fallen, family.lost, of_gain)
        )
        weights = weights[self._curves] / weights[self._curves].sum()
        fallen_share = float(of_fallen @ posterior.grid.fallen)
        noise = float(of_scale @ posterior.grid.scales.ravel() ** 2)  # variance
        fallen = np.maximum(fallen, fallen_share)
        means = (1 - fallen) * modes + fallen * FALLEN_RATIO  # (K, A), of seeds, over the dense gain
        means = np.c_[means, np.full(len(means), 1 - fallen_share * (1 - FALLEN_RATIO))]
        gain = of_gain @ gains / of_gain.sum(axis=1)  # (K,), its mean by each curve, and its variance
        gain_variance = np.maximum(of_gain @ gains**2 / of_gain.sum(axis=1) - gain**2, 0)
        scores = means * gain[:, None]
        scores -= weights @ scores  # (K, A + 1), centred
        falls = (fallen - fallen_share) * (1 - fallen) * (modes - FALLEN_RATIO) ** 2
        within = noise + (FALLEN_SCALE * lost) ** 2 + falls
        self._noise = np.append(weights @ within, noise)  # (A + 1,), variance of a seed
        self._scores, self._weighted = scores, weights[:, None] * scores
        self._means, self._uncertain = means, (weights * gain_variance)[:, None] * means
        self._variances = np.sum(self._weighted * scores + self._uncertain * means, axis=0)

    def told(self, open_: Doubles, under_way: Iterable[int]) -> Doubles:
        """Returns (A + 1,): by how much one more seed of each lowers the variance of `open_` (H, T), summed over T."""
        counts = Counter(under_way)
        known = open_[self._curves].T @ self._weighted  # (T, A + 1), covariances, since the scores are centred
        variances = self._variances.copy()
        if counts:
            arms = list(counts)
            columns = np.array([self._covariances(arm) for arm in arms])  # (J, A + 1)
            inner = columns[:, arms] + np.diag([self._noise[arm] / counts[arm] for arm in arms])
            solved = np.linalg.solve(inner, columns)
            known = known - known[:, arms] @ solved
            variances = variances - np.sum(columns * solved, axis=0)
        told: Doubles = np.sum(known**2, axis=0) / (np.maximum(variances, 0) + self._noise)
        return told

    def _covariances(self, arm: int) -> Doubles:
        """(A + 1,): of its seeds with those of each."""
        shared: Doubles = self._weighted[:, arm] @ self._scores
        shared += self._uncertain[:, arm] @ self._means
        return shared
