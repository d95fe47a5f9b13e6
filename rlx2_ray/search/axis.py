"""The Bayesian part of a search: where along one axis of levels does the return collapse?

The next seeds are run at the posterior median. Where these are under way already and the caller has room for more,
further ones go to other quantiles, so that a run that is waited for costs no core.
"""

from __future__ import annotations

from collections.abc import Sequence

from rlx2_ray.search.decision import Pair
from rlx2_ray.search.ledger import DENSE_ARM, ArmKey, Ledger
from rlx2_ray.search.search import Options
from rlx2_ray.search.statistics import Doubles, dense_gain
from rlx2_ray.search.threshold import Posterior, initial_posterior, is_settled, keeps, quantile_level

QUANTILES = (0.5, 0.25, 0.75, 0.1, 0.9)  # of the posterior, in the order in which they get seeds
PICKED = 0.8  # probability with which a level is to keep the return, to be tried first


class AxisSearch:
    """A search over networks `pairs`, from dense to sparse."""

    def __init__(self, pairs: Sequence[Pair], ledger: Ledger, options: Options) -> None:
        self.pairs = tuple(pairs)
        self._ledger = ledger
        self._options = options
        self._levels = {pair: level for level, pair in enumerate(pairs)}
        self._seeds: list[tuple[int, float]] = []  # level, score
        self._dense_count = 0  # dense seeds that the belief knows
        self._belief = initial_posterior(len(self.pairs), [1.0], options.rule.threshold)
        self._mass = self._belief.mass()

    def next_arm(self) -> ArmKey | None:
        if self.is_settled or len(self._seeds) + self._pending() >= self._options.max_search:
            return None
        for quantile in QUANTILES:
            arm = ArmKey(self.pairs[quantile_level(self._mass, quantile)], "search")
            if self._ledger.pending_of(arm) < self._options.seeds_at_once:
                return arm
        return None

    def observe(self, pair: Pair, score: float) -> None:
        """Take in a further seed; the dense arm may have grown since the last."""
        self._seeds.append((self._levels[pair], score))
        if self._dense_count < len(self._ledger.scores(DENSE_ARM)):
            self._belief = self._rebuilt()
        else:
            self._belief = self._belief.observe(self._levels[pair], self._ratio(score))
        self._mass = self._belief.mass()

    @property
    def is_settled(self) -> bool:
        return len(self._seeds) >= self._options.max_search or is_settled(self._mass, self._options.settled)

    @property
    def level_mass(self) -> Doubles:
        """The posterior (L,) over the sparsest level that keeps the return."""
        return self._belief.level_mass()

    @property
    def seeds(self) -> int:
        return len(self._seeds)

    def pick(self) -> int:
        """Returns the sparsest level that keeps the return with probability PICKED; the densest where none does."""
        return max(int((keeps(self._mass) >= PICKED).sum()) - 1, 0)

    def keeps(self, level: int) -> float:
        """Returns the probability that it keeps the return."""
        return float(keeps(self._mass)[level])

    def _pending(self) -> int:
        return sum(self._ledger.pending_of(ArmKey(pair, "search")) for pair in self.pairs)

    def _rebuilt(self) -> Posterior:
        """From all seeds, with the dense arm as it is now."""
        dense = self._ledger.scores(DENSE_ARM)
        self._dense_count = len(dense)
        ratios = [self._ratio(score) for score in dense]
        belief = initial_posterior(len(self.pairs), ratios, self._options.rule.threshold)
        for level, score in self._seeds:
            belief = belief.observe(level, self._ratio(score))
        return belief

    def _ratio(self, score: float) -> float:
        """A seed's gain over that of the dense arm."""
        random, statistic = self._options.random, self._options.rule.statistic
        return (score - random) / dense_gain(self._ledger.scores(DENSE_ARM), random, statistic)
