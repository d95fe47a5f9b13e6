"""What all compression searches share: they are asked for runs, told the scores, and can state their best at any time.

A search has no clock and does no I/O. Its state is a fold over what it was told, in that order, so it is saved as the
list of tells and restored by telling them again; requests under way are saved beside them, to be handed out once more.

First the dense arm is measured; while its last runs are under way, sparse ones may be asked for already. What follows
is the strategy's: `line` for one sparsity, `plane` for policy x critic.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from rlx2_ray.search.belief import Belief
from rlx2_ray.search.decision import Decision, Pair, Rule, decide
from rlx2_ray.search.ledger import DENSE_ARM, ArmKey, Ledger, Request, Tell
from rlx2_ray.search.statistics import FEWEST_SEEDS, dense_gain
from rlx2_ray.types import RunFailed

Size = Callable[[Pair], float]  # size ratio of the network with these sparsities


EXPECTED_NOISE = 0.05  # of seeds, over the dense arm's gain; quieter tasks need fewer runs


class Options(NamedTuple):
    """What every search is given; counts are of runs."""

    random: float  # score of a random policy, in the environment's units
    rule: Rule = Rule()
    dense_seeds: int = 8
    max_dense_seeds: int = 24  # the dense arm grows to that where it is what leaves a decision open
    seeds_at_once: int = 2  # of one network, before they are looked at
    settled: float = 0.85  # the mass on three neighbouring thresholds that ends the search
    max_search: int = 12  # seeds of one axis' search
    max_runs: int = 67  # of the whole search, dense arm included: under half of a 16 x 8 grid and its dense arm
    concurrency: int = 1  # runs that the caller has under way at a time


class Search(ABC):
    """A compression search: `ask` for the next run, `tell` its score or `fail` it, until `is_finished`."""

    def __init__(self, options: Options, size: Size) -> None:
        self.options = options
        self.size = size
        self._ledger = Ledger(options.random)
        self._again: list[Request] = []
        self._beliefs: list[Belief] = []
        self._unseen: list[tuple[ArmKey, float]] = []  # until the dense arm is known
        self._finished = False

    def ask(self) -> Request | None:
        """Returns the next run to do; None where none is useful before the next tell, or the search has ended."""
        if self._finished:
            return None
        if self._again:
            return self._again.pop(0)
        if self._ledger.runs >= self.options.max_runs:
            return None
        arm = self._dense_arm() or self._next_arm()
        return None if arm is None else self._ledger.open(arm)

    def tell(self, request: Request, score: float) -> None:
        """Take in a run's score, in the environment's units; also of one that was not asked for, as a cached dense one.

        Raises:
            RunFailed: the dense arm is complete and no better than random.
            ValueError: the run was told before.

        """
        self._close(request, score)

    def fail(self, request: Request) -> None:
        """Take in a run that ended in an error: another seed takes its place, once; after that it counts as no return.

        Raises:
            RunFailed: more than half as many dense runs failed as there are to be.

        """
        self._close(request, None)

    def restore(self, tells: Iterable[Tell], pending: Iterable[Request] = ()) -> None:
        """Take over `tells` and `pending` of the search that this one continues; `ask` hands out the pending again."""
        for request, score in tells:
            self._close(request, score)
        again = list(pending)
        self._ledger.reopen(again)
        self._again += again

    @property
    def tells(self) -> list[Tell]:
        return list(self._ledger.tells)

    @property
    def pending(self) -> list[Request]:
        """The requests that are neither told nor failed."""
        return list(self._ledger.pending)

    @property
    def is_finished(self) -> bool:
        spent = self._ledger.runs >= self.options.max_runs and not self._ledger.pending
        return self._finished or spent

    @property
    def beliefs(self) -> list[Belief]:
        """The beliefs of a 1-D search, after each run with which sparse seeds came in."""
        return self._beliefs

    @property
    def runs(self) -> int:
        """The number of runs begun so far, failed ones, those under way and the cached dense ones included."""
        return self._ledger.runs

    def dense_scores(self) -> list[float]:
        return list(self._ledger.scores(DENSE_ARM))

    def decisions(self) -> list[Decision]:
        """Returns one a network, in the order in which they were first run: of its fresh seeds if it has any."""
        if not self._dense_known:
            return []
        decisions = (self._decision(pair) for pair in self._ledger.pairs)
        return [decision for decision in decisions if decision is not None]

    def ultimate(self) -> Decision | None:
        """Returns the best statement so far: the smallest accepted network, or else the best candidate, inconclusive.

        A network is accepted by fresh seeds alone. The best candidate is the smallest more likely than not to keep
        the return, as far as its seeds tell; None where there is none.
        """
        decisions = self.decisions()
        accepted = [decision for decision in decisions if self._is_accepted(decision)]
        if accepted:
            return min(accepted, key=self._size_of)
        likely = [decision for decision in decisions if self._is_candidate(decision)]
        return replace(min(likely, key=self._size_of), verdict="inconclusive") if likely else None

    def remaining(self) -> int:
        """Guesses the further runs to be expected, from what searches took in simulation, for time and cost."""
        if self.is_finished:
            return 0
        dense = max(self.options.dense_seeds - len(self.dense_scores()), 0)
        left = self.options.max_runs - len(self._ledger.tells)
        return max(min(dense + self._remaining(), left), len(self._ledger.pending), 1)

    @abstractmethod
    def _next_arm(self) -> ArmKey | None:
        """Of the next sparse run, or of a further dense one."""

    @abstractmethod
    def _advance(self, scores: Sequence[tuple[ArmKey, float]]) -> None:
        """Take in new sparse scores, or none where a dense one has come; the dense arm is known."""

    @abstractmethod
    def _remaining(self) -> int:
        """Sparse runs to be expected."""

    def _close(self, request: Request, score: float | None) -> None:
        was_known = self._dense_known
        counted = self._ledger.close(request, score)
        if request in self._again:
            self._again.remove(request)
        if counted is not None and request.arm != DENSE_ARM:
            self._unseen.append((request.arm, counted))
        if not self._dense_known:
            self._check_dense_failures()
            return
        if not was_known:
            dense_gain(self.dense_scores(), self.options.random, self.options.rule.statistic)
        unseen, self._unseen = self._unseen, []
        self._advance(unseen)

    def _check_dense_failures(self) -> None:
        failures = self._ledger.failures(DENSE_ARM)
        if failures > self.options.dense_seeds / 2:
            raise RunFailed(f"{failures} runs of the dense arm ended in errors: see what they say, and start again")

    @property
    def _dense_known(self) -> bool:
        return len(self._ledger.scores(DENSE_ARM)) >= self.options.dense_seeds

    def _dense_arm(self) -> ArmKey | None:
        return DENSE_ARM if self._ledger.promised(DENSE_ARM) < self.options.dense_seeds else None

    @property
    def _noise_share(self) -> float:
        """How noisy the dense seeds are, in [0, 1]; 1 from EXPECTED_NOISE on, and until they are known."""
        if not self._dense_known:
            return 1.0
        scores = self.dense_scores()
        spread = float(np.std(scores, ddof=1)) / dense_gain(scores, self.options.random, self.options.rule.statistic)
        return min(spread / EXPECTED_NOISE, 1.0)

    @property
    def _most_on_trial(self) -> int:
        """Seeds that one network's trial may take, those by which the dense arm grows meanwhile included."""
        return self.options.rule.max_seeds + max(self.options.max_dense_seeds - self.options.dense_seeds, 0)

    @property
    def _grown(self) -> int:
        """Dense seeds beyond those that it began with."""
        return max(len(self.dense_scores()) - self.options.dense_seeds, 0)

    def _decision(self, pair: Pair) -> Decision | None:
        """None: fewer seeds than say anything."""
        settled = self._settled_decision(pair)
        if settled is not None:
            return settled
        fresh = self._ledger.scores(ArmKey(pair, "confirm"))
        scores = fresh if len(fresh) >= FEWEST_SEEDS else self._ledger.scores(ArmKey(pair, "search"))
        if len(scores) < FEWEST_SEEDS:
            return None
        return decide(pair, scores, self.dense_scores(), self.options.random, self.options.rule)

    def _settled_decision(self, pair: Pair) -> Decision | None:
        """That a strategy has come to by fresh seeds, and keeps whatever is told later."""
        return None

    def _is_accepted(self, decision: Decision) -> bool:
        settled = self._settled_decision(decision.pair)
        return settled is not None and settled.verdict == "accept"

    def _is_candidate(self, decision: Decision) -> bool:
        return decision.verdict != "reject" and decision.probability >= 0.5

    def _size_of(self, decision: Decision) -> float:
        return self.size(decision.pair)
