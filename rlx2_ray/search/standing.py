"""How each network stands at one moment: what the posterior says of it, and what fresh seeds have said."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.search.decision import Rule, Verdict
from rlx2_ray.search.statistics import Doubles

Flags = NDArray[np.bool_]

HARM = 0.03  # below the threshold, from which on an accepted network would be a bad pick
RISK = 0.08  # the greatest probability of that with which one is accepted
SURE_RISK = 0.03  # that from which on no further run is spent on being surer
LIKELY = 0.5  # probability of keeping the return that a candidate has, which is not accepted
CANDIDATE_RISK = 0.1  # and the greatest probability of its being a bad pick
PROMISING = 0.25  # probability of keeping the return, from which a network smaller than the best is looked at further
NEAR_BEST = 0.05  # in that probability: while none would be accepted, the smallest that is nearly as likely as any


class Standing(NamedTuple):
    """Of A networks; all arrays are (A,)."""

    rule: Rule
    sizes: Doubles  # of the dense agent's weights
    expected: Doubles  # Pr(R >= threshold) before any run
    kept: Doubles  # Pr(R >= threshold)
    harm: Doubles  # Pr(R < threshold - HARM)
    checked: Flags  # its fresh seeds are in, and look as predicted
    contradicted: Flags  # its fresh seeds are improbable, and have decided by themselves
    upheld: Flags  # these accept it

    @property
    def best(self) -> int | None:
        """The smallest network that would be accepted if its fresh seeds were as predicted; None: there is none."""
        return self._smallest(np.flatnonzero(self.upheld | (~self.contradicted & self._fine)))

    @property
    def _fine(self) -> Flags:
        """Likely enough to keep the return, hardly a bad pick, and more likely so than before any run."""
        likely = (self.kept >= self.rule.accept) & (self.kept > self.expected)
        return likely & (self.harm <= RISK)

    @property
    def smaller(self) -> Flags:
        """Which networks would be better than the best."""
        best = self.best
        return ~self.contradicted & (self.sizes < (np.inf if best is None else self.sizes[best]))

    @property
    def is_settled(self) -> bool:
        """Whether none of those is promising."""
        return bool(self.kept[self.smaller].max(initial=0.0) < PROMISING)

    @property
    def is_hopeless(self) -> bool:
        """Whether no network at all keeps the return."""
        return self.best is None and float(self.kept[~self.contradicted].max(initial=0.0)) <= self.rule.reject

    def is_sure(self, network: int) -> bool:
        """Whether no further run is needed to be surer of it."""
        is_likely = float(self.kept[network]) >= (1 + self.rule.accept) / 2
        return bool(self.upheld[network]) or (is_likely and float(self.harm[network]) <= SURE_RISK)

    @property
    def open(self) -> list[int]:
        """The networks of which it is to be found out whether they keep the return.

        They are the best, and the one that promises most to be better; or, while there is no best, the smallest that is
        about as likely as any.
        """
        best = self.best
        if best is None:
            likely = self._smallest(np.flatnonzero(self.kept >= self.kept.max() - NEAR_BEST))
            return [] if likely is None else [likely]
        promise = np.where(self.smaller, self.kept * np.log(self.sizes[best] / self.sizes), 0.0)
        return [best, int(np.argmax(promise))] if promise.max() > 0 else [best]

    def verdict(self, network: int) -> Verdict:
        """Returns that of a network whose fresh seeds, if it has any, do not contradict the posterior."""
        if self.kept[network] <= self.rule.reject:
            return "reject"
        return "accept" if self._fine[network] and self.checked[network] else "inconclusive"

    def is_candidate(self, network: int) -> bool:
        """Whether a network that is not accepted may be named as the best so far."""
        return float(self.kept[network]) >= LIKELY and float(self.harm[network]) <= CANDIDATE_RISK

    def _smallest(self, networks: NDArray[np.intp]) -> int | None:
        return int(networks[np.argmin(self.sizes[networks])]) if len(networks) else None
