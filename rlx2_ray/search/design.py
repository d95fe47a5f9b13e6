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


class Design:
    """Of networks 0 ... A - 1, and A, the dense arm; of one state of the posterior."""

    def __init__(self, posterior: Posterior) -> None:
        family, mass = posterior.hypotheses, posterior.mass
        gains = posterior.grid.gains.ravel()
        of_gain, of_scale, of_fallen = (mass.sum(axis=axes) for axes in ((2, 3), (0, 1, 3), (0, 1, 2)))
        self._weights = of_gain.sum(axis=1)  # (H,)
        fallen_share = float(of_fallen @ posterior.grid.fallen)
        noise = float(of_scale @ posterior.grid.scales.ravel() ** 2)  # variance
        fallen = np.maximum(family.fallen, fallen_share)
        means = (1 - fallen) * family.modes + fallen * FALLEN_RATIO  # (H, A), of seeds, over the dense gain
        self._means = np.c_[means, np.full(len(means), 1 - fallen_share * (1 - FALLEN_RATIO))]
        weights = np.maximum(self._weights, np.finfo(float).tiny)
        gain = of_gain @ gains / weights  # (H,), its mean by each curve, and its variance
        self._gain_variance = np.maximum(of_gain @ gains**2 / weights - gain**2, 0)
        scores = self._means * gain[:, None]
        self._scores = scores - self._weights @ scores  # (H, A + 1), centred
        falls = (fallen - fallen_share) * (1 - fallen) * (family.modes - FALLEN_RATIO) ** 2
        within = noise + (FALLEN_SCALE * family.lost) ** 2 + falls
        self._noise = np.append(self._weights @ within, noise)  # (A + 1,), variance of a seed
        self._variances = self._weights @ (self._scores**2 + self._gain_variance[:, None] * self._means**2)

    def told(self, open_: Doubles, under_way: Iterable[int]) -> Doubles:
        """Returns (A + 1,): by how much one more seed of each lowers the variance of `open_` (H, T), summed over T."""
        counts = Counter(under_way)
        centred = open_ - self._weights @ open_
        known = (centred * self._weights[:, None]).T @ self._scores  # (T, A + 1), covariances
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
        shared: Doubles = (self._weights * self._scores[:, arm]) @ self._scores
        shared += (self._weights * self._gain_variance * self._means[:, arm]) @ self._means
        return shared
