"""One network on trial: seeds two at a time until the rule decides, the dense arm growing beside it.

The looks are at fixed numbers of seeds, whatever order the runs end in. The rule weighs both arms, and what the dense
arm does not know of itself no number of sparse seeds can make up for. So it is kept at DENSE_SHARE times the seeds of
the network on trial, as far as its own cap: every later decision has these too, and simulation accepts more with them.
"""

from __future__ import annotations

from rlx2_ray.search.decision import Decision, decide, wants_seeds
from rlx2_ray.search.ledger import DENSE_ARM, ArmKey, Ledger
from rlx2_ray.search.search import Options

DENSE_SHARE = 2


class Confirmation:
    """The trial of one arm; `decision` is None until it is settled, and does not change after that."""

    def __init__(self, arm: ArmKey, ledger: Ledger, options: Options) -> None:
        self.arm = arm
        self.decision: Decision | None = None
        self._ledger = ledger
        self._options = options
        self._seeds = options.rule.min_seeds  # for the next look
        self._dense = max(options.dense_seeds, len(ledger.scores(DENSE_ARM)))

    def next_arm(self) -> ArmKey | None:
        if self.decision is not None:
            return None
        if self._ledger.promised(self.arm) < self._seeds:
            return self.arm
        return DENSE_ARM if self._ledger.promised(DENSE_ARM) < self._dense else None

    def advance(self) -> None:
        """Look, if the seeds for it are there."""
        if self.decision is not None or not self._is_due():
            return
        options, rule = self._options, self._options.rule
        dense = self._ledger.scores(DENSE_ARM)
        decision = decide(self.arm.pair, self._ledger.scores(self.arm), dense, options.random, rule)
        if wants_seeds(decision, rule):
            self._add_seeds()
        else:
            self.decision = decision

    def _is_due(self) -> bool:
        sparse = len(self._ledger.scores(self.arm))
        return sparse >= self._seeds and len(self._ledger.scores(DENSE_ARM)) >= self._dense

    def _add_seeds(self) -> None:
        step = max(self._options.seeds_at_once, self._options.concurrency)
        if self._dense < min(DENSE_SHARE * self._seeds, self._options.max_dense_seeds):
            self._dense = min(self._dense + step, self._options.max_dense_seeds)
        else:
            self._seeds = min(self._seeds + step, self._options.rule.max_seeds)
