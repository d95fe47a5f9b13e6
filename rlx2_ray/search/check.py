"""Fresh seeds of a network that the posterior would accept: do they look as it predicts?

They had no part in choosing the network. Where they look as predicted they count with all other runs, and the posterior
decides. Where that is improbable the family of curves is wrong about this network, and then its fresh seeds decide by
themselves: more of them are asked for until the bootstrap is sure, or there are as many as the rule allows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlx2_ray.search.decision import Decision, Pair, decide, wants_seeds
from rlx2_ray.search.ledger import DENSE_ARM, ArmKey, Ledger
from rlx2_ray.search.options import Options
from rlx2_ray.search.posterior import Posterior
from rlx2_ray.search.statistics import Doubles, statistics_of

DRAWS = 2000
IMPROBABLE = 0.02
SEEDS_AT_ONCE = 2


class Check:
    """The check of one network; `is_open` until its fresh seeds are in."""

    def __init__(self, network: int, pair: Pair, posterior: Posterior, ledger: Ledger, options: Options) -> None:
        self.arm = ArmKey(pair, "confirm")
        self.is_open = True
        self.surprise: float | None = None  # probability of fresh seeds as bad as these; None: open
        self.decision: Decision | None = None  # by fresh seeds alone, where they are improbable
        self._ledger = ledger
        self._options = options
        self._known = len(ledger.scores(self.arm))  # from before; the posterior has seen them
        self._seeds = options.rule.min_seeds  # for the next look
        rng = np.random.default_rng((network, self._known))
        self._predicted = posterior.predicted(network, DRAWS, self._seeds, rng)

    @property
    def is_improbable(self) -> bool:
        return self.surprise is not None and self.surprise < IMPROBABLE

    @property
    def fresh(self) -> Sequence[float]:
        return self._ledger.scores(self.arm)[self._known :]

    def next_arm(self) -> ArmKey | None:
        """Returns its arm while that has too few seeds, those under way included."""
        wanted = self._known + self._seeds
        return self.arm if self.is_open and self._ledger.promised(self.arm) < wanted else None

    def advance(self, reference: float) -> None:
        """Look, if the seeds for it are there; `reference`: the gain that is ratio 1 to the posterior."""
        if not self.is_open or len(self.fresh) < self._seeds:
            return
        options = self._options
        if self.surprise is None:
            ratios = (np.array(self.fresh[: self._seeds]) - options.random) / reference
            self.surprise = surprise(ratios, self._predicted, options)
        if not self.is_improbable:
            self.is_open = False
            return
        decision = decide(self.arm.pair, self.fresh, self._ledger.scores(DENSE_ARM), options.random, options.rule)
        if wants_seeds(decision, options.rule):
            self._seeds = min(self._seeds + max(SEEDS_AT_ONCE, options.concurrency), options.rule.max_seeds)
        else:
            self.decision, self.is_open = decision, False


def surprise(ratios: Doubles, predicted: Doubles, options: Options) -> float:
    """Returns the probability of a statistic as low as that of `ratios` (n,) among those of `predicted` (draws, n).

    Better seeds than predicted are no reason to doubt that the network keeps the return.
    """
    expected = statistics_of(predicted, options.rule.statistic)
    own = statistics_of(ratios[None], options.rule.statistic)[0]
    return float(np.mean(expected <= own))
